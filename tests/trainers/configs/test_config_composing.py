"""Configs of several files, and values that refer to other values."""

from itertools import pairwise

import pytest
from bprop.trainers import cli
from bprop.trainers.configs import ConfigError, load_config, no_imports, parse_config
from bprop.trainers.configs.includes import resolve_includes
from bprop.trainers.configs.nodes import convert_to_plain, read_yaml
from bprop.trainers.configs.references import resolve_references

BASE = """\
dataset: Iris
model:
  - Linear: {in_features: 4, out_features: 16}
  - Tanh
  - Linear: {in_features: "${model.0.Linear.out_features}", out_features: 3}
loss: SoftmaxCrossEntropy
optimizer:
  SGD: {lr: 0.1, momentum: 0.9}
trainer: {epochs: 20, batch_size: 10}
"""


@pytest.fixture
def files(tmp_path):
    """`files(name=text, ...)` writes name.yaml each; returns their folder."""

    def write(**texts):
        for name, text in texts.items():
            (tmp_path / f"{name}.yaml").write_text(text)
        return tmp_path

    return write


def included(folder, name):
    """The plain values of a file with what it includes."""
    path, problems = folder / f"{name}.yaml", []
    root = resolve_includes(read_yaml(path.read_text(), str(path), problems), folder, problems, (path.resolve(),))
    if problems:
        raise ConfigError(problems)
    return convert_to_plain(root)


def refused(function, *arguments):
    with pytest.raises(ConfigError) as caught:
        function(*arguments)
    return str(caught.value)


def resolved(text):
    problems = []
    root = resolve_references(read_yaml(text, "c.yaml", problems), problems)
    if problems:
        raise ConfigError(problems)
    return convert_to_plain(root)


def test_the_including_file_has_the_last_word(files):
    folder = files(base=BASE, top="include: base.yaml\ntrainer: {epochs: 2}\noptimizer: {SGD: {lr: 1}}\nseed: 3\n")
    config = load_config(folder / "top.yaml")
    assert (config.seed, config.settings) == (3, {"epochs": 2, "batch_size": 10})
    assert config.specs["optimizer"].arguments == {"lr": 1, "momentum": 0.9}
    assert "include" not in config.resolved()
    assert parse_config(config.resolved()).resolved() == config.resolved()


@pytest.mark.parametrize(
    ("below", "above", "both"),
    [
        ("a: {x: 1, y: 2}", "a: {y: 3, z: 4}", {"a": {"x": 1, "y": 3, "z": 4}}),
        ("a: [1, 2]", "a: [3]", {"a": [3]}),
        ("a: {x: 1}", "a:", {"a": None}),
        ("a: Tanh", "a: {Tanh: {x: 1}}", {"a": {"Tanh": {"x": 1}}}),
        ("a: {SGD: {lr: 1}}", "a: {my.Adam: {eps: 1}}", {"a": {"my.Adam": {"eps": 1}}}),
        ("a: {SGD: {lr: 1}}", "a: {SGD: {eps: 1}}", {"a": {"SGD": {"lr": 1, "eps": 1}}}),
        ("a: {optimizer.lr: 1}", "a: {model.0.p: 2}", {"a": {"optimizer.lr": 1, "model.0.p": 2}}),
    ],
)
def test_merging(files, below, above, both):
    assert included(files(below=below, above=f"include: below.yaml\n{above}"), "above") == both


def test_several_files_in_their_order_each_relative_to_its_own(files, tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "one.yaml").write_text("include: two.yaml\na: 1\n")
    (tmp_path / "inner" / "two.yaml").write_text("a: 2\nb: 2\nc: 2\n")
    folder = files(other="b: 3\n", top="include: [inner/one.yaml, other.yaml]\nd: 4\n")
    assert included(folder, "top") == {"a": 1, "b": 3, "c": 2, "d": 4}
    assert set(included(files(top="include: iris\nseed: 9\n"), "top")) >= {"model", "seed"}  # a packaged config


def test_includes_that_are_refused(files):
    folder = files(
        top="include: [missing.yaml, 3]\n",
        ring="include: rong.yaml\n",
        rong="include: ring.yaml\n",
        list="- 1\n",
        lists="include: list.yaml",
        broken="a: [1\n",
        breaks="include: broken.yaml",
    )
    assert refused(included, folder, "top") == (
        f"{folder}/top.yaml:1:11: include: there is no file '{folder}/missing.yaml'\n"
        + f"{folder}/top.yaml:1:25: include: expected the name of a file, or a list of them, got the int 3"
    )
    assert refused(included, folder, "ring") == (
        f"{folder}/rong.yaml:1:10: include: '{folder}/ring.yaml' includes itself: ring.yaml -> rong.yaml -> ring.yaml"
    )
    assert refused(included, folder, "lists") == (
        f"{folder}/list.yaml:1:1: an included config is a mapping, got the list [1]"
    )
    assert refused(included, folder, "breaks").startswith(f"{folder}/broken.yaml:2:1: while parsing a flow sequence")


def test_mistakes_name_the_file_that_they_come_from(files):
    folder = files(base=BASE.replace("momentum", "momentun"), top="include: base.yaml\ntrainer: {epoch: 2}\n")
    first, _, second, _ = refused(load_config, folder / "top.yaml").splitlines()
    assert first.startswith(f"{folder}/base.yaml:8:18: optimizer.SGD.momentun: unknown argument; did you mean")
    assert second.startswith(f"{folder}/top.yaml:2:11: trainer.epoch: unknown argument; did you mean 'epochs'?")


def test_an_override_cannot_include():
    message = refused(parse_config, BASE, ["include=x.yaml"])
    assert message == "override 'include=x.yaml': include: stands in a file alone, not in an override"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 3\nb: ${a}", 3),
        ("a: '3'\nb: ${a}", "3"),
        ("a: [1, {c: '${d}'}]\nd: 5\nb: ${a}", [1, {"c": 5}]),
        ("a: [1, 2]\nb: ${ a.1 }", 2),
        ("a: 0.5\nd: true\nb: run-${a}-${d}-${e.f}\ne: {f: x}", "run-0.5-true-x"),
        ("b: $${a}", "${a}"),
        ("b: cost $5", "cost $5"),
        ("a: {x.y: 1}\nb: ${a.x.y}", 1),
        ("a: {x.y: 1}\nb: ${a.'x.y'}", 1),
        ("a: ${c}\nc: {d: 2}\nb: ${a.d}", 2),
    ],
)
def test_references(text, value):
    got = resolved(text)["b"]
    assert (got, type(got)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed: 3\nb: ${sed}", "c.yaml:2:4: ${sed}: there is no 'sed'; did you mean 'seed'?"),
        (
            "b: {c: ${a}}",
            "c.yaml:1:9: while parsing a flow mapping, expected ',' or '}', but got '{'; within [] and {} a "
            "reference stands in quotes: '${...}'",
        ),
        ("a: {x: 1}\nb: ${a.zzz}", "c.yaml:2:4: ${a.zzz}: there is no 'zzz'; here stands x"),
        ("a: [1]\nb: ${a.1}", "c.yaml:2:4: ${a.1}: a list of 1 holds no '1'"),
        ("a: 1\nb: ${a.b}", "c.yaml:2:4: ${a.b}: 1 holds no 'b'"),
        ("b: ${b}", "c.yaml:1:4: the reference '${b}' leads back to itself"),
        ("b: {c: '${b}'}", "c.yaml:1:8: the reference '${b}' leads back to itself"),
        ("a: [1]\nb: x${a}", "c.yaml:2:4: ${a} is a list or a mapping, which has no place within a text"),
        ("a: 1\nb: ${a", "c.yaml:2:4: a '${' without its '}'; '$${' stands for the characters"),
        ("b: ${}", "c.yaml:1:4: a reference names a value, such as ${optimizer.SGD.lr}"),
    ],
)
def test_references_that_are_refused(text, message):
    assert refused(resolved, text) == message


def test_circles_are_told_at_each_place():
    text = "a: ${b}\nb: ${a}"
    assert refused(resolved, text).count("leads back to itself") == 2


@pytest.mark.parametrize("piece", ["['${%s}', '${%s}']", "${%s}${%s}", "[*%s, *%s]"])
def test_values_that_double_again_and_again(piece):
    names = [f"n{i}" for i in range(40)]
    lines = [f"{name}: &{name} {piece % (last, last)}" for last, name in pairwise(names)]
    message = refused(resolved, "\n".join(["n0: &n0 x", *lines]))
    assert "more than 100,000 values" in message or "10,000" in message or "at most 100,000 values" in message


def test_references_follow_overrides():
    config = parse_config(BASE, ["model.0.Linear.out_features=5", "seed=${trainer.epochs}"])
    assert config.seed == 20
    assert config.build().model[2].weight.shape == (3, 5)


def test_no_imports(files, capsys):
    text = BASE.replace("- Tanh", "- my_own.Scale")
    folder = files(c=text)
    (folder / "my_own.py").write_text("raise SystemExit('imported')")
    with no_imports():
        assert parse_config(BASE).seed == 0
        message = refused(load_config, folder / "c.yaml")
    assert message.endswith(":4:5: model.1: 'my_own.Scale' would be imported, which --no-imports forbids")
    (folder / "config.yaml").write_text(text)
    for command in ("train", "check", "summary", "profile", "warmup"):
        assert cli.main([command, str(folder / "c.yaml"), "--no-imports"]) == 2
    for command in (["resume"], ["evaluate"], ["replay"], ["predict", "x.npy"]):
        (folder / "x.npy").write_bytes(b"")
        words = [str(folder / word) if word == "x.npy" else word for word in command[1:]]
        assert cli.main([command[0], str(folder), *words, "--no-imports"]) == 2
    assert capsys.readouterr().err.count("would be imported") == 9


def test_print_config_and_dry_run(files, capsys, monkeypatch):
    folder = files(c=BASE)
    monkeypatch.chdir(folder)
    assert cli.main(["train", "c.yaml", "--print-config", "seed=4"]) == 0
    assert capsys.readouterr().out == load_config("c.yaml", ["seed=4"]).resolved()
    assert cli.main(["train", "c.yaml", "--dry-run"]) == 0
    figures = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert figures["model"] == "Sequential(Linear, Tanh, Linear)"
    assert (figures["parameters"], figures["epochs"], figures["data"]) == ("131", "20", "Iris")
    assert int(figures["steps_an_epoch"]) == -(-int(figures["train_samples"]) // 10)
    for wrong, message in [
        ("trainer.epochs=-1", "epochs is -1"),
        ("trainer.batch_size=1000", "batch_size is 1000, expected 1 to"),
        ("trainer.metrics=[acuracy]", "there is no metric 'acuracy'"),
        ("model.2.Linear.out_features=2", "2 outputs"),
    ]:
        assert cli.main(["train", "c.yaml", wrong, "--dry-run"]) == 2
        assert message in capsys.readouterr().err
    assert cli.main(["train", "c.yaml", "--dry-run", "--run", "."]) == 2
    assert "is not empty" in capsys.readouterr().err
    assert [path.name for path in folder.iterdir()] == ["c.yaml"]
