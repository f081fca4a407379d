"""Writing a checked config as YAML, with all default arguments.

Reading that text gives the same text again, so it says all there is to know about a run.
"""

import io
from inspect import Parameter
from pathlib import PurePath
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from .nodes import parse_core_value
from .signatures import Accepted
from .specs import Spec

__all__ = ["add_defaults", "dump_yaml"]


def dump_yaml(entries: dict[str, Any]) -> str:
    """Format a config's top level as YAML, in this order."""
    yaml = YAML()
    yaml.width = 1000
    yaml.indent(mapping=2, sequence=4, offset=2)
    stream = io.StringIO()
    yaml.dump({_node(key): _node(value) for key, value in entries.items()}, stream)
    return stream.getvalue()


def add_defaults(arguments: dict[str, Any], accepted: Accepted) -> dict[str, Any]:
    """Add to the arguments, in the order of the signature, the defaults that YAML can express."""
    everything = {}
    for name, parameter in accepted.named.items():
        if name in arguments:
            everything[name] = arguments[name]
        elif parameter.default is not Parameter.empty and _is_plain(parameter.default):
            everything[name] = parameter.default
    return {**everything, **arguments}


def _node(value: Any) -> Any:
    """Convert a value to the library's nodes; values without objects stand on one line."""
    match value:
        case Spec():
            return _object(value)
        case dict():
            entries = CommentedMap({_node(key): _node(item) for key, item in value.items()})
            return _on_one_line(entries) if _is_plain(value) else entries
        case list() | tuple():
            items = CommentedSeq(map(_node, value))
            return _on_one_line(items) if _is_plain(value) else items
        case set() | frozenset():
            return _node(sorted(value, key=repr))
        case PurePath():
            return _node(str(value))
        case str():
            value = value.replace("${", "$${")
            return value if parse_core_value(value) == value else DoubleQuotedScalarString(value)
        case _:
            return value


def _object(spec: Spec) -> Any:
    """Convert an object: a class name, with its arguments below, or the list for *args alone."""
    arguments = add_defaults(spec.arguments, spec.accepted)
    if not arguments:
        return spec.name
    varargs = spec.accepted.varargs
    only_list = varargs is not None and list(arguments) == [varargs.name]
    return {spec.name: _node(spec.varargs if only_list else arguments)}


def _on_one_line(collection: Any) -> Any:
    collection.fa.set_flow_style()
    return collection


def _is_plain(value: Any) -> bool:
    """Whether YAML can express the value without an object."""
    if isinstance(value, dict):
        return all(_is_plain(key) and _is_plain(item) for key, item in value.items())
    if isinstance(value, list | tuple | set | frozenset):
        return all(map(_is_plain, value))
    return value is None or type(value) in (bool, int, float, str) or isinstance(value, PurePath)
