"""Internal operations that containers emit where branches split and merge.

Unlike layers, most of them take two arrays; so they are no children of a Sequential.
"""

from .module import Module


class InternalOp(Module):
    """Base of the internal operations of a container, whose methods call them with arrays that it has checked."""

    framework_base = True
    is_drawn = True  # whether drawings of models show it

    def _enter_fprop(self, raw, *arguments):
        return raw(self, *arguments)

    def _enter_bprop(self, raw, *arguments):
        return raw(self, *arguments)

    def check_arguments(self, *shapes):
        """Raise ValueError unless both arrays have one shape, which is that of the result."""
        if len(set(map(tuple, shapes))) > 1:
            listed = " and ".join(map(str, shapes))
            owner = self.parent or self
            raise ValueError(f"{owner.label()}: got arrays of shapes {listed}, expected the same shape")
        return tuple(shapes[0])

    def place_once(self, error: BaseException) -> None:
        """Add the container's path to an error: users do not know the internal op."""
        self.parent.place_once(error)  # type: ignore[union-attr]
