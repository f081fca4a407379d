"""Each epoch's metrics for TensorBoard, if that is installed."""

from pathlib import Path
from typing import Any

from ...datasets.files.paths import expand_path
from ..files.atomic_files import find_inner_folder
from .callback import Callback


class TensorBoard(Callback):
    """Writes each epoch's metrics as scalars; `tensorboard --logdir runs` shows them.

    Args: folder: where to write; by default `tensorboard` in the run folder.
    Errors: ImportError without the package; ValueError without a folder.
    """

    first_rank_only = True

    def __init__(self, folder: str | Path | None = None):
        self.folder = folder

    def on_fit_start(self, trainer) -> None:
        if self.folder is None and trainer.folder is None:
            raise ValueError("TensorBoard: there is no run folder, expected a folder: TensorBoard(folder)")
        try:
            from tensorboard.summary import Writer
        except ImportError:
            raise ImportError("TensorBoard: the package is missing: pip install 'bprop[tensorboard]'") from None
        folder = (
            expand_path(self.folder)
            if self.folder is not None
            else find_inner_folder(Path(trainer.folder), "tensorboard")
        )
        self.writer = Writer(str(folder))

    def on_epoch_end(self, trainer, row: dict[str, Any]) -> None:
        for name, value in row.items():
            if name not in ("epoch", "step") and isinstance(value, int | float):
                self.writer.add_scalar(name, value, step=row.get("step", row["epoch"]))
        self.writer.flush()

    def on_fit_end(self, trainer) -> None:
        self.writer.close()
