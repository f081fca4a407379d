"""A net as a table: where each module stands, the shape of its output, and how many numbers it learns."""

from typing import TYPE_CHECKING

from .gradient_report import table

if TYPE_CHECKING:
    from .module import Module


class Summary(str):
    """Text that shows itself as it reads, so that a summary prints at a prompt, too."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def summary(module: "Module", input_shape: tuple[int, ...]) -> Summary:
    """The table of `module` and all inside it for an x of shape `input_shape`, which has the batch axis.

    A shape is `-` where a container's own `output_shape` does not ask the modules inside.
    Errors: ValueError that names the module whose input does not fit.
    """
    copy = module.copy()
    shapes: dict[str, tuple[int, ...]] = {}
    for inside in copy.all_modules():
        note_shapes(inside, shapes)
    copy.output_shape(tuple(input_shape))
    rows = [("path", "module", "output shape", "parameters")]
    for inside in copy.all_modules():
        count = sum(getattr(inside, name).size for name in inside._parameters)
        rows.append((inside.path(), inside.label(), str(shapes.get(inside.path(), "-")), f"{count:,}"))
    total = module.parameter_count
    size = total * module.dtype.itemsize / 2**20
    return Summary("\n".join([*table(rows), f"{total:,} parameters, {size:.2f} MiB in {module.dtype}"]))


def note_shapes(module: "Module", shapes: dict[str, tuple[int, ...]]) -> None:
    """Make a module, a copy that nobody else sees, note the shapes of its results under its path."""
    path, output_shape, fprop = module.path(), module.output_shape, module.fprop

    def noted_shape(input_shape):
        shapes[path] = output_shape(input_shape)
        return shapes[path]

    def noted_fprop(x):
        y = fprop(x)
        shapes[path] = y.shape
        return y

    vars(module).update(output_shape=noted_shape, fprop=noted_fprop)
