"""Trainings on data in files: `python readers.py FOLDER` prints what they give, and what each process has read."""

import hashlib
import json
import sys
from functools import cached_property
from pathlib import Path

import numpy as np
from bprop.datasets import ArrayDataset, Dataset, csv_dataset
from bprop.datasets.files import image_files
from bprop.datasets.sequences import text_dataset
from bprop.modules import Linear, Module, Sequential, SoftmaxCrossEntropy, manual_seed
from bprop.trainers import SGD, Trainer
from bprop.trainers.configs import load_config
from bprop.trainers.parallel.job import find_ranks
from bprop.trainers.runs.inference import evaluate_run
from bprop.trainers.runs.run_folder import train_config
from bprop.trainers.runs.runs_on_ranks import train_on_ranks

ROWS, WIDTH = 384, 16384  # of an array in a file; a row is 64 KiB
REST = "loss: SoftmaxCrossEntropy\noptimizer: {SGD: {lr: 0.1}}\ntrainer: {epochs: 2, batch_size: 8, shards: 8"
CONFIGS = {
    "csv": "dataset: {CsvDataset: {path: table.csv, target: kind}}\n"
    f"model: [Linear: {{in_features: 4, out_features: 2}}]\n{REST}}}\n",
    "images": "dataset: {ImageFolder: {root: images, channels: 1}}\n"
    f"model: [Flatten, Linear: {{in_features: 30, out_features: 2}}]\n{REST}}}\n",
    "cached": "dataset: {ImageFolder: {root: images, channels: 1, cache: cache}}\n"
    f"model: [Flatten, Linear: {{in_features: 30, out_features: 2}}]\n{REST}}}\n",
    "text": "dataset: {TextDataset: {path: text.txt, context: 3, streams: 8, tokens: tokens.npy}}\n"
    "model:\n  - Embedding: {num_embeddings: 4, embedding_dim: 3}\n"
    "  - GRU: {input_size: 3, hidden_size: 2, streams: 8}\n"
    f"  - Linear: {{in_features: 2, out_features: 4}}\n{REST}, shuffle: false}}\n",
}


class Front(Module):
    """y = the first four numbers of each sample."""

    def fprop(self, x):
        self.shape = x.shape
        return x[:, :4].copy()

    def bprop(self, grad_y):
        return np.zeros(self.shape, grad_y.dtype)

    def output_shape(self, input_shape):
        return (input_shape[0], 4)


class Mapped(Dataset):
    """A custom data set, which reads a part when it is asked for it."""

    input_shape, target_shape, classes = (WIDTH,), (), 2
    reads = 0

    def __init__(self, path):
        self.path = path

    @cached_property
    def train(self):
        Mapped.reads += 1
        x = np.load(self.path, mmap_mode="c")
        return ArrayDataset(x, np.arange(ROWS) % 2)


def write_files(folder):
    """Write all data."""
    from PIL import Image

    random = np.random.default_rng(0)
    table = [
        f"{a:.3f},{b:.3f},{'uv'[n % 2]},{'xy'[n % 3 == 0]}" for n, (a, b) in enumerate(random.normal(size=(60, 2)))
    ]
    (folder / "table.csv").write_text("\n".join(["a,b,word,kind", *table]))
    for n, image in enumerate(random.integers(0, 256, (60, 5, 6), np.uint8)):
        path = folder / "images" / "pq"[n % 2] / f"{n}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    (folder / "text.txt").write_text("".join(random.choice(list("abc "), 300)))
    with open(folder / "x.npy", "wb", buffering=0) as file:  # row by row, as Linux maps what was written at once
        header = {"descr": "<f4", "fortran_order": False, "shape": (ROWS, WIDTH)}
        np.lib.format.write_array_header_1_0(file, header)
        for row in random.normal(size=(ROWS, WIDTH)).astype(np.float32):
            file.write(row.tobytes())
    for name, text in CONFIGS.items():
        (folder / f"{name}.yaml").write_text(text)


def count_calls(module, name):
    """Count the calls of a function of a module; returns a list that gets an item for each."""
    calls, function = [], getattr(module, name)

    def counted(*arguments, **settings):
        calls.append(name)
        return function(*arguments, **settings)

    setattr(module, name, counted)
    return calls


def measure_mapped(path):
    """Measure which share of a file's pages this process has touched; Linux."""
    size, own = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if not line.startswith(("Rss", "VmFlags")) and "-" in line.split()[0]:
            own = line.endswith(str(path))
        elif own and line.startswith("Rss:"):
            size += int(line.split()[1]) * 1024
    return size / path.stat().st_size


def train_on_map(folder):
    """Train on an array in a file; returns the share of it that this process has touched, and the weights."""
    manual_seed(0)
    trainer = Trainer(Sequential(Front(), Linear(4, 2)), SoftmaxCrossEntropy(), SGD(lr=0.1), quiet=True)
    trainer.fit(Mapped(folder / "x.npy"), epochs=1, batch_size=32, shards=8, shuffle=False)
    return measure_mapped(folder / "x.npy"), hashlib.sha256(trainer.model.flat_parameters.tobytes()).hexdigest()


def main(folder):
    ranks = find_ranks()
    calls = {
        "csv": count_calls(csv_dataset, "read_csv"),
        "images": count_calls(image_files, "read_image"),
        "text": count_calls(text_dataset, "write_tokens"),
    }
    results, reads = {}, {}
    out = folder / ("alone" if ranks is None else str(ranks.size))
    for name in CONFIGS:
        config, run = load_config(folder / f"{name}.yaml"), out / name
        row = train_config(config, run, True) if ranks is None else train_on_ranks(ranks, config, run, True)
        row = {key: value for key, value in row.items() if key.startswith(("train", "valid", "test"))}
        if ranks is not None:
            ranks.wait_for_all("the files of the run")
        weights = hashlib.sha256((run / "model.safetensors").read_bytes()).hexdigest()
        results[name] = row, weights, evaluate_run(run) if name == "csv" else None
        reads |= {f"{name} {what}": len(each) for what, each in calls.items()}
        for each in calls.values():
            each.clear()
    share, results["map"] = train_on_map(folder)
    reads |= {"map": share, "custom": Mapped.reads}
    everybody = [reads] if ranks is None else ranks.share(reads, "what each has read")
    if ranks is None or ranks.is_first:
        print(json.dumps([results, {name: [each[name] for each in everybody] for name in reads}]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
