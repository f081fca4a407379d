"""Templates of custom classes: a file, a test, and a config; the test of a module fails until bprop is written."""

import importlib.util
import keyword
import re
from pathlib import Path
from string import Template

from ...datasets.files.paths import expand_path
from .part_templates import PARTS, format_config

MODULE = '''\
"""What $name is for, in a sentence; why it is computed in this way, in another."""

import numpy as np
from bprop.modules import Module, Parameter


class $name(Module):
    """What it does, in a line. Below, the equations: forward, then the gradient of each thing that y depends on.

        y            = x * weight
        grad_x       = ...
        grad_weight += ...

    Shapes: x, y (N, features), weight (features,).
    Args: features: at least 1.
    """

    def __init__(self, features: int):  # the types are what a config is checked against
        super().__init__()
        if features < 1:
            raise ValueError(f"$name: features is {features}, expected at least 1")
        self.features = features
        self.weight = Parameter(np.ones(features))  # its gradient is self.grad_weight, of the same shape

    def fprop(self, x):
        self.x = x  # keep what bprop needs
        return x * self.weight

    def bprop(self, grad_y):
        # grad_y is the gradient of the loss by y. Add to the gradient of each parameter, summed over the samples:
        #     self.grad_weight += (...).sum(axis=0)
        # and return the gradient by x. Nothing is divided by the batch size: the loss does that, once.
        return np.zeros_like(self.x)  # TODO: the test fails until this is right

    def output_shape(self, input_shape):  # in plain Python, before any data is read
        if len(input_shape) != 2 or input_shape[1] != self.features:
            raise ValueError(f"{self.label()}: x has shape {input_shape}, expected (N, {self.features})")
        return input_shape

    def extra_repr(self):
        return f"{self.features}"  # what stands between the parentheses of the repr
'''
TEST = '''\
"""Is the backward pass of $name right? `pytest test_$stem.py` says, and if not, what is wrong with it."""

import numpy as np
from bprop.modules import check_module
from $stem import $name


def test_$stem():
    x = np.random.default_rng(0).standard_normal((8, 5))
    check_module($name(5), x).raise_if_wrong()
'''
CONFIG = """\
# A net with $name, the class of $stem.py beside this file:
#   bprop check $stem.yaml       is every gradient right, on these data?
#   bprop train $stem.yaml
seed: 0
dataset: Digits
model:
  - Flatten
  - Linear: {in_features: 64, out_features: 72}
  - $stem.$name: {features: 72}
  - Linear: {in_features: 72, out_features: 10}
loss: SoftmaxCrossEntropy
optimizer:
  SGD: {lr: 0.1, momentum: 0.9}
trainer: {epochs: 30, batch_size: 32}
"""


KINDS = ("module", *PARTS)


def write_module_template(name: str, folder: Path | str = ".", kind: str = "module") -> list[Path]:
    """Write the template of a class `name`: NAME.py, test_NAME.py and NAME.yaml; returns their paths.

    Args: kind: one of KINDS.
    Errors: ValueError for another kind, for a name that is no class name, or whose file Python would not find;
        FileExistsError for files that are there already: nothing is written.
    """
    if kind not in KINDS:
        raise ValueError(f"new: the kind is {kind!r}, expected one of {', '.join(KINDS)}")
    if not re.fullmatch(r"[A-Z][A-Za-z0-9]*", name) or keyword.iskeyword(name):
        raise ValueError(f"new {kind}: the name is {name!r}, expected a class name in capitals, such as PowerUnit")
    stem, folder = convert_to_snake_case(name), expand_path(folder)
    if stem in ("bprop", "test") or importlib.util.find_spec(stem) is not None:
        raise ValueError(f"new {kind}: {stem!r} is the name of a Python module already; choose another than {name!r}")
    code, test, config = MODULE, TEST, CONFIG
    if kind in PARTS:
        code, test, config = PARTS[kind].code, PARTS[kind].test, format_config(kind)
    texts = {f"{stem}.py": code, f"test_{stem}.py": test, f"{stem}.yaml": config}
    there = [str(folder / file) for file in texts if (folder / file).exists()]
    if there:
        raise FileExistsError(f"{' and '.join(there)} exists already")
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in texts.items():
        (folder / file).write_text(Template(text).substitute(name=name, stem=stem), encoding="utf-8")
    return [folder / file for file in texts]


def convert_to_snake_case(name: str) -> str:
    """Convert `PowerUnit` to `power_unit`, `MyReLU` to `my_re_lu`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
