"""Including configs in others, for what several experiments share.

The included files come first, the file that includes them has the last word: mappings are merged key by key, and all
else is replaced, also an object of another class (`SGD: {...}` by `Adam: {...}`).
"""

from pathlib import Path
from typing import Any

from ...datasets.files.paths import expand_path
from .config_files import list_packaged_configs, read_text
from .errors import ConfigError, Place, Problem, format_suggestion
from .nodes import Entries, Items, Node, Scalar, convert_to_plain, read_yaml
from .permissions import forbids, is_inside
from .values import describe_value

__all__ = ["resolve_includes"]


def resolve_includes(root: Node, folder: Path, problems: list[Problem], within: tuple[Path, ...] = ()) -> Node:
    """Resolve the key `include` of a tree: merge the included trees below it.

    Args: folder: where the named files are looked for; packaged configs are found by name; within: the files that lead
        here, which cannot be included again; problems: what is wrong is added to it.
    """
    if not isinstance(root, Entries) or "include" not in root.nodes:
        return root
    own = Entries(root.place, dict(root.nodes), dict(root.places))
    del own.nodes["include"], own.places["include"]
    base: Node = Entries(root.place, {}, {})
    for place, name in _read_names(root.nodes["include"], problems):
        try:
            base = merge_nodes(base, _read_included(place, name, folder, problems, within))
        except ConfigError as error:
            problems.extend(error.errors)
    return merge_nodes(base, own)


def merge_nodes(below: Node, above: Node) -> Node:
    """Merge mappings key by key, with the later places; other values are those of `above`."""
    if not (isinstance(below, Entries) and isinstance(above, Entries)) or _is_other_class(below, above):
        return above
    both = {key: merge_nodes(below.nodes[key], node) for key, node in above.nodes.items() if key in below.nodes}
    return Entries(above.place, {**below.nodes, **above.nodes, **both}, {**below.places, **above.places})


def _is_other_class(below: Entries, above: Entries) -> bool:
    """Whether both are objects, of different classes."""
    names = [next(iter(each.nodes)) if len(each.nodes) == 1 else None for each in (below, above)]
    return names[0] != names[1] and all(str(name or "").rpartition(".")[2][:1].isupper() for name in names)


def _read_names(node: Node, problems: list[Problem]) -> list[tuple[Place, str]]:
    """Read the names and places of included files."""
    names = []
    for item in node.nodes if isinstance(node, Items) else (node,):
        if isinstance(item, Scalar) and isinstance(item.value, str) and item.value:
            names.append((item.place, item.value))
        else:
            message = f"expected the name of a file, or a list of them, got {describe_value(convert_to_plain(item))}"
            problems.append(Problem(item.place, ("include",), message))
    return names


def _read_included(place: Place, name: str, folder: Path, problems: list[Problem], within: tuple[Path, ...]) -> Node:
    """Read the tree of an included file, with its own includes."""
    packaged: dict[str, Any] = list_packaged_configs()
    try:
        path, top = folder / expand_path(name), within[0].parent if within else folder
    except ValueError as error:
        raise ConfigError.at(place, ("include",), str(error)) from None
    if not is_inside(path, top) and (why := forbids("include", str(path), top)):
        raise ConfigError.at(place, ("include",), f"{str(path)!r} lies outside of the config's folder, {why}")
    if not _is_file(path):
        if name not in packaged:
            guess = format_suggestion(name, packaged)
            raise ConfigError.at(place, ("include",), f"there is no file {str(path)!r}{guess}")
        path = packaged[name]
    if path.resolve() in within:
        way = " -> ".join(file.name for file in (*within[within.index(path.resolve()) :], path))
        raise ConfigError.at(place, ("include",), f"{str(path)!r} includes itself: {way}")
    root = read_yaml(read_text(path), str(path), problems)
    if not isinstance(root, Entries):
        nodes = (
            describe_value(convert_to_plain(root)) if is_inside(path, top) else "something else"
        )  # which may be a secret
        raise ConfigError.at(root.place, (), f"an included config is a mapping, got {nodes}")
    return resolve_includes(root, path.parent, problems, (*within, path.resolve()))


def _is_file(path: Path) -> bool:
    """Whether there is such a file; a name that the system cannot have is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
