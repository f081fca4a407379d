"""The JSON Schema of configs, for editors; made from the same signatures that checks use.

An editor sees less than `bprop train` does: it knows names and types, and nothing of shapes or of custom modules.
"""

import inspect
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import ConfigDict, Field, PydanticUserError, TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema

from .catalog import Catalog, Role
from .signatures import LISTS, MAPPINGS, Accepted, find_item_type, list_union_members
from .sweeps import COMBINATIONS
from .toplevel import GIVEN_ELSEWHERE, REQUIRED
from .values import convert_annotation

__all__ = ["make_config_schema"]

DRAFT = "http://json-schema.org/draft-07/schema#"
DOTTED = r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$"
Schema = dict[str, Any]


def make_config_schema(catalog: Catalog | None = None) -> Schema:
    """Make the schema of the whole config, in draft 7, which editors support best."""
    return SchemaOfConfigs(catalog or Catalog()).schema()


class SchemaOfConfigs:
    """Collects the definitions of the schema: a role for each base class, arguments for each class."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.definitions: dict[str, Schema] = {}

    def schema(self) -> Schema:
        """Make the schema of the top-level keys."""
        exported, module = self.catalog.exported, self.role("Module")
        fit = Accepted.of(exported["Trainer"].fit, exported).settings("trainer", without=GIVEN_ELSEWHERE)
        keys = {
            "include": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
            "sweep": {"type": ["object", "null"], "properties": {name: {"type": "object"} for name in COMBINATIONS}},
            "seed": self.value(Annotated[int, Field(ge=0, lt=2**64)]),
            "dtype": self.value(Literal["float32", "float64"]),
            "dataset": self.role("Dataset"),
            "augment": {"type": ["array", "null"], "items": self.role("Augment")},
            "model": {"anyOf": [{"type": "array", "items": module}, module]},
            "loss": self.role("Loss"),
            "optimizer": self.role("Optimizer"),
            "rule": {"anyOf": [{"type": "null"}, self.role("Rule")]},
            "trainer": self.arguments(fit),
            "schedules": {"type": ["object", "null"], "additionalProperties": self.role("Schedule")},
            "callbacks": {"type": ["array", "null"], "items": self.role("Callback")},
        }
        top = {"type": "object", "properties": keys, "additionalProperties": False}
        top["anyOf"] = [{"required": list(REQUIRED)}, {"required": ["include"]}]
        return {"$schema": DRAFT, "title": "a config of bprop", **top, "definitions": self.definitions}

    def role(self, *bases: str) -> Schema:
        """Make the schema of a base class: a class name, or one with arguments; a dotted name may be anything."""
        name = " or ".join(bases)
        if name not in self.definitions:
            self.definitions[name] = {}  # it may contain itself
            self.definitions[name] = self._alternatives(bases)
        return {"$ref": f"#/definitions/{name}"}

    def _alternatives(self, bases: tuple[str, ...]) -> Schema:
        role = Role(tuple(self.catalog.classes[base] for base in bases), "", loss=bases == ("Loss",))
        classes = {name: self.catalog.classes[name] for name in self.catalog.names(role)}
        accepted = {name: Accepted.of(cls, self.catalog.exported) for name, cls in classes.items()}
        with_arguments = {name: self._defined(name, each, classes[name]) for name, each in accepted.items()}
        return {
            "anyOf": [
                {"enum": [name for name, each in accepted.items() if not each.required]},
                {"type": "string", "pattern": DOTTED},
                {
                    "type": "object",
                    "properties": with_arguments,
                    "patternProperties": {DOTTED: True},
                    "additionalProperties": False,
                    "minProperties": 1,
                    "maxProperties": 1,
                },
            ]
        }

    def _defined(self, name: str, accepted: Accepted, cls: type) -> Schema:
        """Make a reference to a class's arguments, with the first line of its docstring."""
        key = f"arguments of {name}"
        if key not in self.definitions:
            self.definitions[key] = {}
            text = (inspect.getdoc(cls) or "").partition("\n")[0]
            self.definitions[key] = {"description": text, **self.arguments(accepted)}
        return {"$ref": f"#/definitions/{key}"}

    def arguments(self, accepted: Accepted) -> Schema:
        """Make the schema of arguments by name; a list for *args; nothing where nothing is required."""
        properties = {name: self._argument(parameter) for name, parameter in accepted.named.items()}
        several = accepted.varargs and {"type": "array", "items": self.value(accepted.varargs.annotation)}
        if accepted.varargs and several:
            properties[accepted.varargs.name] = several
        by_name = {
            "type": "object",
            "properties": properties,
            "required": accepted.required,
            "additionalProperties": accepted.varkw is not None,
        }
        others = [several] if several else []
        others += [] if accepted.required else [{"type": "null"}]
        return {"anyOf": [by_name, *others]} if others else by_name

    def _argument(self, parameter: inspect.Parameter) -> Schema:
        """Make the schema of an argument; its default may be written out whatever the annotation says."""
        schema, default = self.value(parameter.annotation), parameter.default
        if default is parameter.empty or not (default is None or isinstance(default, bool | int | float | str)):
            return schema
        if default is None and schema and not admits_null(parameter.annotation):
            schema = {"anyOf": [schema, {"type": "null"}]}
        schema = {"allOf": [schema]} if "$ref" in schema else schema  # draft 7 reads nothing beside a $ref
        return {**schema, "default": default}

    def value(self, annotation: Any) -> Schema:
        """Make the schema of a type; {} accepts anything."""
        options = list_union_members(annotation)
        if annotation is Any:
            return {}
        if len(options) > 1:
            bases = [option for option in options if self.catalog.is_base(option)]
            schemas = [self.value(option) for option in options if option not in bases]
            schemas += [self._object(bases)] if bases else []
            return (
                {"anyOf": [each for i, each in enumerate(schemas) if each not in schemas[:i]]} if all(schemas) else {}
            )
        if self.catalog.is_base(annotation):
            return self._object([annotation])
        origin, inner = get_origin(annotation), get_args(annotation)
        if origin in LISTS and self._holds_objects(inner):
            fixed = origin is tuple and ... not in inner
            items = [self.value(each) for each in inner] if fixed else self.value(find_item_type(inner, 0))
            return {"type": "array", "items": items} | (
                {"minItems": len(inner), "maxItems": len(inner)} if fixed else {}
            )
        if origin in MAPPINGS and self._holds_objects(inner):
            return {"type": "object", "additionalProperties": self.value(inner[1])}
        return make_plain_schema(annotation)

    def _object(self, bases: list[type]) -> Schema:
        names = [base.__name__ for base in bases]
        return self.role(*names) if all(name in self.catalog.classes for name in names) else {}

    def _holds_objects(self, inner: tuple[Any, ...]) -> bool:
        members = [member for each in inner for member in list_union_members(each)]
        return any(self.catalog.is_base(member) or self._holds_objects(get_args(member)) for member in members)


def admits_null(annotation: Any) -> bool:
    """Whether None is among the types."""
    return any(option in (None, type(None)) for option in list_union_members(annotation))


def make_plain_schema(annotation: Any) -> Schema:
    """Make pydantic's schema of a type without objects; a function is written as its dotted name."""
    if annotation is float:
        return {"type": "number"}
    if getattr(get_origin(annotation), "__name__", "") == "Callable":
        return {"type": "string", "pattern": DOTTED}
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(
            convert_annotation(annotation), config=ConfigDict(arbitrary_types_allowed=True)
        )
        return adapter.json_schema()
    except (PydanticUserError, PydanticInvalidForJsonSchema):
        return {}
