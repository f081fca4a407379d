"""The top-level keys of a config."""

from types import GenericAlias
from typing import Annotated, Any, Literal

from pydantic import Field

from .catalog import Catalog, Role, is_loss
from .checker import Checker
from .errors import ConfigError, Problem, format_suggestion
from .nodes import Entries, Items, Node, Scalar, convert_to_plain
from .signatures import Accepted
from .specs import Spec, iterate_specs
from .sweeps import read_sweep
from .values import describe_value

__all__ = ["ADDABLE", "KEYS", "TopLevel"]

KEYS = (
    "seed",
    "dtype",
    "dataset",
    "augment",
    "model",
    "loss",
    "optimizer",
    "rule",
    "trainer",
    "schedules",
    "callbacks",
)
ADDABLE = ("rule", "trainer", "schedules")  # by overrides and sweeps, where the file has none
REQUIRED = ("dataset", "model", "loss", "optimizer")
GIVEN_ELSEWHERE = {*KEYS, "valid"}


class TopLevel:
    """Checks a whole config; the attributes are named like its keys.

    Args: root: the tree; catalog: finds classes; problems: what is wrong is added to it.
    Errors: ConfigError if the root is no mapping.
    """

    def __init__(self, root: Node, catalog: Catalog, problems: list[Problem]) -> None:
        if not isinstance(root, Entries):
            empty = isinstance(root, Scalar) and root.value is None
            description = "it is empty" if empty else f"got {describe_value(convert_to_plain(root))}"
            message = f"a config is a mapping with the keys {', '.join(KEYS)}; {description}"
            raise ConfigError([*problems, Problem(root.place, (), message)])
        self.root = root
        self.catalog = catalog
        self.problems = problems
        self.check = Checker(catalog, problems, root.place.source)
        fit = Accepted.of(catalog.exported["Trainer"].fit, catalog.exported)
        self.accepted_settings = fit.settings("trainer", without=GIVEN_ELSEWHERE)
        self._keys()
        self.seed: int = self._plain("seed", Annotated[int, Field(ge=0, lt=2**64)], default=0)
        self.dtype: str = self._plain("dtype", Literal["float32", "float64"], default="float32")
        self.dataset = self._object("dataset", "Dataset")
        self.model = self._model()
        self.loss = self._object("loss", "Module", loss=True)
        self.optimizer = self._object("optimizer", "Optimizer")
        self.rule = None if self._is_null("rule") else self._object("rule", "Rule")
        self.trainer = self._settings()
        self.schedules = self._schedules()
        self.augment = self._objects("augment", "Augment")
        self.callbacks = self._objects("callbacks", "Callback")
        self.sweep = read_sweep(root.nodes.get("sweep"), root, ADDABLE, problems, catalog.folder)

    def _keys(self) -> None:
        for key, place in self.root.places.items():
            if key == "include":
                message = "stands in a file alone, not in an override"
                self.problems.append(Problem(place, (key,), message))
            elif key not in (known := (*KEYS, "sweep", "include")):
                guess = self._meant_inside(key) or format_suggestion(key, known) or f"; known: {', '.join(known)}"
                self.problems.append(Problem(place, (key,), f"unknown key{guess}"))
        for key in REQUIRED:
            if key not in self.root.nodes:
                self.problems.append(Problem(self.root.place, (), f"the key {key!r} is missing"))

    def _meant_inside(self, key: str) -> str:
        """Suggest where a setting of the trainer or of the optimizer belongs, such as `lr` at the top."""
        optimizer = self.root.nodes.get("optimizer")
        name = (
            next(iter(optimizer.nodes), None)
            if isinstance(optimizer, Entries)
            else convert_to_plain(optimizer or self.root)
        )
        cls = self.catalog.exported.get(name) if isinstance(name, str) else None
        settings = Accepted.of(cls, self.catalog.exported).named if cls is not None else {}
        paths = [f"trainer.{each}" for each in self.accepted_settings.named]
        paths += [f"optimizer.{name}.{each}" for each in settings]
        matches = [path for path in paths if path.rpartition(".")[2] == key]
        return f"; did you mean {matches[0]!r}?" if matches else ""

    def _plain(self, key: str, annotation: Any, default: Any) -> Any:
        node = self.root.nodes.get(key)
        return default if node is None else self.check.value(node, annotation, (key,))

    def _is_null(self, key: str) -> bool:
        node = self.root.nodes.get(key)
        return isinstance(node, Scalar) and node.value is None

    def _role(self, base: str, *, loss: bool = False) -> Role:
        return Role((self.catalog.exported[base],), "loss" if loss else base, loss)

    def _object(self, key: str, base: str, *, loss: bool = False) -> Spec | None:
        node = self.root.nodes.get(key)
        return None if node is None else self.check.object(node, self._role(base, loss=loss), (key,))

    def _model(self) -> Spec | None:
        """Check the model: one object, or a list as a Sequential; not a loss."""
        model: Spec | None
        node = self.root.nodes.get("model")
        if isinstance(node, Items):
            sequential = self.catalog.exported["Sequential"]
            accepted = Accepted.of(sequential, self.catalog.exported)
            arguments = self.check.arguments(node, accepted, node.place, ("model",))
            model = Spec(sequential, "Sequential", accepted, arguments, node.place, ("model",))
        else:
            model = self._object("model", "Module")
        for spec in iterate_specs(model):
            if is_loss(spec.cls):
                message = f"{spec.name} is a loss, which stands under 'loss' and not in the model"
                self.problems.append(Problem(spec.place, spec.path, message))
        return model

    def _settings(self) -> dict[str, Any]:
        """Check the keyword arguments of `Trainer.fit`."""
        node = self.root.nodes.get("trainer")
        place = self.root.places.get("trainer", self.root.place)
        return self.check.arguments(node, self.accepted_settings, place, ("trainer",))

    def _schedules(self) -> dict[str, Spec | None]:
        """Check a schedule for each path of a setting."""
        node = self.root.nodes.get("schedules")
        if node is None or (isinstance(node, Scalar) and node.value is None):
            return {}
        if not isinstance(node, Entries):
            message = f"expected settings and their schedules, got {describe_value(convert_to_plain(node))}"
            self.problems.append(Problem(node.place, ("schedules",), message))
            return {}
        return self.check.value(node, GenericAlias(dict, (str, self.catalog.exported["Schedule"])), ("schedules",))

    def _objects(self, key: str, base: str) -> list[Spec | None]:
        """Check a list of objects, which may be left out."""
        node = self.root.nodes.get(key)
        if node is None or (isinstance(node, Scalar) and node.value is None):
            return []
        return self.check.value(node, GenericAlias(list, self.catalog.exported[base]), (key,))
