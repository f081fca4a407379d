"""The contestants: each makes, for a workload, a function to be called again and again.

Data for epochs are float32 and in memory for every side; a PyTorch epoch is written by hand as fast as it goes: one
permutation, slices of it as indices, the loss summed as a tensor.
"""

from importlib import import_module

PLACES = {  # the module here, the package it needs, and what is bound beforehand
    "bprop": ("ours", "bprop.modules", {}),
    "torch": ("torch", "torch", {}),
    "torch channels_last": ("torch", "torch", {"last": True}),
    "torch.compile": ("torch", "torch", {"compiled": True}),
    "torch DataLoader": ("torch", "torch", {"loader": True}),
    "jax": ("jax", "jax", {}),
    "products": ("limit", "bprop.modules", {}),
}


def make(side: str, work, threads: int):
    """The function of a side for a workload; the number of threads is set in its process."""
    place, _, settings = PLACES[side]
    module = import_module(f".{place}", __package__)
    module.set_threads(threads)
    return getattr(module, work.kind)(work, **settings)
