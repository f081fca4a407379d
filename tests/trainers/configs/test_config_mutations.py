"""Configs damaged in many ways: each is built, or refused with a message that names the place, and nothing is written.

BPROP_EXAMPLES=2000 tries more of them, and trains those that are not refused.
"""

import json
import os
import re
import shutil
from itertools import count

import pytest
from bprop.trainers import cli
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("BPROP_EXAMPLES", "100"))
CONFIG = {
    "seed": 1,
    "dtype": "float32",
    "dataset": {"Iris": {"valid_size": 0.2, "standardize": True}},
    "model": [
        {"Linear": {"in_features": 4, "out_features": "${model.2.Linear.in_features}"}},
        "Tanh",
        {"Linear": {"in_features": 8, "out_features": 6, "weight_init": {"Normal": {"std": 0.1}}}},
        {"Sequential": ["Sigmoid", {"Dropout": {"p": 0.1}}]},
        {"Residual": [{"Linear": {"in_features": 6, "out_features": 6}}]},
        {"Linear": {"in_features": 6, "out_features": 3, "bias": False}},
    ],
    "loss": {"SoftmaxCrossEntropy": {"label_smoothing": 0.1}},
    "optimizer": {"SGD": {"lr": 0.1, "momentum": 0.9, "groups": [{"Group": {"match": "*.bias", "lr_factor": 0.5}}]}},
    "trainer": {"epochs": 2, "batch_size": 16, "metrics": ["accuracy", {"TopK": {"k": 2}}]},
    "schedules": {"optimizer.lr": {"CosineSchedule": {"per": "step"}}},
    "callbacks": [{"EarlyStopping": {"monitor": "valid_loss", "patience": 3}}],
}
NUMBERS = [
    0,
    1,
    -1,
    2,
    7,
    10**12,
    10**30,
    -(10**30),
    2**63,
    2**64,
    1e-300,
    1e300,
    1e-320,
    float("inf"),
    float("-inf"),
    float("nan"),
    0.5,
    -0.0,
]
TEXTS = [
    "",
    "x",
    "Tanh",
    "SGD",
    "é",
    "日本",
    "\U0001f600",
    "a b",
    "${seed}",
    "${model}",
    "${",
    "1",
    "null",
    "\x07",
    "\x1b[31m",
    "\u202e",
    "a.B",
    "-",
    "x" * 1001,
]
OTHERS = [None, True, False, [], {}, [[]], {"Tanh": None}, ["Tanh"], {"": 1}, {"seed": 1, "Tanh": 2}]
JUNK = [*NUMBERS, *TEXTS, *OTHERS]
WAYS = ["replace", "replace", "typo", "delete", "twice", "nest", "unwrap", "move"]


class Key(str):
    """A key that is equal to itself alone, so that a mapping may have it twice."""

    __eq__ = object.__eq__
    __hash__ = object.__hash__


def keyed(value):
    """A copy whose mappings take keys twice."""
    if isinstance(value, dict):
        return {Key(key): keyed(item) for key, item in value.items()}
    return [keyed(item) for item in value] if isinstance(value, list) else value


def places(value):
    """(collection, key) of everything in a tree."""
    items = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    for key, item in items:
        yield value, key
        yield from places(item)


def misspelt(text, i, letter):
    """The text with a letter left out, changed or added."""
    i %= len(text) + 1
    return text[:i] + [letter, ""][i % 2] + text[i + len(letter) % 2 + i % 3 // 2 :]


def mutate(config, where, way, junk, letter):
    """Damage one place of a config."""
    candidates = list(places(config))
    if not candidates:
        return
    holder, key = candidates[where % len(candidates)]
    value = holder[key]
    if way == "replace":
        holder[key] = keyed(junk)
    elif way == "typo" and isinstance(holder, dict) and where % 2:
        holder[Key(misspelt(key, where, letter))] = holder.pop(key)
    elif way == "typo":
        holder[key] = misspelt(value, where, letter) if isinstance(value, str) else keyed(junk)
    elif way == "delete":
        del holder[key]
    elif way == "twice":
        if isinstance(holder, list):
            holder.insert(key, value)
        else:
            holder[Key(key)] = value
    elif way == "nest":
        holder[key] = [value] if where % 2 else {Key(letter): value}
    elif way == "unwrap" and isinstance(value, dict | list) and value:
        holder[key] = next(iter(value.values())) if isinstance(value, dict) else value[0]
    elif way == "move":
        other, there = candidates[(where * 7) % len(candidates)]
        if there in (other if isinstance(other, dict) else range(len(other))):
            holder[key] = keyed(json.loads(written(other[there])))


def written(value):
    """As YAML, in the words of JSON where it has them."""
    text = json.dumps(value, ensure_ascii=False)
    return text.replace("-Infinity", "-.inf").replace("Infinity", ".inf").replace("NaN", ".nan")


mutations = st.tuples(st.integers(0, 10**6), st.sampled_from(WAYS), st.sampled_from(JUNK), st.sampled_from("xZ_ .é\n0"))
numbers = count()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    before = os.getcwd()
    folder = tmp_path_factory.mktemp("mutations")
    os.chdir(folder)
    yield folder
    os.chdir(before)


@settings(max_examples=EXAMPLES, derandomize=EXAMPLES == 100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(mutations, min_size=1, max_size=3))
def test_a_mutated_config_is_built_or_refused(folder, capsys, chosen):
    config = keyed(CONFIG)
    for one in chosen:
        mutate(config, *one)
    (folder / "c.yaml").write_text(written(config), encoding="utf-8")
    status = cli.main(["train", "c.yaml", "--dry-run", "--no-imports"])
    out, err = capsys.readouterr()
    assert [path.name for path in folder.iterdir()] == ["c.yaml"]
    if status == 0:
        assert out.startswith("model ")
        if EXAMPLES > 100:
            trained(config, folder, capsys)
        return
    assert status == 2
    problems = [line for line in err.removeprefix("bprop: error:").splitlines() if line and line[:2] != "  "]
    assert problems
    for line in problems:
        assert re.match(r" ?(c\.yaml:\d+:\d+: |[\w.]+(\(.*\))?: )", line), err  # the data are refused by who reads them
    assert "Traceback" not in err


def trained(config, folder, capsys):
    """What a dry run takes is trained, or fails with a reason; never for more than two epochs."""
    epochs = next((value for key, value in (config.get("trainer") or {}).items() if key == "epochs"), 2)
    more = [f"trainer.epochs={min(epochs, 2)}"] if isinstance(epochs, int) else []
    status = cli.main(["train", "c.yaml", "--no-imports", "--quiet", "--run", str(folder / "run"), *more])
    err = capsys.readouterr().err
    files = {path.name for path in (folder / "run").iterdir()}
    shutil.rmtree(folder / "run")
    if status == 0:
        assert {"config.yaml", "summary.json", "model.safetensors"} <= files
        return
    assert status in (1, 2)
    assert err.startswith("bprop: error: ")
    assert "Traceback" not in err
    assert status == 2 or "summary.json" in files, err


def test_the_config_is_right_as_it_is(folder, capsys):
    (folder / "c.yaml").write_text(written(keyed(CONFIG)), encoding="utf-8")
    assert cli.main(["train", "c.yaml", "--dry-run", "--no-imports"]) == 0, capsys.readouterr().err
