"""Greedy pretraining: each layer in turn as a restricted Boltzmann machine of what those below make of the data."""

import sys
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ...modules.containers.sequential import Sequential
from ...modules.core.module import Module
from ...modules.initializers.initializers import use_seed
from ...modules.layers.activations.elementwise import Sigmoid
from ...modules.layers.energy import RBM, ClassRBM, SigmoidBelief
from ...modules.layers.linear import Linear
from ...modules.losses.contrastive_divergence import ContrastiveDivergence
from ...modules.losses.softmax_cross_entropy import SoftmaxCrossEntropy
from ..callbacks import Callback
from ..optimizers import SGD
from ..rules import UpDown
from ..training.minibatches import TrainingError
from ..training.trainer import Trainer

ROWS = 1000  # samples that pass through a layer together


class GreedyPretraining(Callback):
    """Trains the layers of a deep belief net one after the other as RBMs, before the first epoch.

    The model is a Sequential. What is pretrained: each Linear with a Sigmoid after it, each SigmoidBelief, whose
    generative weights become those of its RBM, and a ClassRBM, together with the labels. Each learns the probabilities
    that the layers before it make of the training data, by CD-k from the weights that it has; other modules pass data
    on as in evaluation. The training that follows fine-tunes: by backprop, or by the rule UpDown.

    A training that is stopped meanwhile, and resumed, goes on where it was. One whose first epoch is over is not
    pretrained again.

    Args: epochs, lr, chains: of each layer, or a list of one for each layer; momentum, weight_decay: of SGD;
        batch_size: as of a training, at most the number of samples; steps: k of CD-k; chains: 0, or as many chains
        persist from minibatch to minibatch (persistent CD); units: gaussian if the first layer's inputs are not from 0
        to 1, but real numbers of variance 1, for which lr should be about 0.001.
    Errors: ValueError for settings out of range, for a model without such layers, and for data that do not fit.
    Source: Hinton, Osindero and Teh, A fast learning algorithm for deep belief nets (2006), section 4; Hinton, A
        practical guide to training restricted Boltzmann machines (2010); Bengio et al., Greedy layer-wise training of
        deep networks (2006); Géron, appendix E.
    """

    def __init__(
        self,
        epochs: int | list[int] = 10,
        lr: float | list[float] = 0.1,
        momentum: float = 0.5,
        weight_decay: float = 0.0002,
        batch_size: int = 100,
        steps: int = 1,
        chains: int | list[int] = 0,
        units: Literal["bernoulli", "gaussian"] = "bernoulli",
    ):
        for name, values in (("epochs", epochs), ("lr", lr)):
            for value in values if isinstance(values, list) else [values]:
                if not value > 0:
                    raise ValueError(f"GreedyPretraining: {name} is {values}, expected above 0")
        for name, value in (("batch_size", batch_size), ("steps", steps)):
            if value < 1:
                raise ValueError(f"GreedyPretraining: {name} is {value}, expected at least 1")
        if min(chains if isinstance(chains, list) else [chains], default=0) < 0:
            raise ValueError(f"GreedyPretraining: chains is {chains}, expected at least 0")
        if units not in ("bernoulli", "gaussian"):
            raise ValueError(f"GreedyPretraining: units is {units!r}, expected 'bernoulli' or 'gaussian'")
        SGD(lr=0.1, momentum=momentum, weight_decay=weight_decay)  # refuses what is out of range
        self.epochs, self.lr, self.momentum, self.weight_decay = epochs, lr, momentum, weight_decay
        self.batch_size, self.steps, self.chains, self.units = batch_size, steps, chains, units
        self._done = 0  # layers
        self._saved: dict[str, Any] | None = None  # the state of a layer's training that was stopped
        self._inner: Trainer | None = None  # the training of a layer that runs

    def on_fit_start(self, trainer) -> None:
        layers = list_stages(trainer.model)
        for name, values in (("epochs", self.epochs), ("lr", self.lr), ("chains", self.chains)):
            if isinstance(values, list) and len(values) != len(layers):
                shown = ", ".join(each.label() for each in layers)
                raise ValueError(f"GreedyPretraining: {name} is {values}, expected {len(layers)} numbers, for {shown}")
        if self.units == "gaussian" and not isinstance(layers[0], Linear):
            raise ValueError(f"GreedyPretraining: {layers[0].label()} is of bits, units='gaussian' is for a Linear")
        self._done, self._saved, self._inner = 0 if trainer.epoch == 0 else len(layers), None, None

    def before_epochs(self, trainer) -> None:
        layers = list_stages(trainer.model)
        if self._done >= len(layers):
            return
        x, y = trainer.data[:]
        for layer, x_of_layer in iterate_inputs(trainer.model, layers, x):
            k = layers.index(layer)
            if k < self._done:
                continue
            self._check_inputs(layer, k, x_of_layer)
            if not self._pretrain(trainer, layer, k, x_of_layer, y):
                return
            self._done, self._saved, self._inner = k + 1, None, None
            trainer.pause((k + 1, 0, 0))
            if trainer.stopped is not None:
                return

    def state_dict(self) -> dict[str, Any]:
        inner = self._saved if self._inner is None else self._inner.state_dict()
        return {"layers": self._done, "training": inner}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._done, self._saved = state["layers"], state["training"]

    def _check_inputs(self, layer: Module, k: int, x: np.ndarray) -> None:
        """Raise ValueError for inputs that an RBM cannot learn."""
        if x.ndim != 2:
            where = f"{layer.path()} {layer.label()}"
            raise ValueError(f"GreedyPretraining: {where} gets samples of shape {x.shape[1:]}, expected vectors")
        if k == 0 and self.units == "bernoulli" and not (x.min() >= 0 and x.max() <= 1):
            raise ValueError(
                f"GreedyPretraining: the inputs of {layer.path()} {layer.label()} go from {x.min():.3g} to "
                f"{x.max():.3g}, expected 0 to 1, or units='gaussian'"
            )

    def _pretrain(self, trainer: Trainer, layer: Module, k: int, x: np.ndarray, y: np.ndarray) -> bool:
        """Train one layer, and give it the weights; returns whether the training went on to its end."""
        settings = (self.epochs, self.lr, self.chains)
        epochs, lr, chains = (each[k] if isinstance(each, list) else each for each in settings)
        seed = int(np.random.SeedSequence([trainer.seed, k]).generate_state(1)[0])
        units = self.units if k == 0 else "bernoulli"
        machine, loss, rule = make_machine(layer, seed, self.steps, int(chains), units)
        inner = self._inner = Trainer(
            machine,
            loss,
            SGD(lr=lr, momentum=self.momentum, weight_decay=self.weight_decay),
            callbacks=[Relay(trainer, k)],
            rule=rule,
            seed=seed,
            quiet=True,
            communicator=False,
        )
        if self._saved is not None:
            inner.load_state_dict(self._saved)
            self._saved = None
        targets = y if rule is not None else np.zeros(len(x), np.float32)
        try:
            inner.fit((x, targets), epochs=int(epochs), batch_size=self.batch_size, threads=trainer.threads)
        except TrainingError as error:
            error.add_note(f"in the pretraining of {layer.path()} {layer.label()}")
            raise
        if inner.goes_on:
            return False
        copy_weights(machine, layer)
        if not trainer.quiet:
            print(f"pretrained {layer.path()} {layer.label()}: {epochs} epochs, {inner.seconds:.1f} s", file=sys.stderr)
        return True


@dataclass
class Relay(Callback):
    """Passes the pauses of a layer's training on to the training that it is part of."""

    outer: Trainer
    layer: int

    def on_pause(self, trainer) -> None:
        self.outer.pause((self.layer, trainer.epoch, trainer.position))
        if self.outer.stopped is not None:
            trainer.stop(self.outer.stopped, for_now=True)


def list_chain(model: Module) -> list[Module]:
    """List the modules of nested Sequentials in order."""
    if not isinstance(model, Sequential):
        return [model]
    return [each for module in model for each in list_chain(module)]


def list_stages(model: Module) -> list[Module]:
    """List the layers that are pretrained; ValueError if there is none."""
    chain = list_chain(model)
    layers: list[Module] = [
        module
        for module, after in zip(chain, [*chain[1:], None], strict=True)
        if isinstance(module, SigmoidBelief | ClassRBM) or (isinstance(module, Linear) and isinstance(after, Sigmoid))
    ]
    if not isinstance(model, Sequential) or not layers:
        expected = "a Sequential with a Linear and a Sigmoid, a SigmoidBelief or a ClassRBM"
        raise ValueError(f"GreedyPretraining: there is nothing to pretrain in {model.label()}, expected {expected}")
    for layer in layers:
        if isinstance(layer, Linear) and layer.bias is None:
            raise ValueError(f"GreedyPretraining: {layer.path()} {layer.label()} has no bias, which an RBM needs")
    return layers


def iterate_inputs(model: Module, layers: list[Module], x: np.ndarray):
    """Iterate over the layers with their inputs; each gets what those before it make of x now."""
    for module in list_chain(model):
        if module in layers:
            yield module, x
        if module is layers[-1]:
            return
        module.eval()
        x = np.concatenate([module.fprop(x[k : k + ROWS]) for k in range(0, len(x), ROWS)])
        module.train()


def make_machine(layer: Module, seed: int, steps: int, chains: int, units: str) -> tuple[Module, Any, Any]:
    """Make the machine that learns a layer's weights, from those that it has; its loss, and its rule or None."""
    weights = vars(layer)
    with use_seed(seed):
        if isinstance(layer, ClassRBM):
            net = Sequential(ClassRBM(layer.visible, layer.classes, layer.hidden)).to(layer.dtype)
            net[0].load_state_dict(layer.state_dict())
            return net, SoftmaxCrossEntropy().to(layer.dtype), UpDown(steps=steps, chains=chains, seed=seed)
        hidden, visible = weights["weight"].shape
        machine = RBM(visible, hidden, steps=steps, chains=chains, units=units).to(layer.dtype)  # type: ignore[arg-type]
    vars(machine)["weight"][...], vars(machine)["hidden_bias"][...] = weights["weight"], weights["bias"]
    if isinstance(layer, SigmoidBelief):
        vars(machine)["visible_bias"][...] = weights["generative_bias"]
    return machine, ContrastiveDivergence().to(layer.dtype), None


def copy_weights(machine: Module, layer: Module) -> None:
    """Give a layer the weights of its machine."""
    if isinstance(layer, ClassRBM):
        layer.load_state_dict(machine[0].state_dict())  # type: ignore[index]
        return
    names = {"weight": "weight", "bias": "hidden_bias"}
    if isinstance(layer, SigmoidBelief):
        names |= {"generative_weight": "weight", "generative_bias": "visible_bias"}
    for own, other in names.items():
        vars(layer)[own][...] = vars(machine)[other]
