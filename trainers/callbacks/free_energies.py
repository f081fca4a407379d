"""Watches the free energy that an RBM gives to training and to held-out data, whose gap says how much it overfits."""

from .callback import Callback


class FreeEnergies(Callback):
    """Adds the mean free energy of training and of validation samples to each epoch's metrics.

        free_energy.train = Σₙ F(x[n]) / N      of the first N training samples, likewise free_energy.valid

    The partition function cancels in their difference: it grows when the machine overfits. The value of the loss,
    which compares data with samples, does not say that. `bprop plot RUN energy` draws both.

    Args: samples: of each part, at most.
    Errors: ValueError for another number than at least 1, and for a model that does not give two energies a sample.
    Source: Hinton, A practical guide to training restricted Boltzmann machines (2010), section 6.
    """

    def __init__(self, samples: int = 1000):
        if samples < 1:
            raise ValueError(f"FreeEnergies: samples is {samples}, expected at least 1")
        self.samples = samples

    def on_fit_start(self, trainer) -> None:
        shape = trainer.model.output_shape((1, *trainer.data.x.shape[1:]))
        if tuple(shape) != (1, 2):
            problem = f"{trainer.model.label()} gives outputs of shape {('N', *shape[1:])}"
            raise ValueError(f"FreeEnergies: {problem}, expected two free energies a sample, as of an RBM")

    def on_epoch_end(self, trainer, row: dict) -> None:
        for part, data in (("train", trainer.data), ("valid", trainer.valid_data)):
            if data is not None:
                x, _ = data[: self.samples]
                row[f"free_energy.{part}"] = float(trainer.predict(x)[:, 0].astype(float).mean())
