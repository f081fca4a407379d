"""One entry, here and in PyTorch: the value, and the gradient of every input and parameter."""

import warnings

import numpy as np
import torch
from bprop import modules as ours
from bprop.trainers import compile_step

from .entry import Entry, Unsupported
from .optimizers import OptimizerEntry, translate_optimizer
from .translate import translate

ROUNDING = {"Hardsigmoid": 1e-7, "ASGD": 1e-6}  # PyTorch has 1/6, and the rate of ASGD, in float32


def compare(entry: Entry) -> str:
    """The outcome: "agrees", "refused: ..." or "unsupported: ..."; AssertionError where the two differ."""
    try:
        if entry.missing:
            raise Unsupported(entry.missing)
        translation = translate(entry.module)
        expected, arguments = run_torch(entry)
        x, target = take_arguments(translation, arguments)
    except Unsupported as reason:
        return f"unsupported: {reason}"
    except (TypeError, ValueError, IndexError) as error:
        return check_refusal(entry, error)
    inputs = [each.detach().numpy() for each in x]
    x = [each.requires_grad_() if each.is_leaf else each for each in x]
    try:
        with np.errstate(all="ignore"):  # plain Python warns where compiled code computes NaN as PyTorch does
            y = run_ours(translation, inputs, target)
    except (TypeError, ValueError) as error:
        return check_refusal(entry, error)
    check_results(entry, translation, expected, arguments, x, y)
    return "agrees"


def run_torch(entry):
    """PyTorch's value, with arguments that are leaves of its graph."""
    arguments = tuple(detach(value) for value in entry.arguments)
    if any(value is not None for value in entry.names.values()):
        raise Unsupported("arguments by name")
    with warnings.catch_warnings(action="ignore"):
        y = entry.module(*arguments)
    y = y[0] if isinstance(y, tuple) else y
    if isinstance(entry.module, torch.nn.CrossEntropyLoss | torch.nn.NLLLoss) and y.ndim == 0 and y.isnan():
        raise Unsupported("the mean over no label at all, NaN there and 0 here")
    return y, arguments


def detach(value):
    if not isinstance(value, torch.Tensor):
        return value
    if value.dtype.is_complex:
        raise Unsupported("complex numbers")
    return value.detach().clone().requires_grad_(value.requires_grad)


def take_arguments(translation, arguments):
    with warnings.catch_warnings(action="ignore"):
        x = [each for each in translation.inputs(arguments) if each is not None]
        target = None if translation.target is None else translation.target(arguments).detach().numpy()
    if any(not isinstance(each, torch.Tensor) for each in x):
        raise Unsupported("a number in place of a tensor")
    if any(not each.numel() for each in x):
        raise Unsupported("an empty minibatch or axis")
    return x, target


def run_ours(translation, inputs, target):
    module = translation.module
    x = inputs[0] if len(inputs) == 1 else tuple(inputs)
    if target is not None:
        return module.fprop(x, target)
    return module.fprop(x)


def check_refusal(entry, error) -> str:
    """A refusal names the class that refuses; anything else is a crash."""
    message = str(error)
    if not any(message.startswith(name) for name in ours.__all__):
        raise AssertionError(f"{entry.name}: {type(error).__name__}: {message}") from error
    return f"refused: {message}"


def check_results(entry, translation, expected, arguments, x, y):
    module, is_loss = translation.module, translation.target is not None
    there = translation.y(expected)
    assert_close(f"{entry.name}: y", y, there.detach().numpy())
    torch.manual_seed(1)
    each = is_loss and there.ndim > 0
    grad_y = torch.ones(()) if is_loss and not each else torch.randn(there.shape, dtype=there.dtype)
    rtol = ROUNDING.get(type(module).__name__, 1e-8)
    leaves = [each for each in arguments if isinstance(each, torch.Tensor) and each.requires_grad]
    parameters = {} if is_loss else dict(entry.module.named_parameters())
    gradients = torch.autograd.grad(there, [*leaves, *parameters.values()], grad_y, allow_unused=True)
    grad_x = module.bprop() if is_loss and not each else module.bprop(grad_y.numpy())
    grad_x = [torch.as_tensor(each) for each in (grad_x if isinstance(grad_x, tuple) else (grad_x,))]
    mine = torch.autograd.grad(x, leaves, grad_x, allow_unused=True)
    for k, (each, its) in enumerate(zip(mine, gradients, strict=False)):
        if each is not None or not is_loss:  # a loss here gives no gradient of its target
            assert_close(
                f"{entry.name}: gradient {k}", zeros_if_none(each, leaves[k]), zeros_if_none(its, leaves[k]), rtol
            )
    named = dict(module.named_gradients())
    for (name, parameter), its in zip(parameters.items(), gradients[len(leaves) :], strict=True):
        assert_close(f"{entry.name}: gradient of {name}", named[name], zeros_if_none(its, parameter))
    state = module.state_dict()
    for name, value in () if is_loss else entry.module.named_buffers():
        assert_close(f"{entry.name}: {name}", state[name], value.numpy())


def zeros_if_none(gradient, tensor):
    return (torch.zeros_like(tensor) if gradient is None else gradient).detach().numpy()


def assert_close(what, mine, its, rtol=1e-8):
    mine = np.asarray(mine)
    if mine.shape != its.shape:
        raise AssertionError(f"{what} has shape {mine.shape}, in PyTorch {its.shape}")
    scale = np.abs(its[np.isfinite(its)]).max(initial=1e-3)
    np.testing.assert_allclose(mine, its, rtol=rtol, atol=1e-2 * rtol * scale, err_msg=what)


STEPS = 5


def compare_optimizers(entry: OptimizerEntry) -> str:
    """The outcome of some steps from the same weights with the same gradients."""
    try:
        optimizer = translate_optimizer(entry)
    except Unsupported as reason:
        return f"unsupported: {reason}"
    except (TypeError, ValueError) as error:
        return check_refusal(entry, error)
    torch.manual_seed(0)
    there = torch.nn.Linear(4, 3, dtype=torch.float64)
    x, target = torch.randn(STEPS, 8, 4, dtype=torch.float64), torch.randn(STEPS, 8, 3, dtype=torch.float64)
    net = ours.Sequential(ours.Linear(4, 3)).to("float64")
    net[0].load_state_dict({name: value.detach().numpy() for name, value in there.state_dict().items()})
    settings = dict(entry.settings)
    settings.pop("fused", None)
    its = entry.cls(there.parameters(), **settings)
    step = compile_step(net, ours.MeanSquaredError(), optimizer)
    for each, goal in zip(x, target, strict=True):
        step(each.numpy(), goal.numpy())
        its.zero_grad()
        torch.nn.functional.mse_loss(there(each), goal).backward()
        its.step()
    for name, value in there.state_dict().items():
        assert_close(
            f"{entry.name}: {name}", net[0].state_dict()[name], value.numpy(), ROUNDING.get(entry.cls.__name__, 1e-8)
        )
    return "agrees"
