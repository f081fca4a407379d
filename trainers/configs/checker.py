"""Checks the tree of a config against the signatures of the classes it names, and makes the specs to build.

One rule holds everywhere: an object is a class name, or a class name with its arguments. Each mistake is
added to `problems` and the check goes on, so a config's mistakes are all shown at once.
"""

from collections.abc import Callable
from inspect import Parameter
from typing import Any, Union, get_args, get_origin

from .catalog import Catalog, Role, is_dotted
from .data_paths import find_path_defaults, make_paths_absolute
from .errors import Path, Place, Problem, format_key, format_suggestion
from .nodes import Entries, Items, Node, Scalar, convert_to_plain
from .signatures import LISTS, MAPPINGS, Accepted, find_item_type, format_type, list_union_members
from .specs import Spec
from .values import TypeMismatchError, check_value, describe_value

__all__ = ["Checker"]


class Checker:
    """Args: catalog: finds classes; problems: what is wrong is added to it; source: the config's name in places."""

    def __init__(self, catalog: Catalog, problems: list[Problem], source: str = "") -> None:
        self.catalog = catalog
        self.problems = problems
        self.source = source

    def object(self, node: Node, role: Role, path: Path) -> Spec | None:
        """Check a node as an object that fits the role."""
        name, arguments, place = _split_object(node)
        if name is None:
            self._report(node.place, path, f"expected {role.expected}, {_describe_nameless(node)}")
            return None
        try:
            cls = self.catalog.find(name, role)
            accepted = Accepted.of(cls, self.catalog.exported)
        except (LookupError, ValueError) as error:  # ValueError: a class written in C may have no signature
            self._report(place, path, str(error))
            return None
        path = (*path, name)
        values = self.arguments(arguments, accepted, place, path)
        return Spec(cls, name, accepted, values, place, path, _find_overrides(arguments, place), arguments)

    def arguments(self, node: Node | None, accepted: Accepted, place: Place, path: Path) -> dict[str, Any]:
        """Check a node as arguments: by name, or a list for a class that takes any number of them by position."""
        values: dict[str, Any] = {}
        if isinstance(node, Items) and accepted.varargs is not None:
            values[accepted.varargs.name] = self._positional(node, accepted.varargs, path)
        elif isinstance(node, Entries):
            values = self._by_name(node, accepted, path)
        elif node is not None and not _is_null(node):
            expected = "arguments as {name: value}" + (" or a list" if accepted.varargs else "")
            self._report(
                node.place, path, f"expected {expected}, got {describe_value(convert_to_plain(node))}", accepted
            )
            return {}
        written = node.nodes if isinstance(node, Entries) else ()
        missing = [repr(name) for name in accepted.required if name not in written]
        if missing:
            self._report(place, path, f"missing {', '.join(missing)}", accepted)
        return values | find_path_defaults(accepted, values)

    def value(self, node: Node, annotation: Any, path: Path) -> Any:
        """Check a node as a value of this type: plain, a Spec, or a list or mapping of either."""
        if annotation is Any:
            return self._unannotated(node, path)
        options = list_union_members(annotation)
        for option in filter(self._holds_objects, options):
            origin, inner = get_origin(option), get_args(option)
            if isinstance(node, Items) and origin in LISTS:
                return [self.value(item, find_item_type(inner, i), (*path, i)) for i, item in enumerate(node.nodes)]
            if isinstance(node, Entries) and origin in MAPPINGS:
                return {key: self.value(item, inner[1], (*path, key)) for key, item in node.nodes.items()}
        if any(get_origin(option) is Callable for option in options) and is_dotted(str(convert_to_plain(node))):
            return self._function(node, options, path)
        bases = tuple(filter(self.catalog.is_base, options))
        others = tuple(option for option in options if option not in bases and not self._holds_objects(option))
        if others and not (bases and self._names_class(node)):
            try:
                return check_value(convert_to_plain(node), Union[others])  # noqa: UP007
            except TypeMismatchError as error:
                if others == options:
                    return self._report(node.place, path, str(error))
        if bases and (isinstance(node, Entries) or isinstance(convert_to_plain(node), str)):
            return self.object(node, Role(bases, format_type(annotation)), path)
        return self._report(
            node.place, path, f"expected {format_type(annotation)}, got {describe_value(convert_to_plain(node))}"
        )

    def _function(self, node: Node, options: tuple[Any, ...], path: Path) -> Spec | None:
        """Check a dotted name as a function, or as an object of the class."""
        name = str(convert_to_plain(node))
        try:
            function = self.catalog.function(name)
        except LookupError as error:
            self._report(node.place, path, str(error))
            return None
        bases = tuple(filter(self.catalog.is_base, options))
        if isinstance(function, type) and bases:
            return self.object(node, Role(bases, format_type(Union[bases])), path)  # noqa: UP007
        return Spec(lambda: function, name, Accepted(name, {}, None, None), {}, node.place, path)

    def _by_name(self, node: Entries, accepted: Accepted, path: Path) -> dict[str, Any]:
        values = {}
        for key, value in node.nodes.items():
            inner = (*path, key)
            if accepted.varargs is not None and key == accepted.varargs.name:
                values[key] = self._positional(value, accepted.varargs, inner)
            elif parameter := accepted.named.get(key) or accepted.varkw:
                values[key] = self._argument(value, parameter, inner)
            else:
                comma = "; a decimal point is a dot" if isinstance(key, int) else ""  # lr: 0,1 is two keys
                message = f"unknown argument{comma or format_suggestion(key, accepted.names)}"
                self._report(node.places[key], inner, message, accepted)
        return values

    def _argument(self, node: Node, parameter: Parameter, path: Path) -> Any:
        """Check a node as this argument; its default may be written out whatever the annotation says."""
        value = convert_to_plain(node)
        if type(value) is not type(parameter.default) or value != parameter.default:
            value = self.value(node, parameter.annotation, path)
        try:
            return make_paths_absolute(value, node, parameter.annotation, self.catalog.folder, self.source)
        except ValueError as error:  # of a home folder that is not known
            return self._report(node.place, path, str(error))

    def _positional(self, node: Node, varargs: Parameter, path: Path) -> list[Any]:
        """Check a node as the values of *args."""
        if not isinstance(node, Items):
            self._report(node.place, path, f"expected a list, got {describe_value(convert_to_plain(node))}")
            return []
        return [self.value(item, varargs.annotation, (*path, i)) for i, item in enumerate(node.nodes)]

    def _unannotated(self, node: Node, path: Path) -> Any:
        """Check a node as an argument without annotation: an object if it looks like one, else a plain value."""
        if self._names_class(node):
            return self.object(node, Role((object,), "a class"), path)
        if isinstance(node, Items):
            return [self._unannotated(item, (*path, i)) for i, item in enumerate(node.nodes)]
        if isinstance(node, Entries):
            return {key: self._unannotated(item, (*path, key)) for key, item in node.nodes.items()}
        return node.value

    def _names_class(self, node: Node) -> bool:
        """Whether a node is certainly an object: an exported name, or a dotted one with arguments."""
        name, arguments, _ = _split_object(node)
        return name is not None and (name in self.catalog.classes or (arguments is not None and is_dotted(name)))

    def _holds_objects(self, option: Any) -> bool:
        """Whether a type is that of a list or mapping whose values may be objects."""
        if get_origin(option) not in (*LISTS, *MAPPINGS):
            return False
        members = [member for inner in get_args(option) for member in list_union_members(inner)]
        return any(self.catalog.is_base(member) or self._holds_objects(member) for member in members)

    def _report(self, place: Place, path: Path, message: str, accepted: Accepted | None = None) -> None:
        hint = f"accepted: {accepted.line()}" if accepted else ""
        self.problems.append(Problem(place, path, message, hint))


def _split_object(node: Node) -> tuple[str | None, Node | None, Place]:
    """Split an object into its class name, its arguments if any are written, and the place of the name."""
    if isinstance(node, Scalar) and isinstance(node.value, str):
        return node.value, None, node.place
    if isinstance(node, Entries) and len(node.nodes) == 1:
        ((name, arguments),) = node.nodes.items()
        if isinstance(name, str):
            return name, arguments, node.places[name]
    return None, None, node.place


def _find_overrides(arguments: Node | None, place: Place) -> tuple[str, ...]:
    """Find the overrides that changed arguments of an object in the file."""
    if place.line is None or not isinstance(arguments, Entries):
        return ()
    return tuple(str(node.place) for node in arguments.nodes.values() if node.place.line is None)


def _describe_nameless(node: Node) -> str:
    """Describe what is wrong with a value that should be a class name, alone or with its arguments."""
    if isinstance(node, Entries) and len(node.nodes) > 1:
        keys = ", ".join(map(format_key, node.nodes))
        return f"got the keys {keys}; write one class name with its arguments indented below it"
    return f"got {describe_value(convert_to_plain(node))}; write a class name, alone or with its arguments"


def _is_null(node: Node) -> bool:
    return isinstance(node, Scalar) and node.value is None
