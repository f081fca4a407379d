"""Paths in a config: a relative path starts at the folder of the file that contains it.

What is written in no file of the user's starts at the working folder: an override on the command line, the default of
a class, and a config that comes with bprop. All become absolute here, so that a run means the same files ever after.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from ...datasets.files.paths import expand_path
from .config_files import list_packaged_configs
from .errors import Place, format_path
from .nodes import Items, Node, Scalar
from .signatures import Accepted, list_union_members
from .specs import iterate_specs

__all__ = [
    "find_path_defaults",
    "find_start_folder",
    "is_path",
    "iterate_path_arguments",
    "make_absolute",
    "make_paths_absolute",
]


def is_path(annotation: Any) -> bool:
    """Whether an argument of this type takes a path."""
    return any(
        isinstance(option, type) and issubclass(option, os.PathLike) for option in list_union_members(annotation)
    )


def find_start_folder(place: Place, folder: Path | None, source: str) -> Path:
    """Find the folder at which a relative path starts that is written at this place.

    Args: folder: that of the config, if it has one; source: the name of the config in places.
    """
    if place.line is None:
        return Path()
    start = (folder or Path()) if place.source == source else Path(place.source).parent
    packaged = {file.parent for file in list_packaged_configs().values()}
    return Path() if start.resolve() in packaged else start


def make_absolute(text: str | Path, start: Path) -> str:
    """Make a path absolute, from a folder on; `~` is expanded, "" stays. Errors: ValueError without a home."""
    return os.path.abspath(start / expand_path(text)) if str(text) else ""


def make_paths_absolute(value: Any, node: Node, annotation: Any, folder: Path | None, source: str) -> Any:
    """Make an argument's value absolute, if it is a path or a list of paths."""
    if isinstance(value, str | Path) and isinstance(node, Scalar) and is_path(annotation):
        return make_absolute(value, find_start_folder(node.place, folder, source))
    if isinstance(value, list | tuple) and isinstance(node, Items) and len(node.nodes) == len(value):
        inner = next(
            (one for option in list_union_members(annotation) for one in get_args(option) if is_path(one)), None
        )
        if inner is not None:
            pairs = zip(value, node.nodes, strict=True)
            return [make_paths_absolute(item, each, inner, folder, source) for item, each in pairs]
    return value


def find_path_defaults(accepted: Accepted, arguments: dict[str, Any]) -> dict[str, str]:
    """Find the default paths of a class, made absolute from the working folder on."""
    return {
        name: make_absolute(parameter.default, Path())
        for name, parameter in accepted.named.items()
        if name not in arguments and isinstance(parameter.default, str | Path) and is_path(parameter.annotation)
    }


def iterate_path_arguments(value: Any) -> Iterator[tuple[str, str]]:
    """Iterate over (key, path) of the paths in the objects of a config: `dataset.CsvDataset.path`."""
    for spec in iterate_specs(value):
        for name, setting in spec.arguments.items():
            parameter = spec.accepted.named.get(name) or spec.accepted.varkw
            if isinstance(setting, str) and parameter is not None and is_path(parameter.annotation):
                yield format_path((*spec.path, name)), setting
