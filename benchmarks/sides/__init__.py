"""The sides of the comparison: each makes, for a workload, a function that is then timed.

Data for epochs are float32 and in memory for every side; a PyTorch epoch is a hand-written loop: one permutation,
slices of it as indices, the loss summed as a tensor.
"""

from importlib import import_module

PLACES = {  # the module here, the package it needs, and keyword arguments
    "bprop": ("ours", "bprop.modules", {}),
    "by hand": ("ours", "bprop.modules", {"by_hand": True}),
    "custom": ("ours", "bprop.modules", {"custom": True}),  # layers as a user writes them, in NumPy style
    "torch": ("torch", "torch", {}),
    "torch channels_last": ("torch", "torch", {"last": True}),
    "torch.compile": ("torch", "torch", {"compiled": True}),
    "torch DataLoader": ("torch", "torch", {"loader": True}),
    "jax": ("jax", "jax", {}),
    "sklearn": ("sklearn", "sklearn", {}),
    "products": ("limit", "bprop.modules", {}),
}


def make_function(side: str, work):
    """Make the function of a side for a workload."""
    place, _, settings = PLACES[side]
    place += "_sequences" if work.group == "sequences" else ""
    return getattr(import_module(f".{place}", __package__), work.kind)(work, **settings)


def use_threads(side: str, threads: int):
    """Context with that many threads; outside of it none of them is busy, so that other sides can be measured."""
    return import_module(f".{PLACES[side][0]}", __package__).use_threads(threads)


def describe_kernels(side: str) -> str:
    """Which kernels a side runs, as far as it can be asked."""
    return import_module(f".{PLACES[side][0]}", __package__).describe_kernels()


def describe_blas() -> str:
    """The BLAS libraries that this process has loaded, and the processor that each computes for."""
    from threadpoolctl import threadpool_info  # as scikit-learn has it

    libraries = [info for info in threadpool_info() if info["user_api"] == "blas"]
    return ", ".join(f"{info['internal_api']} {info.get('architecture') or ''}".strip() for info in libraries) or "none"
