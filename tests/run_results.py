"""What runs train and what they leave, without times: for tests and scripts that compare runs."""

import csv
import json
from pathlib import Path

IRIS = """\
dataset: Iris
loss: SoftmaxCrossEntropy
model:
  - Linear: {in_features: 4, out_features: 8}
  - BatchNorm1d: {num_features: 8}
  - Tanh
  - Dropout: {p: 0.2}
  - Linear: {in_features: 8, out_features: 3}
"""


def read_rows(folder: Path) -> list[dict[str, str]]:
    """The metrics of a run."""
    with (folder / "metrics.csv").open(newline="") as file:
        return [{**row, "seconds": ""} for row in csv.DictReader(file)]


def read_summary(folder: Path) -> dict:
    """The summary of a run, without what depends on where and how fast it was trained."""
    summary = json.loads((folder / "summary.json").read_text())
    return {name: value for name, value in summary.items() if name not in ("seconds", "run", "threads", "ranks")}


def clear_unbegun_run(folder: Path) -> None:
    """Remove what a training has left that was killed before its run folder had a config, so that it can begin anew."""
    if folder.is_dir() and not (folder / "config.yaml").exists():
        for file in folder.iterdir():
            file.unlink()
