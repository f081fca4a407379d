"""Examples of bprop.datasets, for the reference; data sets of files write theirs first."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from bprop.datasets import (
    CIFAR10,
    MNIST,
    AddingProblem,
    ArrayDataset,
    BreastCancer,
    Characters,
    CharacterVocabulary,
    CopyMemory,
    CsvDataset,
    CsvSequences,
    Dataset,
    Diabetes,
    DigitPairs,
    Digits,
    FashionMNIST,
    ImageFolder,
    InverseProblem,
    Iris,
    NamesDataset,
    NpyDataset,
    NpzDataset,
    NpzSequences,
    Preprocessing,
    Reconstruction,
    TextDataset,
    Triplets,
    TsSequences,
    TwoCurves,
    Vocabulary,
    Wine,
    balanced_order,
    epoch_order,
    group_by_length,
    k_folds,
    load_vocabulary,
    read_idx,
    side_by_side,
    split_rows,
)
from PIL import Image

# %% bprop.datasets.AddingProblem
data = AddingProblem(steps=8, train_size=100)
x, y = data.train[:1]
print(x[0].round(2), y)

# %% bprop.datasets.ArrayDataset
data = ArrayDataset(np.arange(6.0).reshape(3, 2), np.array([0, 1, 1]))
print(len(data), data.x.dtype, data.classes)

# %% bprop.datasets.balanced_order
labels = np.array([0, 0, 0, 0, 0, 1])
print(np.bincount(labels[balanced_order(labels, seed=0, epoch=0)]))

# %% bprop.datasets.BreastCancer
data = BreastCancer()
print(data.train.x.shape, data.valid.x.shape, data.test.x.shape, data.class_names)

# %% bprop.datasets.Characters
data = Characters(letters="HI")
print(data.train.x.shape)

# %% bprop.datasets.CIFAR10
try:
    print(len(CIFAR10("nowhere").train))
except FileNotFoundError as error:
    print(str(error)[:60])

# %% bprop.datasets.CopyMemory
data = CopyMemory(memory=5, length=3, train_size=100)
print(data.train.x[0], data.train.y[0])

# %% bprop.datasets.CsvDataset
with TemporaryDirectory() as folder:
    path = Path(folder, "fruit.csv")
    path.write_text("length,colour,kind\n" + "18,yellow,banana\n7,red,apple\n19,yellow,banana\n8,green,apple\n" * 10)
    data = CsvDataset(path, target="kind")
    print(data.train.x.shape, data.class_names)


# %% bprop.datasets.Dataset
class Halves(Dataset):
    """Whether a number is above 0."""

    input_shape, target_shape, classes = (1,), (), 2

    @property
    def train(self):
        x = np.linspace(-1, 1, 100).reshape(100, 1)
        return ArrayDataset(x, x[:, 0] > 0)


print(len(Halves().train), Halves().valid)

# %% bprop.datasets.Diabetes
data = Diabetes()
print(data.train.x.shape, data.train.y.shape)

# %% bprop.datasets.DigitPairs
data = DigitPairs()
print(data.train.x.shape)

# %% bprop.datasets.Digits
data = Digits()
print(data.train.x.shape, data.classes)

# %% bprop.datasets.epoch_order
print(epoch_order(6, seed=0, epoch=0), epoch_order(6, seed=0, epoch=1))

# %% bprop.datasets.FashionMNIST
try:
    print(len(FashionMNIST("nowhere", download=False).train))
except FileNotFoundError as error:
    print(str(error)[:60])

# %% bprop.datasets.group_by_length
lengths = np.array([9, 2, 8, 3, 2, 9])
order = group_by_length(np.arange(6), lengths, 2, seed=0, epoch=0)
print(lengths[order].reshape(3, 2))

# %% bprop.datasets.ImageFolder
with TemporaryDirectory() as folder:
    for kind, colour in (("dark", 20), ("light", 220)):
        Path(folder, kind).mkdir()
        for k in range(5):
            Image.new("RGB", (8, 8), (colour, colour, k)).save(Path(folder, kind, f"{k}.png"))
    data = ImageFolder(folder)
    print(data.train.x.shape, data.class_names)

# %% bprop.datasets.InverseProblem
data = InverseProblem()
print(data.train.x.shape, data.train.y.shape)

# %% bprop.datasets.Iris
data = Iris()
print(data.train.x.shape, data.class_names)

# %% bprop.datasets.k_folds
print([len(fold.valid) for fold in k_folds(Iris(), 5)])

# %% bprop.datasets.MNIST
try:
    print(len(MNIST("nowhere", download=False).train))
except FileNotFoundError as error:
    print(str(error)[:60])

# %% bprop.datasets.NpyDataset
with TemporaryDirectory() as folder:
    np.save(f"{folder}/x.npy", np.zeros((10, 3), np.float32))
    np.save(f"{folder}/y.npy", np.arange(10) % 2)
    data = NpyDataset(f"{folder}/x.npy", f"{folder}/y.npy", valid_size=0.2)
    print(data.train.x.shape, data.valid.x.shape)

# %% bprop.datasets.NpzDataset
with TemporaryDirectory() as folder:
    np.savez(f"{folder}/data.npz", x=np.zeros((10, 3), np.float32), y=np.arange(10) % 2)
    data = NpzDataset(f"{folder}/data.npz", valid_size=0.2)
    print(data.train.x.shape, data.valid.x.shape)

# %% bprop.datasets.Preprocessing
with TemporaryDirectory() as folder:
    path = Path(folder, "fruit.csv")
    path.write_text("length,colour,kind\n" + "18,yellow,banana\n7,red,apple\n19,yellow,banana\n8,green,apple\n" * 10)
    data = CsvDataset(path, target="kind")
    print(isinstance(data.preprocessing, Preprocessing), [column.name for column in data.preprocessing.columns])

# %% bprop.datasets.read_idx
with TemporaryDirectory() as folder:
    path = Path(folder, "labels.idx")
    path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]))
    print(read_idx(path))

# %% bprop.datasets.Reconstruction
data = Reconstruction(Digits())
print((data.train.x == data.train.y).all())

# %% bprop.datasets.side_by_side
print(side_by_side({"picture": np.zeros((3, 1, 2, 2)), "age": np.array([20, 30, 40])}).shape)

# %% bprop.datasets.split_rows
train, valid, test = split_rows(20, seed=0)
print(len(train), len(valid), len(test))

# %% bprop.datasets.Triplets
data = Triplets()
print(data.train.x.shape, data.train.x.mean(axis=0))

# %% bprop.datasets.TwoCurves
data = TwoCurves()
print(data.train.x.shape)

# %% bprop.datasets.Wine
data = Wine()
print(data.train.x.shape, data.class_names)

# %% bprop.datasets.CharacterVocabulary
vocabulary = CharacterVocabulary("abc")
print(vocabulary.encode("cab"), vocabulary.decode([2, 0, 1]))

# %% bprop.datasets.CsvSequences
with TemporaryDirectory() as folder:
    rows = "".join(f"{k},{k + t},{('even', 'odd')[k % 2]}\n" for k in range(10) for t in range(2 + k % 3))
    path = Path(folder, "walks.csv")
    path.write_text("walk,height,kind\n" + rows)
    data = CsvSequences(path, key="walk", target="kind", valid_size=0.2, test_size=0.2)
    print(data.train.x.shape, data.train.lengths)

# %% bprop.datasets.load_vocabulary
with TemporaryDirectory() as folder:
    CharacterVocabulary("abc").save(f"{folder}/vocabulary.json")
    print(load_vocabulary(f"{folder}/vocabulary.json").size)

# %% bprop.datasets.NamesDataset
with TemporaryDirectory() as folder:
    path = Path(folder, "names.txt")
    path.write_text("ann\nbob\ncarla\ndan\neve\nfinn\ngina\nhugo\nida\njon\n")
    data = NamesDataset(path)
    print(data.train.x.shape, data.vocabulary.size)

# %% bprop.datasets.NpzSequences
with TemporaryDirectory() as folder:
    np.savez(
        f"{folder}/data.npz", x=np.zeros((10, 5, 3), np.float32), y=np.arange(10) % 2, lengths=np.arange(10) % 5 + 1
    )
    data = NpzSequences(f"{folder}/data.npz", valid_size=0.2, test_size=0.2)
    print(data.train.x.shape, data.train.lengths)

# %% bprop.datasets.TextDataset
with TemporaryDirectory() as folder:
    path = Path(folder, "text.txt")
    path.write_text("to be or not to be, that is the question. " * 20)
    data = TextDataset(path, context=8)
    print(data.train.x.shape, data.vocabulary.size)

# %% bprop.datasets.TsSequences
with TemporaryDirectory() as folder:
    path = Path(folder, "waves.ts")
    cases = "".join(f"{k},{k + 1},{k + 2}:{'up' if k % 2 else 'down'}\n" for k in range(10))
    path.write_text("@problemName waves\n@univariate true\n@classLabel true up down\n@data\n" + cases)
    data = TsSequences(path, valid_size=0.2, test_size=0.2)
    print(data.train.x.shape, data.class_names)

# %% bprop.datasets.Vocabulary
print(isinstance(CharacterVocabulary("abc"), Vocabulary), CharacterVocabulary("abc").size)
