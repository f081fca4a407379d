"""A checked config: model, data set, loss, optimizer and settings, from a YAML file and overrides.

Reading a config checks all of it without making any object; `build` makes the objects; neither reads data.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .catalog import PACKAGES, Catalog
from .compatibility import (
    check_augment,
    check_memory,
    check_rule,
    check_schedules,
    check_shapes,
    prepare_callbacks,
    share_ignore_index,
)
from .config_files import find_config, read_text
from .data_paths import iterate_path_arguments
from .errors import ConfigError, Problem
from .includes import resolve_includes
from .nodes import Node, read_yaml
from .overrides import apply_override
from .permissions import forbids
from .references import resolve_references
from .signatures import Accepted
from .specs import build, iterate_specs
from .sweeps import Sweep
from .toplevel import ADDABLE, KEYS, TopLevel
from .yaml_writer import add_defaults, dump_yaml

__all__ = ["Config", "Experiment", "load_config", "parse_config"]

OBJECTS = ("model", "loss", "optimizer", "rule", "dataset", "augment", "schedules", "callbacks")


@dataclass(frozen=True)
class Experiment:
    """The objects of a config; `settings` are keyword arguments of `Trainer.fit`."""

    dataset: Any
    model: Any
    loss: Any
    optimizer: Any
    rule: Any
    augment: list[Any]
    schedules: dict[str, Any]
    callbacks: list[Any]
    settings: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Config:
    """A config without mistakes that reading can find.

    `path` is its file, None for a config from a string; `specs` describes the objects and `settings` the
    keyword arguments of `Trainer.fit`; `sweep` is what `bprop sweep` trains.
    """

    path: Path | None
    seed: int
    dtype: str
    specs: dict[str, Any]
    settings: dict[str, Any]
    accepted_settings: Accepted
    catalog: Catalog
    sweep: Sweep | None = None

    @property
    def sources(self) -> tuple[Path, ...]:
        """The files of the custom modules that the config names, and of what these import from beside it."""
        return tuple(self.catalog.sources)

    @property
    def imported(self) -> list[str]:
        """The names of the modules that the config has imported."""
        return sorted(self.catalog.imported)

    @property
    def written_folders(self) -> list[str]:
        """The folders that callbacks are told to write to."""
        return [str(folder) for _, _, folder in iterate_written_folders(self.specs["callbacks"])]

    @property
    def paths(self) -> dict[str, str]:
        """The absolute path at each key of the config that takes one, such as `dataset.CsvDataset.path`."""
        return dict(iterate_path_arguments(self.specs))

    def build(
        self, preprocessing: Any = None, vocabulary: Any = None, receive: Callable[[Any], None] | None = None
    ) -> Experiment:
        """New objects, in the config's dtype, from the config's seed: alike at every call.

        The seed starts `get_generator()` anew, and the global generators of NumPy and of Python's `random`.

        Args: preprocessing: of a table, in place of the one that the data set would fit to it; vocabulary: of a text,
            likewise; receive: writes into the data set what another process has read.
        Errors: ConfigError, with the line of the config, for arguments that a class refuses, for layers that
            do not fit each other, for a model that does not fit its data set or loss, and for what else a class
            raises, with its line.
        """
        self._start_generators()
        problems: list[Problem] = []
        objects = {key: build(self.specs[key], problems) for key in OBJECTS}
        settings = build(self.settings, problems)
        if problems:
            raise ConfigError(problems)
        if preprocessing is not None:
            vars(objects["dataset"])["preprocessing"] = preprocessing
        if vocabulary is not None:
            vars(objects["dataset"])["vocabulary"] = vocabulary
        if receive is not None:
            receive(objects["dataset"])
        for module in (objects["model"], objects["loss"]):
            module.to(self.dtype)
        share_ignore_index(objects["dataset"], objects["loss"])
        check_shapes(objects["dataset"], objects["model"], objects["loss"], self.specs)
        batch_size = settings.get("batch_size", self.accepted_settings.named["batch_size"].default)
        check_memory(objects["dataset"], objects["model"], self.specs, batch_size)
        check_augment(objects, self.specs["augment"])
        check_rule(objects, self.specs["rule"])
        prepare_callbacks(objects, self.specs["callbacks"])
        check_schedules(objects, self.specs["schedules"])
        return Experiment(**objects, settings=settings)

    def build_net(self) -> tuple[Any, Any]:
        """The model and the loss alone, as `build` makes them, without the data set. Errors: as of `build`."""
        self._start_generators()
        problems: list[Problem] = []
        model, loss = (build(self.specs[key], problems) for key in ("model", "loss"))
        if problems:
            raise ConfigError(problems)
        return model.to(self.dtype), loss.to(self.dtype)

    def build_rule(self) -> Any:
        """The learning rule alone, or None. Errors: as of `build`."""
        problems: list[Problem] = []
        rule = build(self.specs["rule"], problems)
        if problems:
            raise ConfigError(problems)
        return rule

    def _start_generators(self) -> None:
        """Start all generators from which a constructor may draw."""
        self.catalog.exported["manual_seed"](self.seed)
        np.random.seed([self.seed % 2**32, self.seed // 2**32] if self.seed >= 2**32 else self.seed)
        random.seed(self.seed)

    def resolved(self) -> str:
        """The config as YAML with every override and default, without its sweep; reading that gives the same text."""
        model = self.specs["model"]
        entries = {
            "seed": self.seed,
            "dtype": self.dtype,
            **self.specs,
            "model": model.varargs if model.path == ("model",) else model,
            "trainer": self._resolved_settings(),
        }
        return dump_yaml({key: entries[key] for key in KEYS if key != "rule" or entries[key] is not None})

    def _resolved_settings(self) -> dict[str, Any]:
        """The settings with every default; epochs have a number unless steps are counted."""
        settings = add_defaults(self.settings, self.accepted_settings)
        if "epochs" in settings and settings["epochs"] is None and settings.get("steps") is None:
            settings["epochs"] = self.catalog.exported["Trainer"].default_epochs
        return settings


def iterate_written_folders(callbacks: Any) -> list[tuple[Any, str, Any]]:
    """Iterate over (callback, argument, folder) of callbacks that write to folders."""
    settings = [
        (spec, name, spec.arguments.get(name)) for spec in iterate_specs(callbacks) for name in ("folder", "path")
    ]
    return [each for each in settings if each[2] is not None]


def load_config(source: str | Path, overrides: Iterable[str] = (), *, packages: Sequence[str] = PACKAGES) -> Config:
    """Load the config in a file.

    Args: source: path of the file, or name of a packaged config; overrides: `key.path=value` each;
        packages: those whose exported names a config may use. Paths in the file start at its folder, those in overrides
        at the working folder; in the config all are absolute.
    Errors: ConfigError with everything that is wrong.
    """
    path = find_config(source)
    problems: list[Problem] = []
    root = read_yaml(read_text(path), str(path), problems)
    root = resolve_includes(root, path.parent, problems, (path.resolve(),))
    return replace(_check_tree(root, overrides, path.parent, packages, problems), path=path)


def parse_config(
    text: str,
    overrides: Iterable[str] = (),
    *,
    source: str = "config",
    folder: Path | None = None,
    packages: Sequence[str] = PACKAGES,
) -> Config:
    """Parse the config in a string; `source` names it in messages, `folder` holds custom modules and included files."""
    problems: list[Problem] = []
    root = resolve_includes(read_yaml(text, source, problems), folder or Path(), problems)
    return _check_tree(root, overrides, folder, packages, problems)


def _check_tree(
    root: Node, overrides: Iterable[str], folder: Path | None, packages: Sequence[str], problems: list[Problem]
) -> Config:
    """Check the tree of a config; ConfigError with these problems and all others."""
    for override in overrides:
        try:
            root = apply_override(root, override, addable=ADDABLE)
        except ConfigError as error:
            problems.extend(error.errors)
    before = len(problems)
    root = resolve_references(root, problems)
    if len(problems) > before:  # what the references stand for is not known
        raise ConfigError(problems)
    catalog = Catalog(packages, folder)
    top = TopLevel(root, catalog, problems)
    for spec, name, written_to in iterate_written_folders(top.callbacks):
        if why := forbids("write", str(written_to), folder):
            place, path = spec.within((name,))
            problems.append(Problem(place, path, f"{spec.name} would write to {str(written_to)!r}, {why}"))
    if problems:
        raise ConfigError(problems)
    return Config(
        path=None,
        seed=top.seed,
        dtype=top.dtype,
        specs={key: getattr(top, key) for key in OBJECTS},
        settings=top.trainer,
        accepted_settings=top.accepted_settings,
        catalog=catalog,
        sweep=top.sweep,
    )
