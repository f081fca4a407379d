"""PyTorch's own test databases, run against the modules, losses and optimizers of the same name here."""
