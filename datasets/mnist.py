"""MNIST and Fashion-MNIST, read from their original IDX files. Files that are missing are downloaded
once and checked; a file that is damaged or stands in another's place is refused by name."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import ClassVar

from .array_dataset import ArrayDataset
from .checks import count_samples
from .dataset import Dataset
from .files.download import download as fetch
from .files.idx import read_idx
from .files.paths import expand_path


class IdxImages(Dataset):
    """Family base of `MNIST` and `FashionMNIST`: how four files become three parts.

    Shapes: x (N, 1, 28, 28), uint8 in memory, pixel / 255 as float32 in minibatches; y (N,) labels 0..9.
    Args: root: folder of the files, plain or gzipped, named `train-images-idx3-ubyte` or
        `train-images.idx3-ubyte` and so on, `~` is the home folder; valid_size: how many of the last
        training images validate (int, or float for a fraction), 0 for none; download: fetch missing
        files from the mirrors.
    Errors: ValueError for a valid_size that leaves nothing to train on. When a part is first asked for:
        FileNotFoundError for a file that is missing and cannot be had; ValueError that names a wrong file.
    """

    input_shape = (1, 28, 28)
    target_shape = ()
    classes = 10

    train_count: ClassVar[int] = 60000
    test_count: ClassVar[int] = 10000
    mirrors: ClassVar[tuple[str, ...]]
    checksums: ClassVar[dict[str, str]]

    def __init__(self, root: str | Path, *, valid_size: float = 5000, download: bool = True) -> None:
        self.root = expand_path(root)
        self.valid_size = valid_size
        self.download = download
        self._kept = self.train_count - count_samples(type(self).__name__, "valid_size", valid_size, self.train_count)

    @cached_property
    def train(self) -> ArrayDataset:
        return self._training.take(slice(0, self._kept))

    @cached_property
    def valid(self) -> ArrayDataset | None:
        return None if self._kept == self.train_count else self._training.take(slice(self._kept, None))

    @cached_property
    def test(self) -> ArrayDataset | None:
        return self._read("t10k", self.test_count)

    @cached_property
    def _training(self) -> ArrayDataset:
        return self._read("train", self.train_count)

    def _read(self, part: str, count: int) -> ArrayDataset:
        images_path = self._find(f"{part}-images-idx3-ubyte")
        labels_path = self._find(f"{part}-labels-idx1-ubyte")
        images = read_idx(images_path, shape=(count, *self.input_shape[1:]))
        labels = read_idx(labels_path, shape=(count,))
        try:
            x = images.reshape(count, *self.input_shape)
            return ArrayDataset(x, labels, scale=1 / 255, classes=self.classes)
        except ValueError as error:
            error.add_note(f"in {labels_path}")
            raise

    def _find(self, name: str) -> Path:
        """Find the file `name` under any of the names it goes by; downloaded if there is none."""
        dotted = name.replace("-idx", ".idx")
        for candidate in (name, dotted, f"{name}.gz", f"{dotted}.gz"):
            if (self.root / candidate).is_file():
                return self.root / candidate
        return self._download(self.root / f"{name}.gz")

    def _download(self, path: Path) -> Path:
        """Download `path` from the first mirror that has it."""
        problems = []
        for mirror in self.mirrors if self.download else ():
            try:
                fetch(mirror + path.name, path, sha256=self.checksums[path.name])
                return path
            except (OSError, ValueError) as error:
                problems.append(str(error))
        reason = f"could not be downloaded ({'; '.join(problems)})" if problems else "download is off"
        raise FileNotFoundError(
            f"{type(self).__name__}: {path.name} is not in {path.parent} and {reason}; "
            f"put the file there, or pass the folder that holds it as root"
        )


class MNIST(IdxImages):
    """70,000 handwritten digits: 28 by 28 grey pixels; 60,000 to train and validate on, 10,000 to test.

    Shapes: x (N, 1, 28, 28), uint8 in memory, pixel / 255 as float32 in minibatches; y (N,) labels 0..9.
    Args: root: folder of the files, plain or gzipped, `~` is the home folder; valid_size: how many of the last training
        images validate (int, or float for a fraction), 0 for none; download: fetch missing files from the mirrors.
    Errors: ValueError for a valid_size that leaves nothing to train on. When a part is first asked for:
        FileNotFoundError for a file that is missing and cannot be had; ValueError that names a wrong file.
    Source: LeCun, Bottou, Bengio and Haffner, Gradient-based learning applied to document recognition (1998).
    """

    mirrors = (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    )
    checksums: ClassVar[dict[str, str]] = {
        "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    }

    def __init__(self, root: str | Path = "data/mnist", *, valid_size: float = 5000, download: bool = True) -> None:
        super().__init__(root, valid_size=valid_size, download=download)


class FashionMNIST(IdxImages):
    """70,000 articles of clothing in the format of MNIST: T-shirt 0, trouser, pullover, dress, coat,
    sandal, shirt, sneaker, bag, ankle boot 9.

    Shapes: x (N, 1, 28, 28), uint8 in memory, pixel / 255 as float32 in minibatches; y (N,) labels 0..9.
    Args: root: folder of the files, plain or gzipped, `~` is the home folder; valid_size: how many of the last training
        images validate (int, or float for a fraction), 0 for none; download: fetch missing files from the mirrors.
    Errors: ValueError for a valid_size that leaves nothing to train on. When a part is first asked for:
        FileNotFoundError for a file that is missing and cannot be had; ValueError that names a wrong file.
    Source: Xiao, Rasul and Vollgraf, Fashion-MNIST: a novel image dataset (2017).
    """

    class_names = (
        "T-shirt",
        "trouser",
        "pullover",
        "dress",
        "coat",
        "sandal",
        "shirt",
        "sneaker",
        "bag",
        "ankle boot",
    )
    mirrors = (
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        # plain http, which the checksums make safe
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    )
    checksums: ClassVar[dict[str, str]] = {
        "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    }

    def __init__(
        self, root: str | Path = "data/fashion-mnist", *, valid_size: float = 5000, download: bool = True
    ) -> None:
        super().__init__(root, valid_size=valid_size, download=download)
