"""The command line: what it prints, its exit status, and what it imports."""

import json
import os
import re
import shutil
import subprocess
import sys
import types
from importlib.metadata import version
from pathlib import Path

import pytest
from bprop.trainers import TrainingError, cli
from bprop.trainers.cli import command
from bprop.trainers.configs import ConfigError, Place, Problem


@pytest.fixture
def train(monkeypatch):
    """`train(outcome)` replaces configs and training: the run returns or raises `outcome`."""
    calls = []

    def install(outcome):
        def train_config(config, **options):
            calls.append((config, options))
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome

        runs = types.SimpleNamespace(train_config=train_config)
        monkeypatch.setitem(sys.modules, "bprop.trainers.runs.run_folder", runs)
        monkeypatch.setattr("bprop.trainers.configs.load_config", lambda source, overrides: (source, overrides))
        return calls

    return install


def test_prints_the_final_figures(train, capsys):
    calls = train({"test_accuracy": 0.9712345678, "epochs": 30, "run": "runs/x", "versions": {"numpy": "2"}})
    assert cli.main(["train", "x"]) == 0
    assert calls == [(("x", []), {"run": None, "quiet": False})]
    assert capsys.readouterr().out == "test_accuracy  0.971235\nepochs         30\nrun            runs/x\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["x", "a=1", "b.c=2", "--run", "runs/y", "--quiet"],
        ["--quiet", "x", "a=1", "--run", "runs/y", "b.c=2"],
        ["--run", "runs/y", "--quiet", "x", "a=1", "b.c=2"],
    ],
)
def test_options_and_overrides_in_any_order(train, arguments):
    calls = train({})
    assert cli.main(["train", *arguments]) == 0
    assert calls == [(("x", ["a=1", "b.c=2"]), {"run": Path("runs/y"), "quiet": True})]


def raised_in(module, error):
    """The error as if a line of that module had raised it."""
    namespace = {"__name__": module, "error": error}
    exec("def fail():\n    raise error", namespace)
    try:
        namespace["fail"]()
    except Exception as caught:
        return caught


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (TrainingError("the loss is nan"), 1, "bprop: error: the loss is nan\n"),
        (
            FileNotFoundError(2, "No such file", "data/x"),
            2,
            "bprop: error: data/x: No such file\n",
        ),
        (raised_in("bprop.datasets.files.idx", ValueError("magic number")), 2, "bprop: error: magic number\n"),
        (raised_in("bprop.trainers.training.trainer", ValueError("epochs is 0")), 2, "bprop: error: epochs is 0\n"),
        (
            ConfigError.at(Place("c.yaml", 1, 2), ("seed",), "is wrong"),
            2,
            "bprop: error: c.yaml:1:2: seed: is wrong\n",
        ),
        (KeyboardInterrupt(), 130, "bprop: interrupted\n"),
    ],
)
def test_known_errors_have_no_traceback(train, capsys, error, status, message):
    train(error)
    assert cli.main(["train", "x"]) == status
    assert capsys.readouterr() == ("", message)


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (TrainingError("stopped"), 1, "bprop: error: stopped\n  the run folder is runs/x\n"),
        (KeyboardInterrupt(), 130, "bprop: interrupted\n  the run folder is runs/x\n"),
    ],
)
def test_notes_are_printed(train, capsys, error, status, message):
    error.add_note("the run folder is runs/x")
    train(error)
    assert cli.main(["train", "x"]) == status
    assert capsys.readouterr().err == message


@pytest.mark.parametrize(
    ("name", "value", "colored"), [("X", "", True), ("NO_COLOR", "1", False), ("TERM", "dumb", False)]
)
def test_errors_are_colored_on_terminals_alone(train, capsys, monkeypatch, name, value, colored):
    train(TrainingError("the loss is \x1b[31mnan"))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert cli.main(["train", "x"]) == 1
    start = "\x1b[1;31mbprop: error:\x1b[0m" if colored else "bprop: error:"
    assert capsys.readouterr().err == start + " the loss is \\x1b[31mnan\n"


def test_wrong_usage_is_colored_like_other_errors(capsys, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with pytest.raises(SystemExit, match="2"):
        cli.main(["train", "x", "--quite"])
    usage, error = capsys.readouterr().err.split("\x1b[1;31m")
    assert usage.startswith("usage: bprop train")
    assert error == "bprop train: error:\x1b[0m unknown option: --quite; did you mean '--quiet'?\n"


def test_several_errors_start_on_a_new_line(train, capsys):
    problems = [Problem(Place("c.yaml", line, 1), (), "is wrong") for line in (1, 2)]
    train(ConfigError(problems))
    assert cli.main(["train", "x"]) == 2
    assert capsys.readouterr().err == "bprop: error:\nc.yaml:1:1: is wrong\nc.yaml:2:1: is wrong\n"


@pytest.mark.parametrize(
    "error",
    [
        raised_in("my_modules", ValueError("mine")),
        raised_in("bprop.modules.x", ValueError("a bug")),
        KeyError("x"),
    ],
)
def test_other_exceptions_keep_their_traceback(train, error):
    train(error)
    with pytest.raises(type(error)):
        cli.main(["train", "x"])


def test_config_errors_of_a_real_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text("seed: 1\nsed: [\n")
    assert cli.main(["train", "c.yaml"]) == 2
    assert capsys.readouterr().err.startswith("bprop: error: c.yaml:")
    assert cli.main(["train", "missing.yaml"]) == 2
    assert capsys.readouterr().err.startswith("bprop: error: missing.yaml: there is no such file")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train"], "error: the following arguments are required: CONFIG\n"),
        (["compare", "x", "--fast"], "error: unknown option: --fast\n"),
        (
            ["train", "x", "--epochs", "3"],
            "unknown option: --epochs; values of the config are given as key=value, such as trainer.epochs=3\n",
        ),
        (["train", "x", "--runn", "y"], "error: unknown option: --runn; did you mean '--run'?\n"),
        (["fit"], "invalid choice: 'fit'"),
        (["trian"], "; did you mean 'train'?\n"),
        (["completion", "bsh"], "; did you mean 'bash'?\n"),
    ],
)
def test_wrong_usage(arguments, message, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


MISTAKES = {
    "near.yaml": """\
dataset: Iris
model: [{Linear: {in_features: 4, out_features: 3}}]
loss: SoftmaxCrossEntropy
optimizer: {SGD: {lr: 0.1}}
""",
    "tabs.yaml": "model:\n\t- Tanh\n",
    "comma.yaml": "dataset: Iris\nmodel: Tanh\nloss: Huber\noptimizer: {SGD: {lr: 0,1}}\n",
    "run/config.yaml": "seed: 0\n",
    "far.yaml": "dataset: Iris\n  model: Tanh\n",
    "odd.yaml": "loss:\n  Huber: {delta: 1}\n   reduction: sum\n",
    "top.yaml": "dataset: Iris\nmodel: Tanh\nloss: Huber\noptimizer: {SGD: {lr: 0.1}}\nepochs: 3\n",
    "sweep/sweep.yaml": "",
    "000.log": "",
}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "naer.yaml"], "naer.yaml: there is no such file; did you mean 'near.yaml'?; packaged configs: "),
        (["check", "run"], f"this is a run folder, expected a config; that of the run is {Path('run/config.yaml')}\n"),
        (["train", "tabs.yaml"], "tabs.yaml:2:1: while scanning for the next token, found character '\\t' that cannot"),
        (["train", "tabs.yaml"], "start any token; lines are indented by spaces"),
        (["train", "comma.yaml"], "comma.yaml:4:25: optimizer.SGD.1: unknown argument; a decimal point is a dot"),
        (["train", "near.yaml", "optimizer.lr=1"], "here stands the class SGD; did you mean 'optimizer.SGD.lr'?"),
        (["train", "near.yaml", "lr=1"], "override 'lr=1': lr: unknown key; did you mean 'optimizer.SGD.lr'?"),
        (
            ["train", "near.yaml", "epochs=1"],
            "override 'epochs=1': epochs: unknown key; did you mean 'trainer.epochs'?",
        ),
        (["train", "top.yaml"], "top.yaml:5:1: epochs: unknown key; did you mean 'trainer.epochs'?"),
        (["train", "near.yaml", "loss=MeanSquaredError"], "labels of 3 classes, which SoftmaxCrossEntropy takes"),
        (["train", "far.yaml"], "far.yaml:2:8: mapping values are not allowed here; is the line indented like those "),
        (["train", "odd.yaml"], "but found '<block mapping start>'; is the line indented like those beside it, "),
        (
            ["compare", "sweep"],
            f"sweep is the folder of a sweep, expected one of its runs, such as {Path('sweep/000')}",
        ),
        (["compare", "000.log"], "000.log is no run folder: "),
        (["plot", "run", "curvs"], "a plot curvs; did you mean 'curves'?; plots: "),
        (["train", "near.yaml", "trainer.metrics=[acuracy]"], "; did you mean 'accuracy'?"),
        (["summary", "near.yaml", "trainer.batch_size=0"], "summary: batch_size is 0, expected at least 1"),
    ],
)
def test_what_a_new_user_mistypes(tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    for name, text in MISTAKES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert cli.main(words) == 2
    assert message in capsys.readouterr().err


def test_the_help_has_its_commands_in_one_column(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    lines = capsys.readouterr().out.splitlines()
    first = lines.index("  COMMAND") + 1
    assert [line.split()[0] for line in lines[first : first + len(cli.COMMANDS)]] == list(cli.COMMANDS)
    assert len({line.index(line.split(maxsplit=1)[1], 14) for line in lines[first : first + len(cli.COMMANDS)]}) == 1


def test_no_command_says_where_to_begin(capsys):
    assert cli.main([]) == 2
    text = capsys.readouterr().err
    assert "  bprop train digits_mlp  " in text
    assert "bprop --help lists all commands" in text
    assert "usage: bprop" in text
    named = {line.split()[1] for line in text.splitlines() if line.startswith("  bprop ")}
    assert named <= set(cli.COMMANDS)


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"]])
def test_help_gives_an_example(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 0
    assert "  bprop train digits_mlp\n" in capsys.readouterr().out


def test_version(capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"bprop {version('bprop')}\n"


def test_help_imports_nothing_slow():
    code = (
        "import sys\n"
        "from bprop.trainers.cli import main\n"
        "try: main(['train', '--help'])\n"
        "except SystemExit: print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = {name.split(".")[0] for name in done.stdout.splitlines()[-1].split()}
    assert "argparse" in imported
    assert not imported & {"numpy", "numba", "scipy", "pydantic", "ruamel"}


def test_a_real_run(tmp_path, capsys):
    run = tmp_path / "run"
    assert cli.main(["train", "digits_mlp", "trainer.epochs=1", "--run", str(run), "--quiet"]) == 0
    out, err = capsys.readouterr()
    figures = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert float(figures["test_accuracy"]) > 0.6
    assert figures["run"] == str(run)
    assert err == ""
    assert "trainer: {epochs: 1," in (run / "config.yaml").read_text()


def test_summary_of_a_config(capsys):
    assert cli.main(["summary", "digits_mlp", "trainer.batch_size=50"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[3].split() == ["model[1]", "Linear(64", "->", "72)", "(50,", "72)", "4,680", "14.1", "KiB"]
    assert lines[-3:-1] == ["5,410 parameters, 0.02 MiB in float32", "memory of a training step 121.6 KiB:"]
    assert lines[-1].endswith("optimizer 21.1 KiB")


def parsers():
    return cli._parser()._subparsers._group_actions[0].choices


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_says_its_exit_status_in_the_same_words(name):
    lines = parsers()[name].format_help().partition("exit status:\n")[2].splitlines()
    assert [line for line in lines if not line.startswith("  1 ")] == [
        "  0 done",
        "  2 the command, a file or the data is wrong",
        "  130 interrupted",
        "  141 nobody reads what is printed",
    ]


def test_every_command_that_reads_a_config_can_be_kept_from_importing():
    for name, parser in parsers().items():
        about = {action.dest for action in parser._actions}
        reads = about & {"config", "run", "source", "words"} or name == "report"  # compare reads runs as text
        assert ("no_imports" in about) == bool(reads), name


def test_the_help_says_what_an_exit_status_means():
    text = cli._parser().format_help()
    statuses = (command.OK, command.FAILED, command.BAD_USAGE, command.INTERRUPTED, command.PIPE_CLOSED)
    assert re.findall(r"^  (\d+) ", text, re.MULTILINE) == [str(status) for status in statuses]


def test_every_command_that_tells_something_tells_it_as_json():
    assert [name for name, parser in parsers().items() if "--json" not in parser.format_help()] == [
        "graph",  # a drawing
        "schema",  # which is JSON
        "completion",
    ]


def test_new_as_json(tmp_path, capsys):
    assert cli.main(["new", "module", "Unit", "--folder", str(tmp_path), "--json"]) == 0
    names = {"module": "unit.py", "test": "test_unit.py", "config": "unit.yaml"}
    assert json.loads(capsys.readouterr().out) == {what: str(tmp_path / name) for what, name in names.items()}


def test_nothing_is_printed_in_colours(tmp_path, capsys, monkeypatch):
    """So NO_COLOR has nothing to do, and a log is text."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    for words in (["summary", "iris"], ["train", "iris", "trainer.epochs=1", "--run", str(tmp_path / "run")]):
        assert cli.main(words) == 0
        assert "\x1b" not in "".join(capsys.readouterr())


def test_json(tmp_path, capsys):
    assert cli.main(["summary", "iris", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["parameters"] == 131
    assert result["bytes"]["parameters"] == 4 * 131
    assert [(each["path"], each["output_shape"]) for each in result["modules"]][1] == ("model[0]", [16, 16])
    assert cli.main(["train", "iris", "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["parameters"] == 131


def test_check_as_json_and_quiet(capsys, monkeypatch):
    monkeypatch.setattr("numba.config.DISABLE_JIT", 1)
    assert cli.main(["check", "iris", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["ok"]
    assert result["places"]["model[2]"] == {
        "title": "Linear(16 -> 3), (16, 16)",
        "beside": "the trace of fprop",
        "ok": True,
        "problems": [],
        "notes": [],
    }
    assert cli.main(["check", "iris", "--quiet"]) == 0
    assert capsys.readouterr().out == ""


BASH = """\
eval "$(cat completion.bash)"
complete_words() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _bprop; (IFS=,; echo "${COMPREPLY[*]}"); }
complete_words bprop tr
complete_words bprop check digits_ml
complete_words bprop train x.yaml --dry
complete_words bprop train "my c"
complete_words bprop evaluate runs/x --part va
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_completion_in_bash(tmp_path, capsys):
    assert cli.main(["completion", "bash"]) == 0
    (tmp_path / "completion.bash").write_text(capsys.readouterr().out)
    (tmp_path / "my config.yaml").write_text("")
    done = subprocess.run(["bash", "-c", BASH], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["train", "digits_mlp", "--dry-run", "my config.yaml", "valid"]
    assert done.stderr == ""


def test_completion_in_other_shells(capsys):
    assert cli.main(["completion", "zsh"]) == 0
    assert capsys.readouterr().out.startswith("autoload -Uz bashcompinit && bashcompinit\n_bprop() {\n")
    assert cli.main(["completion", "fish"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "complete -c bprop -n __fish_use_subcommand -f -a train" in lines
    line = "complete -c bprop -n '__fish_seen_subcommand_from evaluate'"
    assert f"{line} -l part -r -a 'train valid test' -d 'of the data (default: test)'" in lines


@pytest.mark.skipif(sys.platform == "win32", reason="there are no closed pipes there")
@pytest.mark.parametrize("words", [["completion", "bash"], ["compare", "x"]])
def test_a_closed_pipe(tmp_path, words):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "config.yaml").write_text("seed: 0\n")
    read, write = os.pipe()
    os.close(read)
    code = "import sys; from bprop.trainers.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, *words]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


def test_places_that_cannot_be_written(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    for words in (["train", "iris", "--run", "file/x"], ["new", "module", "Unit", "--folder", "file/x"]):
        assert cli.main(words) == 2
        assert capsys.readouterr().err.startswith("bprop: error: ")
    Path("run").mkdir()
    Path("run/config.yaml").write_text("seed: 0\n")
    monkeypatch.setattr(sys, "stdin", None)
    assert cli.main(["predict", "run", "-"]) == 2
    assert "predict: the input is -, but nothing can come in" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["show", "graph"])
@pytest.mark.parametrize(
    ("output", "message"),
    [
        (".", ".: is a folder, expected the path of a file"),
        ("folder", "folder: is a folder, expected the path of a file"),
        ("nowhere/x.svg", "nowhere: there is no such folder"),
    ],
)
def test_an_output_that_cannot_be_written(name, output, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    assert cli.main([name, "digits_mlp", "--output", output]) == 2
    assert capsys.readouterr().err.rstrip().endswith(message)
    assert list(tmp_path.iterdir()) == [tmp_path / "folder"]
