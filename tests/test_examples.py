"""Each example runs as its first lines say, and learns."""

import re
import shutil
import sys
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest
from bprop.datasets import Characters
from bprop.modules import check_gradients
from bprop.trainers import SGD, Trainer
from bprop.trainers.configs import load_config
from bprop.trainers.runs.inference import evaluate_run, load_weights, predict_run
from bprop.trainers.runs.run_folder import train_config
from bprop.trainers.runs.unchecked import format_unchecked_warning

from .fork_server import run_python

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def folder(tmp_path):
    """A copy of the examples: running them leaves nothing behind."""
    return shutil.copytree(EXAMPLES, tmp_path / "examples", ignore=shutil.ignore_patterns("__pycache__"))


def run(name, folder):
    done = run_python(name.split(), folder, strict=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def check_drawn(folder, *names):
    """These plots are there, each in the format that its name says, and no others; none without matplotlib."""
    drawn = {each.name for end in ("png", "svg") for each in folder.glob(f"*.{end}")}
    assert drawn == (set(names) if find_spec("matplotlib") is not None else set())
    for name in drawn:
        begin = (folder / name).read_bytes()[:8]
        assert begin == b"\x89PNG\r\n\x1a\n" if name.endswith("png") else begin.startswith((b"<?xml", b"<svg"))


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("sigmoids.py sigmoids.pdf", "sigmoids.pdf: expected a file that ends in .png or .svg"),
        ("sigmoids.py sgv", "sgv: expected png, svg, or files that end in .png or .svg"),
        ("derivatives/gradient_cost.py 2e3 1 7", "7: expected at most 2 arguments and png, svg, or files"),
        ("parallel/simulate.py efficiency.png", "efficiency.png: expected a file that ends in .svg"),
    ],
)  # fmt: skip
def test_formats_that_examples_do_not_draw(folder, command, message):
    done = run_python(command.split(), folder, strict=True)
    assert done.returncode != 0
    assert message in done.stderr
    assert not done.stdout


def test_own_loop(folder):
    output = run("own_loop.py", folder)
    assert output.count("epoch") == 20
    assert float(re.search(r"test accuracy (\S+)", output)[1]) > 0.95


def test_by_hand(folder):
    output = run("by_hand.py", folder)
    losses = [float(value) for value in re.findall(r"loss (\S+)", output)]
    assert losses[0] > 0.1
    assert losses[-1] < 0.001
    assert output.count("|gradient of 0.weight|") == 4


def test_each_derivative_of_a_character_model(folder):
    output = run("sequences/backprop_ninja.py", folder)
    errors = [float(value) for value in re.findall(r"^d\w+ .* error (\S+)$", output, re.MULTILINE)]
    assert len(errors) == 25
    assert max(errors) < 1e-5
    assert "layers: loss and gradients differ" in output


@pytest.mark.slow
@pytest.mark.jit
def test_an_encoder_and_a_decoder_spell_backwards(folder):
    output = run("sequences/reverse_words.py", folder)
    assert float(re.search(r"spelled exactly: (\S+)%", output)[1]) > 95
    words = re.findall(r"^([a-z]+) -> ([a-z]*)$", output, re.MULTILINE)
    assert len(words) == 5
    assert sum(word == spelled[::-1] for word, spelled in words) >= 4


def test_microgpt_learns_names(folder):
    words = ["anna", "hanna", "johanna", "susanna", "ana", "jana", "nana", "hana"] * 20
    (folder / "names.txt").write_text("\n".join(words))
    done = run_python(["sequences/microgpt.py", "names.txt", "100"], folder, strict=True)
    assert "step   100" in done.stderr
    loss, text = done.stdout.split("\n", 1)
    assert float(re.fullmatch(r"test loss (\S+)", loss)[1]) < 1
    assert "ana\n" in text


@pytest.mark.rare
def test_six_models_learn_names(folder, monkeypatch):
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")  # compiling six models takes longer than a few epochs
    words = ["anna", "hanna", "johanna", "susanna", "ana", "jana", "nana", "hana"] * 20
    (folder / "names.txt").write_text("\n".join(words))
    rows = [line.split() for line in run("sequences/names_six.py names.txt 4", folder).splitlines()[1:]]
    assert [row[0] for row in rows] == ["bigram", "MLP", "wavenet", "RNN", "GRU", "transformer"]
    losses = [float(row[4]) for row in rows]
    assert max(losses[1:]) < losses[0] < 3
    for row in rows:
        assert row[5:]
        assert set("".join(row[5:])) <= set("".join(words))


def test_swish_checks_its_gradients(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("BPROP_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    config = load_config(folder / "digits_swish.yaml")
    experiment = config.build()
    net, loss = experiment.model, experiment.loss
    assert format_unchecked_warning(config, net, loss).startswith(
        "bprop: no check has been passed by swish.Swish as written"
    )
    assert run("swish.py", folder).endswith("right: 2 gradients within 1e-06\n")
    assert format_unchecked_warning(config, net, loss) == ""
    sys.modules.pop("swish")


@pytest.mark.slow
@pytest.mark.jit
def test_a_mixture_beats_one_gaussian(folder):
    output = run("inverse_density.py density.svg inverse_density.png", folder)
    one, three = (float(value) for value in re.findall(r"test loss (\S+)", output))
    assert three < one - 0.4
    check_drawn(folder, "density.svg", "inverse_density.png")
    assert ("no plot" in output) != (find_spec("matplotlib") is not None)


@pytest.mark.slow
@pytest.mark.jit
def test_a_variational_autoencoder_beats_pixels_apart(folder):
    output = run("vae_digits.py", folder)
    apart, bound = (float(value) for value in re.findall(r"(\S+) nats", output))
    assert bound < apart - 20
    lines = output.splitlines()[2:]
    assert (len(lines), {len(line) for line in lines}) == (8, {6 * 16 + 5 * 2})
    assert "@" in "".join(lines) or "%" in "".join(lines)


def test_an_evaluation_trace(folder):
    output = run("derivatives/evaluation_trace.py", folder)
    assert "\nv7  v5 + v6    8.47976   16.7781  1\n" in output
    assert "the derivative for x1: 16.77811219786" in output
    assert "\nv7  v5 + v6    8.47976   16.7781\n" in output
    assert "adjoint 16.7781" in (folder / "evaluation_trace.svg").read_text(encoding="utf-8")
    assert "\ndrawn: evaluation_trace.svg\n" in output
    assert float(output.split()[-1]) < 1e-14


def test_four_derivatives(folder):
    both = find_spec("matplotlib") is not None
    output = run("derivatives/four_derivatives.py" + " svg png" * both, folder)
    assert (folder / "bishop.png").exists() == (folder / "geron.png").exists() == both
    assert "\nreverse mode        16.7781121979  8.80520293548  " in output
    assert "the Hessian times (1, 0): {'x': 8.0, 'y': 6.0}" in output
    assert "adjoint 24" in (folder / "geron.svg").read_text(encoding="utf-8")
    assert (folder / "geron_derivative.svg").exists() == (find_spec("sympy") is not None)
    if find_spec("sympy") is None:
        assert output.endswith("no formulas: SymPy is not installed\n")
        return
    assert "d/dx (5 + x*y) = 0 + (0*x + y*1) = y\n" in output
    table = [[int(word) for word in line.split()] for line in output.splitlines()[-6:]]
    assert [row[:3] for row in table] == [[n, 5 * n, 5 * n * n + 7 * n + 2] for n in range(1, 7)]
    assert all(function < shared < pruned < by_rules for _, function, by_rules, pruned, shared in table[1:])


def test_numerical_derivatives(folder):
    output = run("derivatives/numerical_derivatives.py svg", folder)
    table, fits = output.split("\n\n")[1:]
    rows = {line.split()[0]: [float(word) for word in line.split()[1:]] for line in table.splitlines()[1:]}
    assert rows["1e-08"][0] < 1e-7 < rows["1e-02"][0]
    assert rows["1e-05"][1] < 1e-9 < min(rows["1e-02"][1], rows["1e-10"][1])
    assert max(rows[step][2] for step in ("1e-08", "1e-14")) < 1e-15
    slopes = dict(re.findall(r"^(.*): (\S+)$", fits, re.MULTILINE))
    expected = {"forward, truncation": 1, "forward, rounding": -1, "central, truncation": 2, "central, rounding": -1}
    for name, slope in expected.items():
        assert float(slopes[name]) == pytest.approx(slope, abs=0.03)
    check_drawn(folder, "numerical_derivatives.svg")


def load_example(name):
    spec = spec_from_file_location(f"{name}_of_the_examples", EXAMPLES / f"{name}.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_sigmoidal_units(folder, monkeypatch):
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    lines = [re.split(r"  +", line) for line in run("sigmoids.py svg png", folder).splitlines()[1:8]]
    figures = {name: (float(largest), float(place)) for name, largest, place in lines}
    assert figures["logistic sigmoid"] == (0.25, 3.64)  # 1/4, and tanh's at half the distance
    assert figures["tanh"] == (1.0, 1.82)
    assert figures["erf (probit)"] == (0.7979, 2.15)  # √(2/π), √(2 ln 10)
    assert figures["softsign"] == (1.0, 2.16)  # √10 - 1
    assert figures["arctan"] == (0.6366, 3.0)  # 2/π
    check_drawn(folder, "sigmoids.svg", "sigmoids.png")


def test_sigmoidal_units_have_their_derivatives():
    x = np.random.default_rng(0).normal(size=(4, 5))
    for unit in (each for units in load_example("sigmoids").UNITS.values() for each in units.values()):
        check_gradients(unit.to("float64"), x).raise_if_wrong()


@pytest.mark.jit
def test_a_module_without_bprop_learns(folder):
    output = run("derivatives/without_bprop.py", folder)
    assert "beside differences: the trace is what Swish() has for a bprop" in output
    assert float(output.split()[-1]) < 0.002


@pytest.mark.parametrize("slope", [0.5, 2.0])
def test_swish(slope):
    swish, x = load_example("swish").Swish(5).to("float64"), np.random.default_rng(0).normal(size=(8, 5))
    swish.slope = np.full(5, slope)
    check_gradients(swish, x).raise_if_wrong()
    np.testing.assert_allclose(swish.fprop(x), x / (1 + np.exp(-slope * x)), rtol=1e-12)


def test_digits_with_swish(folder, tmp_path):
    figures = train_config(
        load_config(folder / "digits_swish.yaml", ["trainer.epochs=10"]), tmp_path / "run", quiet=True
    )
    sys.modules.pop("swish")
    assert figures["test_accuracy"] > 0.95
    assert figures["parameters"] == 64 * 72 + 72 + 72 + 72 * 10 + 10
    assert (tmp_path / "run" / "swish.py").read_text() == (EXAMPLES / "swish.py").read_text()


@pytest.mark.slow
@pytest.mark.jit
@pytest.mark.parametrize(("name", "epochs"), [("resnet", 5), ("inception", 3)])
def test_graphs_of_images_learn(folder, tmp_path, name, epochs):
    config = load_config(folder / f"{name}.yaml", [f"trainer.epochs={epochs}"])
    assert train_config(config, tmp_path / "run", quiet=True)["test_accuracy"] > 0.9


@pytest.mark.jit
def test_a_siamese_net_tells_pairs_apart(folder, tmp_path):
    config = load_config(folder / "siamese.yaml")
    figures = train_config(config, tmp_path / "run", quiet=True)
    assert figures["test_loss"] < 0.1
    assert figures["parameters"] == 64 * 64 + 64 + 64 * 16 + 16
    experiment = config.build()
    model, pairs = experiment.model, experiment.dataset.test
    load_weights(model, tmp_path / "run")
    a, b = np.moveaxis(Trainer(model, experiment.loss, SGD(lr=0.0), quiet=True).predict(pairs[:][0]), 1, 0)
    cosine = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    assert np.mean((cosine > 0.6) == (pairs.y > 0)) > 0.9
    state = model.state_dict()
    np.testing.assert_array_equal(state["1.tower.1.weight"], state["1.twin.1.weight"])


@pytest.mark.slow
@pytest.mark.jit
def test_a_net_of_two_heads_answers_twice(folder, tmp_path):
    figures = train_config(load_config(folder / "two_heads.yaml"), tmp_path / "run", quiet=True)
    assert figures["test_digit_accuracy"] > 0.95
    assert figures["test_slant_r2"] > 0.95
    sys.modules.pop("digit_slant")  # the run has a copy of its own
    assert evaluate_run(tmp_path / "run")["test_slant_rmse"] == pytest.approx(figures["test_slant_rmse"])
    images = load_config(tmp_path / "run" / "config.yaml").build().dataset.test
    np.save(tmp_path / "images.npy", images.x[:5])
    columns = predict_run(tmp_path / "run", tmp_path / "images.npy").columns
    assert {"digit_class", "digit_p_0", "slant_y"} <= set(columns)
    assert np.mean(columns["digit_class"] == images.y[:5, 0]) >= 0.8
    np.testing.assert_allclose(np.array(columns["slant_y"], float), images.y[:5, 1], atol=0.6)
    sys.modules.pop("digit_slant")


@pytest.mark.slow
@pytest.mark.jit
def test_two_inputs_and_two_answers(folder, tmp_path, monkeypatch):
    output = run("two_inputs.py", folder)
    right, error, spread = (float(number) for number in re.findall(r"\d\.\d+", output))
    assert right > 0.85
    assert error < 0.85 * spread
    assert "MultiLoss: sum" in (folder / "two_inputs.svg").read_text()
    monkeypatch.chdir(folder)
    figures = train_config(load_config("two_inputs.yaml"), tmp_path / "run", quiet=True)
    assert figures["test_digit_accuracy"] > 0.85
    assert figures["test_ink_rmse"] < 0.85 * spread
    assert figures["parameters"] == 32 * 64 + 64 + 65 * 32 + 32 + 32 * 11 + 11
    columns = predict_run(tmp_path / "run", folder / "two_inputs.npz").columns
    assert np.mean(columns["digit_class"] == np.load("two_inputs.npz")["digit"]) > 0.9


def test_derivatives(folder, monkeypatch):
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    output = run("derivatives/derivatives.py", folder)
    assert abs(float(re.search(r"symmetric: (\S+)", output)[1])) < 1e-10
    before, after = (float(value) for value in re.search(r"loss: (\S+) before the step, (\S+) after", output).groups())
    assert after < before - 0.05
    largest, eigenvalue = re.search(r"largest eigenvalues: \[\s*(\S+).*\] (\S+)", output).groups()
    assert float(largest) == pytest.approx(float(eigenvalue), rel=1e-6)


@pytest.mark.jit
def test_cost_of_gradients(folder):
    output = run("derivatives/gradient_cost.py 2200 1000 cost.svg", folder)
    table = [line.split() for line in output.splitlines()[1:3]]
    assert [(int(row[0]), row[-2:]) for row in table] == [(544, ["measured", "whole"]), (2112, ["measured", "whole"])]
    assert all(float(row[1]) < float(row[5]) for row in table)
    assert "slope" not in output  # both are too small for a fit
    check_drawn(folder, "cost.svg")
    assert ("drawn" in output) != ("no plot" in output)


def test_slopes_of_costs(monkeypatch):
    """Of differences, those that were measured whole, and large ones alone."""
    monkeypatch.setattr(sys, "argv", ["gradient_cost.py"])
    code = compile(
        (EXAMPLES / "derivatives/gradient_cost.py").read_text().split("\nprint(")[0], "gradient_cost", "exec"
    )
    names = {"__name__": "gradient_cost"}
    exec(code, names)
    sizes = np.array([10.0, 2e4, 4e4, 8e4])
    whole = np.array([True, True, True, False])
    fit_slope = names["fit_slope"]
    assert fit_slope(sizes, 3 * sizes**2) == pytest.approx(2)
    assert fit_slope(sizes[:1], sizes[:1]) is None
    slopes = names["fit_slopes"](sizes, np.array([5, 2e4, 4e4, 8e4]), np.array([1, 2.0, 8.0, 1.0]), whole)
    assert slopes == pytest.approx((1, 2))


def test_a_custom_lstm(folder, monkeypatch):
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    output = run("sequences/custom_lstm.py", folder)
    assert "right: 4 gradients within 1e-06\n" in output
    assert float(re.search(r"built-in layer (\S+)", output)[1]) < 1e-6
    losses = re.findall(r"^(\w+): loss (\S+) at first, (\S+) at last", output, re.MULTILINE)
    assert [name for name, _, _ in losses] == ["CustomLSTM", "LSTM"]
    assert all(float(last) < 0.05 * float(first) for _, first, last in losses)


def test_custom_attention(folder, monkeypatch):
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    output = run("sequences/custom_attention.py", folder)
    assert "right: 3 gradients within 1e-06\n" in output
    assert float(re.search(r"built-in layer (\S+)", output)[1]) < 1e-6
    assert float(re.search(r"'accuracy': (\S+?)}", output)[1]) > 0.99


def test_a_language_model_of_custom_modules(folder, monkeypatch):
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    output = run("sequences/custom_language_model.py", folder)
    assert re.findall(r"^right: (\d) gradients", output, re.MULTILINE) == ["2", "3", "2", "3", "3"]
    assert float(re.search(r"'accuracy': (\S+?)}", output)[1]) > 0.95


def test_hopfield_networks(folder, monkeypatch):
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    output = run("energy/hopfield.py", folder)
    letters = Characters(letters="HIJLX").train.x.reshape(-1, 6, 6)
    recalled = output.split("Recalled")[1].split("\n\n")[1].splitlines()
    expected = ["   ".join("".join("# "[int(p < 0)] for p in image[line]) for image in letters) for line in range(6)]
    assert recalled == expected
    noisy = {int(flipped): int(share) for flipped, share in re.findall(r"^ +(\d+)%  (\d+)%$", output, re.MULTILINE)}
    assert noisy[5] >= 98
    assert noisy[10] >= 90
    assert noisy[30] < 75
    assert "H - J + X" in output
    rules = dict(re.findall(r"^(\w+ +0%) +(\S.*)$", output, re.MULTILINE))
    hebb, storkey, inverse = ([float(share) for share in row.split()] for row in rules.values())
    assert hebb[0] > 0.97
    assert hebb[3] < 0.5 < 0.9 < storkey[3]
    assert storkey[-1] < 0.9 < inverse[-1] == 1
    assert int(re.search(r"keeps (\d+)% of 400 patterns", output)[1]) >= 95


def test_the_capacity_of_hopfield_networks(folder, monkeypatch):
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    output = run("energy/hopfield_capacity.py 40 100 200 svg", folder)
    assert "in theory 0.1379 patterns a neuron, with an overlap of 0.967" in output
    rows = [[float(share) for share in row.split()] for row in re.findall(r"^recalled (.*)$", output, re.MULTILINE)]
    assert all(row[0] == 1 > 0.8 > row[-1] for row in rows)
    assert float(re.search(r"are lost at (\S+) \+ ", output)[1]) == pytest.approx(0.138, abs=0.08)
    check_drawn(folder, "hopfield_capacity.svg")
    assert ("drawn" in output) != ("no plot" in output)


@pytest.mark.slow
@pytest.mark.jit
def test_a_boltzmann_machine_completes_and_denoises_images(folder):
    output = run("energy/boltzmann_images.py", folder)
    completed, by_mean, flipped, wrong = (float(share) for share in re.findall(r"(\S+)%", output))
    assert completed > by_mean + 2
    assert wrong < 0.7 * flipped
    assert output.count("#") > 500


@pytest.mark.slow
@pytest.mark.jit
def test_a_boltzmann_machine_finds_a_code(folder):
    output = run("energy/boltzmann_encoder.py 3", folder)
    loss, least = (float(value) for value in re.search(r"likelihood (\S+), at least (\S+)", output).groups())
    assert loss < least + 0.05
    assert set(re.findall(r" ([01]{2})$", output, re.MULTILINE)) == {"00", "01", "10", "11"}
    assert float(re.search(r"(\S+)% of the second groups", output)[1]) > 97


@pytest.mark.jit
def test_forms_of_a_gaussian(folder):
    output = run("gaussian_forms.py", folder)
    rows = {(row[0], row[1]): row[2:] for row in map(str.split, output.splitlines()[1:7])}
    for form in ("precision", "variance", "std"):
        assert float(rows[form, "0.02"][1]) < 0.5  # each learns by small steps
        if form != "precision":
            assert float(rows[form, "0.3"][0]) > 10 * float(rows["precision", "0.3"][0])
    assert float(rows["precision", "0.3"][1]) < 1
    left, right = (float(value) for value in re.search(r"targets: (\S+) on the left .*, (\S+) on", output).groups())
    assert left == pytest.approx(-0.8, abs=0.15)
    assert right == pytest.approx(0.8, abs=0.15)


def test_spsa(folder, monkeypatch):
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    output = run("derivatives/spsa.py", folder)
    before, after = (float(value) for value in re.findall(r"loss (\S+?),?\s", output))
    assert after < 0.2 < 1 < before
    assert float(re.search(r"(\S+)% of the test set right", output)[1]) > 90
    assert output.rstrip().endswith(" 0")


def test_reinforce_with_all_its_baselines(folder, monkeypatch):
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    one, trained = run("reinforce.py 1 1000", folder).split("\n\n")
    rows = {line.split()[0]: line.split()[1:] for line in one.splitlines()[2:]}
    assert list(rows) == ["none", "constant", "running", "input", "optimal"]
    assert all(float(off) < 4 for off, _ in rows.values()), "each has the gradient as its mean"
    variances = [float(variance) for _, variance in rows.values()]
    assert variances == sorted(variances, reverse=True)
    assert variances[-1] < variances[2] < 0.1 * variances[0]
    rows = {line.split()[0]: float(line.split()[1]) for line in trained.splitlines()[2:]}
    assert list(rows) == ["none", "constant", "running", "input", "optimal"]
    assert all(1 < value < 3 for value in rows.values()), "after one epoch; test_stochastic.py trains for longer"


def test_every_example_is_here():
    assert {
        path.relative_to(EXAMPLES).as_posix() for path in EXAMPLES.rglob("*") if path.suffix in (".py", ".yaml")
    } == {
        "by_hand.py",
        "deep_net.py",
        "depth.yaml",
        "derivatives/derivatives.py",
        "derivatives/evaluation_trace.py",
        "derivatives/four_derivatives.py",
        "derivatives/gradient_cost.py",
        "derivatives/numerical_derivatives.py",
        "derivatives/spsa.py",
        "derivatives/without_bprop.py",
        "digit_slant.py",
        "digits_swish.yaml",
        "energy/boltzmann_encoder.py",
        "energy/boltzmann_images.py",
        "energy/hopfield.py",
        "energy/hopfield_capacity.py",
        "gaussian_forms.py",
        "inception.yaml",
        "inverse_density.py",
        "own_loop.py",
        "parallel/simulate.py",
        "reinforce.py",
        "resnet.yaml",
        "sequences/backprop_ninja.py",
        "sequences/custom_attention.py",
        "sequences/custom_language_model.py",
        "sequences/custom_lstm.py",
        "sequences/microgpt.py",
        "sequences/names_six.py",
        "sequences/reverse_words.py",
        "siamese.yaml",
        "sigmoids.py",
        "swish.py",
        "two_heads.yaml",
        "two_inputs.py",
        "two_inputs.yaml",
        "vae_digits.py",
    }


@pytest.fixture(scope="module")
def simulate():
    """The simulation of the exchange, as a module."""
    spec = spec_from_file_location("simulate", EXAMPLES / "parallel" / "simulate.py")
    module = sys.modules["simulate"] = module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules["simulate"]


def test_a_queue_serves_in_the_order_of_arrival(simulate):
    done = simulate.serve(np.array([[5.0, 0.0, 0.5], [0.0, 0.0, 0.0]]), np.array([[1.0, 1.0, 2.0], [1.0, 1.0, 1.0]]))
    np.testing.assert_allclose(done, [[6, 1, 3], [1, 2, 3]])


@pytest.mark.parametrize("ranks", [2, 4, 16, 64])
@pytest.mark.parametrize("group", [1, 4])
@pytest.mark.parametrize("speed", [1, 100])
def test_the_simulation_is_near_the_formula(simulate, ranks, group, speed):
    """Within a fifth for each net and network, as without jitter all that is random is left out."""
    for work in simulate.WORKS.values():
        steady = simulate.replace(work, jitter=0.0)
        net = simulate.Network(speed * simulate.GBIT, per_node=group)
        assert simulate.simulate(steady, net, ranks, 3) == pytest.approx(simulate.predict(steady, net, ranks), rel=0.2)


def test_a_late_rank_holds_up_others_by_its_own_slices_only(simulate):
    net, size = simulate.Network(1e6, latency=0.0, message=0.0), 1000.0  # a millisecond a message
    done = simulate.send_to_all(np.array([0.0, 0.0, 0.0, 1.0]), size, net)
    assert done[:3].max() <= 1.003 + 1e-9
    assert done[3] == pytest.approx(1.0)


def test_local_steps_and_fewer_bytes_help_where_the_network_is_slow(simulate):
    net, work = simulate.Network(simulate.GBIT), simulate.scale(simulate.WORKS["CNN of 1.2 M, 64 samples"], 16)
    plain = simulate.compute_efficiency(work, net, 16)
    assert plain < simulate.compute_efficiency(simulate.replace(work, compression=4.0), net, 16)
    assert plain < simulate.compute_efficiency(simulate.replace(work, local=8), net, 16)


def test_efficiencies_are_drawn(simulate, tmp_path, monkeypatch):
    monkeypatch.setattr(simulate, "COUNTS", (2, 4))
    simulate.draw(tmp_path / "efficiency.svg")
    assert (tmp_path / "efficiency.svg").read_text().count("<polyline") == 18
