"""Images in folders, one folder a class. They are decoded once; what is too much for memory stays in a file, from
where it is mapped."""

from __future__ import annotations

import hashlib
import os
from functools import cached_property
from pathlib import Path

import numpy as np

from .array_dataset import ArrayDataset
from .checks import check_whole_number
from .files.image_files import (
    ImageSettings,
    Listing,
    decode_images,
    list_class_folders,
    list_images,
    parse_colour,
    read_image,
)
from .files.npy import read_npy
from .files.paths import expand_path
from .order import epoch_order
from .split import SPLIT_EPOCH, split_sizes, spread_classes
from .split_dataset import SplitDataset, ThreeParts


class ImageFolder(SplitDataset):
    """Images in the folders of a folder, such as `root/cat/1.png`, each named by its class.

    Class k is the k-th folder in the order of names. Folders in a class's folder are read, too, and links are followed,
    but for those to a folder on the way; files and folders whose names begin with a dot are not.

    Shapes: x (N, channels, H, W), uint8 in memory, pixel / 255 as float32 in minibatches; y (N,) labels.
    Args: root: the folder, `~` is the home folder; size: height and width, or one for both, to which each image is
        scaled, its surplus cut off evenly; None if all are of one size; channels: 3 for colours, 1 for grey;
        valid_size, test_size: a fraction (float) or a number of images (int), stratified by class; test_root: the
        folder of the test part, with the same classes; cache: a folder for the decoded images, from where they are
        mapped, not held in memory; it may be deleted; background: the colour behind images that are transparent, a
        name or such as #ff8000; seed: of the split.
    Errors: FileNotFoundError for a folder that is not there; ValueError for settings out of range, fewer than two
        classes, a class without images, another file than an image, a link to nothing, a damaged one (named), one of
        numbers whose range is not known, and images of several sizes where no size is given; ImportError without
        Pillow.
    """

    target_shape = ()
    split_independent = ("_files", "_whole", "class_names", "input_shape")

    def __init__(
        self,
        root: str | Path,
        *,
        size: int | tuple[int, int] | None = None,
        channels: int = 3,
        valid_size: float = 0.15,
        test_size: float = 0.0,
        test_root: str | Path | None = None,
        cache: str | Path | None = None,
        background: str = "white",
        seed: int = 0,
    ) -> None:
        if channels not in (1, 3):
            raise ValueError(f"ImageFolder: channels is {channels}, expected 1 or 3")
        sizes = (size,) * 2 if size is None or isinstance(size, int) else tuple(size)
        if len(sizes) != 2 or not (size is None or all(isinstance(n, int) and n >= 1 for n in sizes)):
            raise ValueError(f"ImageFolder: size is {size}, expected a height and a width of at least 1")
        if test_root is not None and test_size:
            raise ValueError("ImageFolder: both test_root and test_size are given, expected one of them")
        self.root, self.channels = expand_path(root), channels
        self.size: tuple[int, int] | None = None if size is None else sizes  # type: ignore[assignment]
        self.valid_size, self.test_size = valid_size, test_size
        self.test_root = None if test_root is None else expand_path(test_root)
        self.cache = None if cache is None else expand_path(cache)
        parse_colour("ImageFolder", background)
        self.background = background
        self.seed = check_whole_number("ImageFolder", "seed", seed)

    @cached_property
    def class_names(self) -> tuple[str, ...]:  # type: ignore[override]
        return tuple(folder.name for folder in list_class_folders(self.root))

    @property
    def classes(self) -> int:  # type: ignore[override]
        return len(self.class_names)

    @cached_property
    def input_shape(self) -> tuple[int, ...]:  # type: ignore[override]
        if self.size is not None:
            return (self.channels, *self.size)
        path = self._files[0][0]
        return read_image(path, str(path), self.channels, None, self.background).shape

    @cached_property
    def test(self) -> ArrayDataset | None:
        if self.test_root is None:
            return self._part(self._rows[2]) if self._rows[2].size else None
        names = tuple(folder.name for folder in list_class_folders(self.test_root))
        if names != self.class_names:
            expected = f"expected those of {self.root}, {', '.join(self.class_names)}"
            raise ValueError(f"ImageFolder: {self.test_root} has the classes {', '.join(names)}, {expected}")
        return self._read(list_images(self.test_root))

    @cached_property
    def _files(self) -> Listing:
        """List all files in an order whose slices have the classes in proportion."""
        files = list_images(self.root)
        labels = np.array([label for _, label in files])
        order = spread_classes(epoch_order(len(files), seed=self.seed, epoch=SPLIT_EPOCH), labels)
        return [files[n] for n in order]

    @property
    def _labels(self) -> np.ndarray:
        return np.array([label for _, label in self._files])

    @cached_property
    def _rows(self) -> ThreeParts:
        n = len(self._files)
        valid, test = split_sizes("ImageFolder", n, self.valid_size, self.test_size)
        return np.arange(valid + test, n), np.arange(test, valid + test), np.arange(test)

    @cached_property
    def _whole(self) -> ArrayDataset:
        return self._read(self._files)

    def _part(self, rows: np.ndarray) -> ArrayDataset:
        together = rows[-1] - rows[0] == len(rows) - 1 and (np.diff(rows) == 1).all()
        return self._whole.take(slice(rows[0], rows[-1] + 1) if together else rows)  # a slice copies nothing

    def _read(self, files: Listing) -> ArrayDataset:
        labels = np.array([label for _, label in files])
        x = self._decoded(files) if self.cache is None else self._mapped(files)
        return ArrayDataset(x, labels, scale=1 / 255, classes=self.classes)

    def _decoded(self, files: Listing, out: np.ndarray | None = None) -> np.ndarray:
        """Decode the images (N, C, H, W) of some files."""
        x = np.empty((len(files), *self.input_shape), np.uint8) if out is None else out
        settings, paths = ImageSettings(self.channels, self.size, self.background), [path for path, _ in files]
        for n, (path, image) in enumerate(zip(paths, decode_images(paths, settings), strict=True)):
            if image.shape != self.input_shape:
                height, width = self.input_shape[1:]
                raise ValueError(
                    f"{path}: {image.shape[1]} x {image.shape[2]} pixels, expected {height} x {width} as in "
                    f"{self._files[0][0]}; 'size: [{height}, {width}]' would scale all to that"
                )
            x[n] = image
        return x

    def _mapped(self, files: Listing) -> np.ndarray:
        """Map the images in a file of the cache, made if missing; its name is a digest of all that they depend on."""
        assert self.cache is not None
        facts = [(str(path), (status := path.stat()).st_size, status.st_mtime_ns) for path, _ in files]
        name = hashlib.sha256(repr((facts, self.input_shape, self.size, self.background)).encode()).hexdigest()[:16]
        path = self.cache / f"{name}.npy"
        if not path.is_file():
            self.cache.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(f".{os.getpid()}.part")
            try:
                shape = (len(files), *self.input_shape)
                out = np.lib.format.open_memmap(part, mode="w+", dtype=np.uint8, shape=shape)
                self._decoded(files, out)
                out.flush()
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)
        return read_npy(path)
