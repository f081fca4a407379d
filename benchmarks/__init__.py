"""Side by side with PyTorch and JAX: `python -m benchmarks`."""
