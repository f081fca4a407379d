"""The contestants: each makes, for a workload, a function to be called again and again.

Data for epochs are float32 and in memory for every side; a PyTorch epoch is written by hand as fast as it goes: one
permutation, slices of it as indices, the loss summed as a tensor.
"""

from importlib import import_module

PLACES = {  # the module here, the package it needs, and what is bound beforehand
    "bprop": ("ours", "bprop.modules", {}),
    "by hand": ("ours", "bprop.modules", {"by_hand": True}),
    "torch": ("torch", "torch", {}),
    "torch channels_last": ("torch", "torch", {"last": True}),
    "torch.compile": ("torch", "torch", {"compiled": True}),
    "torch DataLoader": ("torch", "torch", {"loader": True}),
    "jax": ("jax", "jax", {}),
    "products": ("limit", "bprop.modules", {}),
}


def make(side: str, work):
    """The function of a side for a workload."""
    place, _, settings = PLACES[side]
    return getattr(import_module(f".{place}", __package__), work.kind)(work, **settings)


def using(side: str, threads: int):
    """A context with that many threads; outside of it none of them is busy, so that others can be measured."""
    return import_module(f".{PLACES[side][0]}", __package__).using(threads)
