"""Every exported module and loss passes these contract checks: each runs on each row of the table."""

import inspect
import re
from pathlib import Path

import bprop.modules
import numpy as np
import pytest
import safetensors.numpy
from bprop.modules import Loss, Module, check_gradients, check_module, manual_seed
from bprop.modules.engine.stateful import reads_attribute
from numba import config

from ..cases import LOSSES, MODULES

modules = pytest.mark.parametrize("case", MODULES, ids=lambda case: case.name)
losses = pytest.mark.parametrize("case", LOSSES, ids=lambda case: case.name)


def close(a, b, tolerance):
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def run(module, *arguments):
    """y (or a loss's value), the gradient of the first argument, and those of the parameters."""
    module.zero_grad()
    y = module.fprop(*arguments)
    if not module.takes_gradient:
        return y, module.bprop(), module.flat_gradients.copy()
    grad_y = np.random.default_rng(9).standard_normal(y.shape)
    return y, module.bprop(grad_y), module.flat_gradients.copy()


# -- the table is complete ---------------------------------------------------------------------------------------


def test_every_exported_module_and_loss_has_a_row():
    exported = [value for value in vars(bprop.modules).values() if inspect.isclass(value) and issubclass(value, Module)]
    concrete = {
        cls.__name__
        for cls in exported
        if cls not in (Module, Loss) and not any(sub is not cls and issubclass(sub, cls) for sub in exported)
    }
    tried = {type(inside).__name__ for case in [*MODULES, *LOSSES] for inside in case.make().all_modules()}
    assert concrete - tried == set(), "give these a row in cases.py"


def test_exports_are_complete():
    package = bprop.modules
    public = {name for name, value in vars(package).items() if not name.startswith("_") and not inspect.ismodule(value)}
    assert set(package.__all__) == public
    for folder in ("containers", "core", "initializers", "layers", "losses"):
        for cls in defined_classes(Path(package.__file__).parent / folder):
            assert cls in package.__all__ or cls in INTERNAL, f"{cls} is not exported by bprop.modules"


INTERNAL = {"Branches", "Discard", "Draw", "ElementwiseDropout", "ElementwiseTable"}
INTERNAL |= {"AdaptivePooling", "Axes", "GlobalPool", "Rearrangement"}
INTERNAL |= {"ConstantPad", "Pad", "Pad1d", "Pad2d", "Pad3d", "Pooling3d"}
INTERNAL |= {"InPlanes", "LogProbability", "MarginLoss", "PairLoss", "Pooling1d", "RowNorm", "UnitLogProbabilities"}
INTERNAL |= {"Hierarchy", "InternalOp", "Mode", "ParametersAndBuffers", "Tie"}
INTERNAL |= {"CallRecorder", "Container", "InputReaders", "Shape", "ValueRef"}
INTERNAL |= {"ElementwiseBinaryOp", "Difference", "Maximum", "Minimum", "Product", "Quotient", "Sum"}
INTERNAL |= {
    "Cell",
    "CellOp",
    "GRUCellOp",
    "GivenStates",
    "LSTMCellOp",
    "LengthsSource",
    "OverTime",
    "RNNCellOp",
    "Recurrent",
    "RecurrentBase",
    "SecondOrder",
    "SequenceModule",
}
INTERNAL |= {"TokenReader", "TokenTable", "RowActivation", "PairTable", "CosineOp", "DistanceOp", "KeptDistanceOp"}
INTERNAL |= {"StableStates", "Capacity"}  # of functions of layers/energy/hopfield_memory.py
INTERNAL |= {"ConcatSlice", "Select", "Slice", "StackSlice"}
INTERNAL |= {"Attention", "ClearPadded", "DecoderStack", "EncoderStack", "FeedForwardBlock", "SequenceContainer"}


def defined_classes(folder):
    for file in folder.rglob("*.py"):
        yield from re.findall(r"^class ([A-Z]\w*)", file.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("case", [*MODULES, *LOSSES], ids=lambda case: case.name)
def test_docstring_has_the_backward_equation_and_a_source(case):
    text = inspect.getdoc(type(case.make()))
    assert "grad_" in text, "write the backward equation"
    assert "Source:" in text or type(case.make()).__name__ in ("Identity", "Flatten")


# -- gradients ---------------------------------------------------------------------------------------------------


def test_layers_with_a_weight_matrix_skip_gradients_that_nobody_needs():
    """So a learning rule that asks for grad_x alone pays for no more; each row's contract checks try that it works."""
    inside = {type(module): module for case in MODULES for module in case.make().all_modules()}
    matrices = {cls for cls, m in inside.items() if any(vars(m)[name].ndim > 1 for name in m._parameters)}
    missing = {cls.__name__ for cls in matrices if not reads_attribute(cls, "needs_grad_parameters")}
    assert not missing, "begin with `if self.needs_grad_parameters:`"
    assert {"Linear", "Conv2d", "ConvTranspose2d", "Bilinear", "Maxout"} <= {cls.__name__ for cls in matrices}


@modules
def test_the_laws_of_check_module(case):
    for seed, samples in enumerate((None, 3)):
        check_module(case.make(), case.x(samples), seed=seed).raise_if_wrong()


@losses
def test_the_laws_of_check_module_for_losses(case):
    for seed, samples in enumerate((None, 3)):
        check_module(case.make(), *case.arguments(samples), seed=seed).raise_if_wrong()


@modules
def test_each_parameter_is_checked(case):
    report = check_gradients(case.make(), case.x()).raise_if_wrong()
    names = [name for name, _ in case.make().named_parameters()]
    inputs = ["x"] if case.x().dtype.kind == "f" else []  # whole numbers have no gradient
    assert [entry.name for entry in report.entries] == ([] if case.make().estimates else [*inputs, *names])


# -- values ------------------------------------------------------------------------------------------------------


@pytest.mark.plain
@modules
def test_value(case):
    module = case.make().to("float64")
    close(module.fprop(case.x()), case.reference(module, case.x()), 1e-12)


@pytest.mark.plain
@losses
def test_value_of_losses(case):
    loss, (y, target) = case.make().to("float64"), case.arguments()
    value = loss.fprop(y, target)
    assert np.ndim(value) == 0
    close(value, case.reference(loss, y, target), 1e-12)
    assert loss.bprop().shape == y.shape


@modules
def test_float32_is_float64_rounded(case):
    single = case.make()
    double = single.copy().to("float64")
    actual, expected = run(single, case.x()), run(double, case.x())
    for a, b in zip(actual, expected, strict=True):
        assert (a.dtype, b.dtype) == (np.float32, np.float64)
        close(a, b, 1e-5)


@losses
def test_float32_is_float64_rounded_of_losses(case):
    actual, expected = run(case.make(), *case.arguments()), run(case.make().to("float64"), *case.arguments())
    assert (actual[1].dtype, expected[1].dtype) == (np.float32, np.float64)
    for a, b in zip(actual, expected, strict=True):
        close(a, b, 1e-5)


# -- inputs ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", [case for case in MODULES if case.refused], ids=lambda case: case.name)
def test_wrong_shape_is_refused(case):
    for ask in (case.make().output_shape, lambda shape: case.make().fprop(np.zeros(shape))):
        with pytest.raises(ValueError, match=f"^{re.escape(case.message)}$"):
            ask(case.refused)


@losses
def test_wrong_shapes_are_refused_by_losses(case):
    y, target = case.refused
    with pytest.raises(ValueError, match=f"^{re.escape(case.message)}$"):
        case.make().fprop(np.zeros(y), np.zeros(target, np.int64))
    case.make().check_shapes(case.shape, case.arguments()[1].shape)


@modules
def test_memory_layout_does_not_matter(case):
    expected = run(case.make(), x := case.x())
    manual_seed(0)
    strided = np.repeat(x, 2, axis=-1)[..., ::2]
    fortran = np.asfortranarray(x)
    for other in (strided, fortran, x[::-1].copy()[::-1], x.tolist()):
        manual_seed(0)
        for a, b in zip(run(case.make(), other), expected, strict=True):
            close(a, b, 1e-6)


@modules
def test_gradient_layout_does_not_matter(case):
    manual_seed(0)
    first, second = case.make(), None
    manual_seed(0)
    second = case.make()
    y = first.fprop(case.x())
    second.fprop(case.x())
    grad_y = np.random.default_rng(9).standard_normal(y.shape)
    close(first.bprop(grad_y), second.bprop(np.asfortranarray(grad_y)), 1e-6)


@modules
def test_batch_sizes_may_change(case):
    manual_seed(0)
    module = case.make().to("float64")
    for samples in (4, 1, 6, 2):
        close(module.fprop(case.x(samples)), case.reference(module, case.x(samples)), 1e-12)
        assert module.bprop(np.ones(module.output_shape(case.x(samples).shape))).shape == case.x(samples).shape


@pytest.mark.parametrize("case", [case for case in MODULES if case.samples_apart], ids=lambda case: case.name)
def test_samples_do_not_see_each_other(case):
    module = case.make().to("float64")
    whole = module.fprop(case.x())
    for n in range(len(whole)):
        close(module.fprop(case.x()[n : n + 1]), whole[n : n + 1], 1e-12)


# -- reproducing -------------------------------------------------------------------------------------------------


@modules
def test_a_seed_decides_everything(case):
    results = []
    for _ in range(2):
        manual_seed(3)
        results.append(run(case.make(), case.x()))
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


@modules
def test_state_is_saved_and_loaded(case):
    module = case.make()
    other = case.make()
    other.flat_parameters[...] += 1
    bytes_ = safetensors.numpy.save(module.state_dict())
    other.load_state_dict(safetensors.numpy.load(bytes_))
    other.load_counters(module.counters())
    np.testing.assert_array_equal(other.flat_parameters, module.flat_parameters)
    np.testing.assert_array_equal(other.fprop(case.x()), module.fprop(case.x()))


@modules
def test_copy_is_alike_and_apart(case):
    module = case.make()
    start = module.counters()
    y = module.fprop(case.x())
    module.load_counters(start)
    copy = module.copy()
    np.testing.assert_array_equal(copy.fprop(case.x()), y)
    copy.flat_parameters[...] += 1
    np.testing.assert_array_equal(module.fprop(case.x()), y)
    assert repr(copy) == repr(module)


@pytest.mark.compiled
def test_jit_setting_is_what_the_run_asks_for():
    assert bprop.modules.engine.stateful.jit_disabled() == bool(config.DISABLE_JIT)
