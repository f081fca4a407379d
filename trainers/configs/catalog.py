"""The catalogue of classes that names in a config refer to, and their roles.

A name is configurable exactly if one of three packages exports it; a dotted name is imported.
"""

import importlib
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from .errors import format_suggestion
from .imports import import_from
from .permissions import forbids

__all__ = ["BASES", "PACKAGES", "Catalog", "Role", "is_dotted", "is_loss"]

PACKAGES = ("bprop.modules", "bprop.trainers", "bprop.datasets")
BASES = (
    "Module",
    "Elementwise",
    "LearntElementwise",
    "Loss",
    "Rule",
    "ChainRule",
    "Noise",
    "Convolution",
    "Pooling",
    "ElementwiseLoss",
    "LabelLoss",
    "SampleLoss",
    "Initializer",
    "Dataset",
    "Optimizer",
    "FullBatch",
    "Schedule",
    "Augment",
    "Callback",
    "Metric",
)


def is_loss(cls: Any) -> bool:
    """A loss is a module whose fprop takes a target."""
    fprop = getattr(cls, "fprop", None)
    return fprop is not None and "target" in inspect.signature(fprop).parameters


def is_dotted(name: str) -> bool:
    """Whether a name is `module.Class`."""
    return "." in name and all(part.isidentifier() for part in name.split("."))


@dataclass(frozen=True)
class Role:
    """A role in a config: subclasses of `bases`, and what such a class is called."""

    bases: tuple[type, ...]
    expected: str
    loss: bool = False

    def fits(self, cls: type) -> bool:
        return issubclass(cls, self.bases) and (is_loss(cls) or not self.loss)


class Catalog:
    """The names that `packages` export, and classes that are imported by dotted names.

    `sources` are the files of the custom modules that were imported so far, and of what these import from beside
    the config, each with its place in a run folder; `imported` are the names of all modules that were imported.

    Args: packages: names of packages; folder: where custom modules are found.
    """

    def __init__(self, packages: Sequence[str] = PACKAGES, folder: Path | None = None) -> None:
        self.folder = folder
        self.sources: dict[Path, Path] = {}
        self.imported: set[str] = set()
        self.exported: dict[str, Any] = {}
        for package in map(importlib.import_module, packages):
            for name in getattr(package, "__all__", vars(package)):
                self.exported.setdefault(name, getattr(package, name))
        self.classes = {name: value for name, value in self.exported.items() if inspect.isclass(value)}
        self._homes = set(packages)

    def find(self, name: str, role: Role) -> type:
        """Find the class of that name.

        Errors: LookupError whose message says why there is none that fits the role.
        """
        if is_dotted(name):
            cls = self._imported(name)
        elif name in self.classes:
            cls = self.classes[name]
        else:
            cls = None
        if cls is not None and role.fits(cls) and not self.is_only_base(cls):
            return cls
        known = self.names(role)  # which takes a moment
        listed = f"; known: {', '.join(known)}" if known else ""
        if cls is None:
            guess = format_suggestion(name, known) or format_suggestion(name, self.classes) or listed
            raise LookupError(f"unknown class {name!r}, expected {role.expected}{guess}")
        if not role.fits(cls):
            raise LookupError(f"{name} is no {role.expected}{listed}")
        raise LookupError(f"{name} is only a base of other classes{listed}")

    def names(self, role: Role) -> list[str]:
        """List the names of the exported classes that fit a role; losses are not listed among the modules."""
        fitting = {name for name, cls in self.classes.items() if role.fits(cls) and not self.is_only_base(cls)}
        if self.classes.get("Module") in role.bases and not role.loss:
            fitting = {name for name in fitting if not is_loss(self.classes[name])}
        return sorted(fitting)

    def is_base(self, annotation: Any) -> bool:
        """Whether an argument of this type is written as an object, of a class of these packages."""
        if not inspect.isclass(annotation) or issubclass(annotation, Enum):
            return False
        if getattr(annotation, "_is_protocol", False):
            return False
        return any(f"{annotation.__module__}.".startswith(f"{home}.") for home in self._homes)

    def is_only_base(self, cls: type) -> bool:
        """Whether a class is abstract, for subclasses only."""
        return inspect.isabstract(cls) or cls in [self.classes.get(name) for name in BASES]

    def function(self, dotted: str) -> Any:
        """Find the function or class of a name such as `my_metrics.cost`; LookupError if there is none."""
        return self._member(dotted, "function", callable)

    def _imported(self, dotted: str) -> type:
        """Import the class of a name such as `my_modules.Scale`."""
        cls = self._member(dotted, "class", inspect.isclass)
        if any(map(self.is_base, cls.__mro__)):  # its module may define further bases
            self._homes.add(dotted.rpartition(".")[0])
        return cls

    def _member(self, dotted: str, kind: str, fits: Callable[[Any], bool]) -> Any:
        """Get a member of a custom module, or of an installed one."""
        name, _, member_name = dotted.rpartition(".")
        if why := forbids("import", name, self.folder):
            raise LookupError(f"{dotted!r} would be imported, {why}")
        try:
            module, files = import_from(self.folder, name)
        except ImportError as error:
            raise LookupError(str(error)) from error
        member = getattr(module, member_name, None)
        if not fits(member):
            known = [key for key, value in vars(module).items() if fits(value)]
            raise LookupError(
                f"the module {name!r} has no {kind} {member_name!r}{format_suggestion(member_name, known)}"
            )
        self.sources |= files
        self.imported.add(name)
        return member
