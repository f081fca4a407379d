"""`bprop new module`: what it writes fails its test until bprop is written, and then passes."""

import os

import pytest
from bprop.trainers import check_config, cli
from bprop.trainers.cli import new
from bprop.trainers.configs import load_config
from bprop.trainers.tools.module_template import KINDS, convert_to_snake_case, write_module_template
from bprop.trainers.tools.part_templates import PARTS

from ...fork_server import run_python

TODO = "        return np.zeros_like(self.x)  # TODO: the test fails until this is right\n"
WRITTEN = "        self.grad_weight += (grad_y * self.x).sum(axis=0)\n        return grad_y * self.weight\n"


@pytest.fixture
def plain(monkeypatch):
    """What the doctor says does not depend on the compiler, which takes its time."""
    monkeypatch.setattr("numba.config.DISABLE_JIT", 1)


def finish(path):
    text = path.read_text()
    assert TODO in text
    path.write_text(text.replace(TODO, WRITTEN))


def run_test(path):
    return run_plain(path.parent, "-m", "pytest", "-q", "-p", "no:cacheprovider", path.name)


def run_plain(folder, *arguments):
    """Run Python in a folder, without numba."""
    return run_python(arguments, folder, {**os.environ, "NUMBA_DISABLE_JIT": "1"})


def test_the_gradient_test_fails_until_bprop_is_written(tmp_path, capsys):
    assert cli.main(["new", "module", "PowerUnit", "--folder", str(tmp_path / "new")]) == 0
    lines = capsys.readouterr().out.splitlines()
    module, test, config = (
        tmp_path / "new" / file for file in ("power_unit.py", "test_power_unit.py", "power_unit.yaml")
    )
    assert lines == [
        f"{module}  the module: write its bprop",
        f"{test}  its gradient test, which fails until then: pytest {test}",
        f"{config}  a config with it: bprop check {config}",
    ]
    done = run_test(test)
    assert done.returncode == 1
    assert "grad_weight stays at zero: bprop never adds to it" in done.stdout
    finish(module)
    done = run_test(test)
    assert done.returncode == 0, done.stdout


def test_the_config_is_checked_and_fits(tmp_path, plain):
    write_module_template("OtherUnit", tmp_path)
    report = check_config(load_config(tmp_path / "other_unit.yaml"))
    assert report.problems == (
        "model[2]: grad_x stays at zero: bprop never adds to it",
        "model[2]: grad_weight stays at zero: bprop never adds to it",
    )
    write_module_template("ThirdUnit", tmp_path)
    finish(tmp_path / "third_unit.py")
    check_config(load_config(tmp_path / "third_unit.yaml")).raise_if_wrong()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("power_unit", "new module: the name is 'power_unit', expected a class name in capitals, such as PowerUnit"),
        ("Power-Unit", "new module: the name is 'Power-Unit', expected a class name"),
        ("Random", "new module: 'random' is the name of a Python module already; choose another than 'Random'"),
        ("Bprop", "new module: 'bprop' is the name of a Python module already"),
    ],
)
def test_names_that_cannot_be_used_are_refused(tmp_path, capsys, name, message):
    assert cli.main(["new", "module", name, "--folder", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_there_are_kept(tmp_path, capsys):
    (tmp_path / "power_unit.yaml").write_text("mine")
    assert cli.main(["new", "module", "PowerUnit", "--folder", str(tmp_path)]) == 2
    assert "power_unit.yaml exists already" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["power_unit.yaml"]


def test_names_of_files():
    assert [convert_to_snake_case(name) for name in ("Scale", "PowerUnit", "MyReLU6", "GLUUnit")] == [
        "scale",
        "power_unit",
        "my_re_lu6",
        "glu_unit",
    ]


@pytest.mark.parametrize("kind", PARTS)
def test_other_parts_pass_their_tests_and_fit_their_configs(tmp_path, capsys, kind):
    assert cli.main(["new", kind, "MyPart", "--folder", str(tmp_path)]) == 0
    path, test, config = (tmp_path / file for file in ("my_part.py", "test_my_part.py", "my_part.yaml"))
    assert capsys.readouterr().out.splitlines() == [
        f"{path}  the {kind}, an example: change it",
        f"{test}  its test: pytest {test}",
        f"{config}  a config with it: bprop train {config}",
    ]
    done = run_test(test)
    assert done.returncode == 0, done.stdout
    done = run_plain(tmp_path, "-m", "bprop", "train", config.name, "trainer.epochs=1", "--run", "run")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "summary.json").exists()


def test_the_kinds_are_those_of_the_command():
    assert new.KINDS == KINDS
    with pytest.raises(ValueError, match=r"^new: the kind is 'layer', expected one of module, loss, optimizer, "):
        write_module_template("MyLayer", kind="layer")
