"""The entries of PyTorch's databases: module_db, common_nn and op_db."""

import copy
import warnings

import torch
from torch import nn
from torch.testing._internal import common_methods_invocations, common_modules, common_nn

from .entry import Entry, Unsupported
from .functionals import FUNCTIONALS, OPERATIONS

DTYPE = torch.float64


def read_module_db(classes=None):
    """Each module with each of its inputs, in training and in evaluation."""
    for info in common_modules.module_db:
        for training in (True, False):
            torch.manual_seed(0)
            try:
                inputs = list(info.module_inputs_func(info, "cpu", DTYPE, requires_grad=True, training=training))
            except Exception as error:
                yield Entry(info.name, missing=f"inputs cannot be made: {type(error).__name__}")
                continue
            for k, each in enumerate(inputs):
                name = f"{info.name}[{k}]{'' if training else ' in evaluation'}"
                make, call = each.constructor_input, each.forward_input
                if call is None:
                    continue
                module = info.module_cls(*make.args, **make.kwargs).to(DTYPE).train(training)
                yield Entry(name, module, tuple(call.args), names=dict(call.kwargs))


def read_common_nn():
    """The older tables of modules and criteria."""
    torch.set_default_dtype(DTYPE)
    try:
        tables = (common_nn.module_tests, common_nn.get_new_module_tests(), common_nn.criterion_tests)
        for description in (each for table in tables for each in table):
            yield from read_description(description)
    finally:
        torch.set_default_dtype(torch.float32)


def read_description(description):
    name = description.get("fullname") or f"{description['module_name']} {description.get('desc', '')}".strip()
    torch.manual_seed(0)
    if "constructor" in description:
        constructor, args = description["constructor"], description.get("constructor_args", ())
    else:
        constructor, args = getattr(nn, description["module_name"]), description.get("constructor_args", ())
    args = args() if callable(args) else args
    names = description.get("constructor_kwargs", {})
    module = constructor(*args, **names)
    if type(module).__module__.startswith("torch.testing"):
        yield Entry(name, missing="a function in place of a module")
        return
    if "input_fn" in description:
        inputs = description["input_fn"]()
    else:
        inputs = torch.randn(description["input_size"])
    inputs = inputs if isinstance(inputs, tuple) else (inputs,)
    inputs = tuple(each.requires_grad_(each.is_floating_point()) for each in inputs)
    if "target_size" in description:
        inputs = (*inputs, torch.randn(description["target_size"]))
    elif "target_fn" in description:
        inputs = (*inputs, description["target_fn"]())
    yield Entry(name, module.to(DTYPE), tuple(inputs))


def read_op_db(part=0, parts=1):
    """Each operation's samples, as the module that computes the same where there is one; every `parts`-th operation."""
    for info in common_methods_invocations.op_db[part::parts]:
        functional = info.name.removeprefix("nn.functional.")
        table = FUNCTIONALS if functional != info.name else OPERATIONS
        variant = f".{info.variant_test_name}" if info.variant_test_name else ""
        build = table.get(functional + variant) or table.get(functional)
        torch.manual_seed(0)
        for k, sample in enumerate(info.sample_inputs("cpu", DTYPE, requires_grad=True)):
            name = f"{info.name}{variant}[{k}]"
            if build is None:
                yield Entry(name, missing=info.name)
                continue
            try:
                with warnings.catch_warnings(action="ignore"):
                    module, arguments = build(sample.input, *sample.args, **sample.kwargs)
            except Unsupported as reason:
                yield Entry(name, missing=f"{info.name}: {reason}")
                continue
            except (TypeError, ValueError, AssertionError) as error:
                yield Entry(name, missing=f"{info.name}: {error}")
                continue
            yield Entry(name, copy.deepcopy(module), tuple(arguments))
