"""Where the ways through a net meet and part: what containers of several ways put into their plans.

Unlike a layer, most joints take two arrays; so they stand in no Sequential.
"""

from .module import Module


class Joint(Module):
    """Base of the joints: their container's methods call them, with arrays that it has checked."""

    framework_base = True

    def _enter_fprop(self, raw, *arguments):
        return raw(self, *arguments)

    def _enter_bprop(self, raw, *arguments):
        return raw(self, *arguments)

    def check_arguments(self, *shapes):
        """ValueError unless both arrays have one shape, which is that of the result."""
        if len(set(map(tuple, shapes))) > 1:
            said = " and ".join(map(str, shapes))
            owner = self.parent or self
            raise ValueError(f"{owner.label()}: got arrays of shapes {said}, expected the same shape")
        return tuple(shapes[0])

    def place_once(self, error: BaseException) -> None:
        """A joint is no place that anyone knows."""
        self.parent.place_once(error)  # type: ignore[union-attr]
