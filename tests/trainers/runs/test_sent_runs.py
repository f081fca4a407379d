"""Run folders that somebody sent: nothing in them is run, written to or removed that this user has not trained with."""

import json
import os
import shutil
import sys

import numpy as np
import pytest
from bprop.trainers.callbacks.csv_log import escape_formula, format_csv
from bprop.trainers.cli import main
from bprop.trainers.cli.output import PlainText, escape_controls
from bprop.trainers.configs import ConfigError, allow_imports, load_config, no_imports, parse_config
from bprop.trainers.files.atomic_files import MAX_DEPTH, append_text, find_inner_folder, read_json, write_atomically
from bprop.trainers.files.checkpoints import CheckpointError, read_checkpoint
from bprop.trainers.runs import trust
from bprop.trainers.runs.inference import evaluate_run, predict_run
from bprop.trainers.runs.resume import replay_run, resume_run
from bprop.trainers.runs.run_folder import read_summary, train_config

CONFIG = """\
dataset: Iris
model: [sent_layers.Same, {Linear: {in_features: 4, out_features: 3}}]
loss: SoftmaxCrossEntropy
optimizer: {SGD: {lr: 0.1}}
trainer: {epochs: 1, batch_size: 50}
"""
LAYERS = "from bprop.modules import Identity\n\n\nclass Same(Identity):\n    pass\n"
REFUSED = (
    "'sent_layers.Same' would be imported, and you have not trained .* as it is: --imports allows that, if you trust"
)


@pytest.fixture(autouse=True)
def forget_modules():
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith(("sent_", "project")):
            del sys.modules[name]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of this user's, with a module of its own."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "c.yaml").write_text(CONFIG)
    (folder / "sent_layers.py").write_text(LAYERS)
    train_config(load_config(folder / "c.yaml"), folder / "run", quiet=True)
    sys.modules.pop("sent_layers", None)
    return folder / "run"


@pytest.fixture
def sent(trained, tmp_path):
    """The same run as somebody sends it back, with other code in its module."""
    folder = shutil.copytree(trained, tmp_path / "sent")
    (folder / "sent_layers.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n{LAYERS}")
    return folder


@pytest.fixture
def inputs(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((2, 4), np.float32))
    return tmp_path / "x.npy"


# -- code --------------------------------------------------------------------------------------------------------------


def test_code_of_others_is_run_by_no_command(sent, inputs, capsys, monkeypatch):
    ran = sent.parent / "ran"
    monkeypatch.setattr("sys.stdin", None)
    for words in (["evaluate"], ["predict", inputs], ["plot"], ["plot", "confusion"], ["resume"], ["replay"]):
        assert main([words[0], str(sent), *map(str, words[1:])]) == 2
        assert "--imports allows that, if you trust whoever sent it" in capsys.readouterr().err
        assert not ran.exists(), words
    assert main(["compare", str(sent)]) == 0
    for function in (evaluate_run, resume_run, replay_run, lambda folder: predict_run(folder, inputs)):
        with pytest.raises(ConfigError, match=REFUSED):
            function(sent)
    assert not ran.exists()


def test_imports_allows_it(sent, capsys):
    assert main(["evaluate", str(sent), "--imports"]) == 0
    assert (sent.parent / "ran").exists()
    assert "test_loss" in capsys.readouterr().out
    sys.modules.pop("sent_layers")
    with allow_imports():
        assert evaluate_run(sent)["samples"] > 0
    with pytest.raises(SystemExit, match="2"):
        main(["evaluate", str(sent), "--imports", "--no-imports"])
    assert "not allowed with argument --imports" in capsys.readouterr().err


def test_one_s_own_runs_need_nothing(trained, tmp_path, inputs):
    """Nor do copies of them, wherever they lie."""
    for folder in (trained, shutil.copytree(trained, tmp_path / "elsewhere")):
        assert evaluate_run(folder)["samples"] > 0
        assert len(predict_run(folder, inputs).outputs) == 2
        assert resume_run(folder)[1]
        sys.modules.pop("sent_layers", None)
    assert not list(trained.rglob("__pycache__"))  # which is not read either: it may be another's


def test_a_file_more_is_other_code(trained, tmp_path):
    """Whatever could be imported counts, and what lies behind a link cannot be known."""
    folder = shutil.copytree(trained, tmp_path / "sent")
    for name in ("numpy.py", "sent_layers.so", "package/__init__.py"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("")
        with pytest.raises(ConfigError, match=REFUSED):
            evaluate_run(folder)
        (folder / name).unlink()
    (folder / "package").rmdir()
    (folder / "package").symlink_to(tmp_path)
    with pytest.raises(ConfigError, match=REFUSED):
        evaluate_run(folder)
    (folder / "package").unlink()
    assert evaluate_run(folder)["samples"] > 0


def test_whoever_sits_at_the_terminal_is_asked(sent, capsys, monkeypatch):
    class Terminal:
        def __init__(self, answer):
            self.answer = answer

        def isatty(self):
            return True

        def readline(self):
            return self.answer

    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    for answer, status in (("n\n", 2), ("", 2), ("y\n", 0)):
        monkeypatch.setattr("sys.stdin", Terminal(answer))
        assert main(["evaluate", str(sent)]) == status
        question = f"bprop: {sent} has the module 'sent_layers', with which you have not trained. Run its code? [y/N] "
        assert capsys.readouterr().err.count(question) == 1
    assert trust.ask is None


def test_where_no_state_can_be_kept_that_of_compiled_code_can(trained, tmp_path, monkeypatch):
    folder = shutil.copytree(trained, tmp_path / "run")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))  # where there can be no folder
    monkeypatch.setattr(trust, "find_cache_folder", lambda: tmp_path / "cache")
    assert not trust.is_trusted(folder, "import", "sent_layers")
    trust.remember_run(folder, load_config(folder / "config.yaml"))
    assert trust.is_trusted(folder, "import", "sent_layers")
    assert (tmp_path / "cache" / trust.NAME).stat().st_mode & 0o777 == 0o700
    (tmp_path / "cache" / trust.NAME).chmod(0o777)  # where anybody could put digests
    assert not trust.is_trusted(folder, "import", "sent_layers")


# -- places ------------------------------------------------------------------------------------------------------------


def plain_run(folder, more=""):
    """A run folder with a config alone, of bprop's own classes."""
    folder.mkdir(exist_ok=True)
    text = CONFIG.replace("sent_layers.Same, ", "")
    (folder / "config.yaml").write_text(parse_config(text + more).resolved())
    return folder


def test_resume_writes_through_no_link(tmp_path):
    run = plain_run(tmp_path / "run")
    outside = tmp_path / "kept"
    outside.write_text("as it was")
    for name in (
        "config.yaml.tmp",
        "summary.json",
        "summary.json.tmp",
        "metrics.csv",
        "metrics.csv.tmp",
        "model.safetensors",
    ):
        (run / name).symlink_to(outside)
    assert not resume_run(run, quiet=True)[1]
    assert outside.read_text() == "as it was"
    assert not [path for path in run.iterdir() if path.is_symlink()]


@pytest.mark.parametrize("name", ["checkpoint", "failure", "tensorboard"])
def test_a_folder_that_is_a_link_is_refused(tmp_path, name):
    run = plain_run(tmp_path / "run")
    (tmp_path / "other").mkdir()
    (run / name).symlink_to(tmp_path / "other")
    before = sorted(path.name for path in run.iterdir())
    with pytest.raises(OSError, match="is a link, expected a folder: nothing is written through links"):
        resume_run(run, quiet=True)
    assert sorted(path.name for path in run.iterdir()) == before
    assert not list((tmp_path / "other").iterdir())


def test_a_config_that_is_a_link_out_of_the_folder_is_none(tmp_path):
    (tmp_path / "secret").write_text("password: 123")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").symlink_to(tmp_path / "secret")
    for function in (evaluate_run, resume_run):
        with pytest.raises(FileNotFoundError, match="is a link that leads out of the run folder, expected a file"):
            function(tmp_path / "run")


def test_callbacks_write_where_this_user_has_let_them(tmp_path):
    other = tmp_path / "other"
    run = plain_run(tmp_path / "run", f"callbacks: [Checkpoint: {{folder: '{other}', best: 1}}]\n")
    message = f"Checkpoint would write to '{other}', and you have not trained .* --imports allows that"
    with pytest.raises(ConfigError, match=message):
        resume_run(run)
    with no_imports(), pytest.raises(ConfigError, match=f"would write to '{other}', which --no-imports forbids"):
        resume_run(run)
    assert not other.exists()
    train_config(load_config(run / "config.yaml"), tmp_path / "own", quiet=True)
    assert resume_run(tmp_path / "own", ["trainer.epochs=1"], quiet=True)[0]["epochs"] == 1


def test_only_weights_of_this_training_are_removed(tmp_path):
    run = plain_run(tmp_path / "run", f"callbacks: [Checkpoint: {{folder: '{tmp_path / 'best'}', best: 1}}]\n")
    best = tmp_path / "best" / "best"
    best.mkdir(parents=True)
    for name in ("epoch-plan.txt", "epoch-1.txt", "epoch-x.safetensors", "epoch-07.safetensors"):
        (best / name).write_text("mine")
    config = load_config(run / "config.yaml", ["trainer.epochs=3"])
    train_config(config, tmp_path / "a", quiet=True)
    assert len(list(best.iterdir())) == 5
    shutil.rmtree(tmp_path / "best", ignore_errors=True)
    best.mkdir(parents=True)
    (best / "epoch-3.safetensors").write_text("another's")
    with pytest.raises(Exception, match="has weights of another training, which would be removed"):
        train_config(config, tmp_path / "b", quiet=True)
    assert (best / "epoch-3.safetensors").read_text() == "another's"


def test_includes_stay_beside_the_config(tmp_path):
    (tmp_path / "secret.yaml").write_text("root:x:0:0")
    folder = tmp_path / "configs"
    folder.mkdir()
    (folder / "inner.yaml").write_text("seed: 3")
    (folder / "link.yaml").symlink_to(tmp_path / "secret.yaml")
    for name in ("../secret.yaml", str(tmp_path / "secret.yaml"), "link.yaml", "../absent.yaml"):
        (folder / "c.yaml").write_text(f"include: {name}\n{CONFIG}")
        with no_imports(), pytest.raises(ConfigError) as caught:
            load_config(folder / "c.yaml")
        assert "lies outside of the config's folder, which --no-imports forbids" in str(caught.value)
        assert "root:x" not in str(caught.value)
    (folder / "c.yaml").write_text(f"include: inner.yaml\n{CONFIG.replace('sent_layers.Same, ', '')}")
    with no_imports():
        assert load_config(folder / "c.yaml").seed == 3
    (folder / "config.yaml").write_text(f"include: ../secret.yaml\n{CONFIG}")
    with pytest.raises(ConfigError, match="lies outside of the config's folder, and you have not trained"):
        evaluate_run(folder)
    (folder / "c.yaml").write_text("include: ../secret.yaml")
    with pytest.raises(ConfigError, match="an included config is a mapping, got something else"):
        load_config(folder / "c.yaml")


# -- what is read and shown --------------------------------------------------------------------------------------------


def nested(levels):
    return "[" * levels + "]" * levels


@pytest.mark.parametrize("levels", [MAX_DEPTH + 1, 900, 100_000])
def test_deep_json_is_refused(tmp_path, levels):
    path = tmp_path / "summary.json"
    path.write_text(nested(levels))
    with pytest.raises(ValueError, match=f"nested too deeply, expected at most {MAX_DEPTH} levels"):
        read_json(path)
    path.write_text(f'{{"a": {nested(levels)}}}')
    assert read_summary(tmp_path) is None
    assert main(["compare", str(plain_run(tmp_path)), str(tmp_path)]) == 0
    (tmp_path / "000001.json").write_text(f'{{"a": {nested(levels)}}}')
    with pytest.raises(CheckpointError, match="is damaged"):
        read_checkpoint(tmp_path)


def test_json_of_as_many_levels_as_are_allowed(tmp_path):
    (tmp_path / "x.json").write_text(nested(MAX_DEPTH))
    assert json.dumps(read_json(tmp_path / "x.json")) == nested(MAX_DEPTH)
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path)
    os.mkfifo(tmp_path / "pipe")  # which would be waited for
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "pipe")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ä 字\n\tx\r\n", "plain ä 字\n\tx\r\n"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("abc\u202edcba", r"abc\u202edcba"),
        ("over\rwritten", r"over\rwritten"),
    ],
)
def test_nothing_steers_the_terminal(text, shown):
    assert escape_controls(text) == shown


def test_a_progress_bar_may_go_back(capsys):
    PlainText(sys.stdout, returns=True).writelines(["\r 5 %", "\x1b"])
    assert capsys.readouterr().out == "\r 5 %\\x1b"


def test_names_in_a_run_are_escaped_where_they_are_printed(tmp_path, capsys):
    run = plain_run(tmp_path / "run\x1b[2J")
    (run / "summary.json").write_text(json.dumps({"test_\x1b]0;title\x07": 1.0, "x": "\x1b[1m"}))
    assert main(["compare", str(run)]) == 0
    (run / "config.yaml").write_text('"\\e[31m": 1\n')
    assert main(["evaluate", str(run)]) == 2
    assert main(["evaluate", str(tmp_path / "\x1bno")]) == 2
    output = "".join(capsys.readouterr())
    assert "\x1b" not in output
    assert output.count(r"\x1b") >= 4


@pytest.mark.parametrize(
    "cell", ["=1+1", "+1+1", "-cmd", "@SUM(A1)", "\t=1", "\r=1", "=", "-", "-1", "+1e3", "a=b", 5, None, "-inf"]
)
def test_no_cell_is_a_formula(cell):
    quoted = cell in ("=1+1", "+1+1", "-cmd", "@SUM(A1)", "\t=1", "\r=1")
    assert escape_formula(cell) == (f"'{cell}" if quoted else cell)


def test_classes_and_columns_become_no_formulas():
    assert format_csv(["=a", "b"], [{"=a": "=1+1", "b": -1.5}], header=True) == "'=a,b\r\n'=1+1,-1.5\r\n"


def test_files_are_written_and_grown_through_no_link(tmp_path):
    outside = tmp_path / "kept"
    outside.write_text("as it was")
    (tmp_path / "x").symlink_to(outside)
    (tmp_path / "x.tmp").symlink_to(outside)
    with pytest.raises(OSError, match="symbolic"):
        append_text(tmp_path / "x", "more")
    write_atomically(tmp_path / "x", "new")
    assert outside.read_text() == "as it was"
    assert (tmp_path / "x").read_text() == "new"
    append_text(tmp_path / "x", " more")
    assert (tmp_path / "x").read_text() == "new more"
    assert find_inner_folder(tmp_path, "folder") == tmp_path / "folder"


# -- what a module consists of -----------------------------------------------------------------------------------------

PROJECT = {
    "project_layers.py": "from project_helper import SCALE\nfrom project_pack.inner.deep import Same\n",
    "project_helper.py": "import project_more as more\nSCALE = more.SCALE\n",
    "project_more.py": "SCALE = __import__('importlib').import_module('project_late').SCALE\n",
    "project_late.py": "SCALE = 2\n",
    "project_pack/__init__.py": "from . import beside\n",
    "project_pack/beside.py": "",
    "project_pack/inner/deep.py": "from ..base import Base\nfrom .sibling import *\n\n\nclass Same(Base):\n    pass\n",
    "project_pack/inner/sibling.py": "",
    "project_pack/base.py": "from bprop.modules import Identity as Base\n",
    "project_other.py": "raise RuntimeError('nobody imports this')\n",
}


@pytest.mark.parametrize("name", ["project_layers.Same", "project_pack.inner.deep.Same"])
def test_a_run_has_all_that_its_module_imports(tmp_path, name, inputs):
    for place, text in PROJECT.items():
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text(text)
    (tmp_path / "c.yaml").write_text(CONFIG.replace("sent_layers.Same", name))
    train_config(load_config(tmp_path / "c.yaml"), tmp_path / "run", quiet=True)
    copied = {path.relative_to(tmp_path / "run").as_posix() for path in (tmp_path / "run").rglob("*.py")}
    packed = {place for place in PROJECT if place.startswith("project_pack")}
    assert copied == (set(PROJECT) - {"project_other.py"} if name == "project_layers.Same" else packed)
    for place in PROJECT:
        (tmp_path / place).unlink()
    for module in [module for module in sys.modules if module.startswith("project")]:
        del sys.modules[module]
    assert evaluate_run(tmp_path / "run")["samples"] > 0
    assert len(predict_run(tmp_path / "run", inputs).outputs) == 2
    assert resume_run(tmp_path / "run", ["trainer.epochs=2"], quiet=True)[0]["epochs"] == 2


def test_what_a_module_adds_to_the_path_goes_with_it(tmp_path):
    (tmp_path / "common").mkdir()
    (tmp_path / "common" / "project_common.py").write_text("from bprop.modules import Identity as Base\n")
    (tmp_path / "exp").mkdir()
    (tmp_path / "exp" / "project_own.py").write_text(
        "import sys\nfrom pathlib import Path\nsys.path.append(str(Path(__file__).parents[1] / 'common'))\n"
        "from project_common import Base\n\n\nclass Same(Base):\n    pass\n"
    )
    (tmp_path / "exp" / "c.yaml").write_text(CONFIG.replace("sent_layers.Same", "project_own.Same"))
    try:
        config = load_config(tmp_path / "exp" / "c.yaml")
    finally:
        sys.path.remove(str(tmp_path / "common"))
    assert {str(place) for place in config.catalog.sources.values()} == {"project_own.py", "project_common.py"}
