"""Image files as arrays of bytes, by Pillow, and folders of them. What is no picture is refused by the file's name."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
Listing = list[tuple[Path, int]]  # files and their classes
GREY = ("1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "F")


def read_picture(
    source: Path | bytes, name: str, channels: int | None = None, size: tuple[int, int] | None = None
) -> np.ndarray:
    """A picture as bytes (channels, H, W): grey, or red, green and blue.

    Args: source: a file or its content; name: what errors call it; channels: 1 or 3, None for what the file has; size:
        (H, W) to which it is scaled, and of which what juts out is cut off evenly.
    A picture that a camera has turned is turned back; of several in one file the first is taken; 16 bits become 8.
    Errors: ImportError without Pillow; FileNotFoundError; ValueError for what is no whole picture.
    """
    pillow = need_pillow(name)
    content = source if isinstance(source, bytes) else source.read_bytes()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd headers and many pixels
            with pillow.open(io.BytesIO(content)) as opened:
                return pixels_of(opened, channels, size)
    except Exception as error:  # damaged files raise anything
        reason = "is no picture that Pillow knows" if "cannot identify" in str(error) else str(error)
        raise ValueError(f"{name}: {reason or type(error).__name__}, expected a whole picture") from None


def pixels_of(opened: Any, channels: int | None, size: tuple[int, int] | None) -> np.ndarray:
    """The bytes of an image of Pillow's."""
    from PIL import Image, ImageOps

    grey = opened.mode in GREY
    image = ImageOps.exif_transpose(opened)
    if image.mode.startswith("I"):  # 16 bits, which Pillow would cut off at 255
        image = Image.fromarray((np.clip(np.asarray(image), 0, 65535) // 256).astype(np.uint8))
    image = image.convert("L" if channels == 1 or (channels is None and grey) else "RGB")
    if size is not None and (image.height, image.width) != size:
        image = ImageOps.fit(image, size[::-1], Image.Resampling.BILINEAR)
    pixels = np.asarray(image)
    return np.ascontiguousarray(pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1))


def need_pillow(who: str) -> Any:
    """Pillow's Image; ImportError, saying what to install, without it."""
    try:
        from PIL import Image
    except ImportError:
        raise ImportError(f"{who}: pictures need Pillow: pip install 'bprop[image]'") from None
    return Image


def class_folders(root: Path) -> list[Path]:
    """The folders of the classes, in the order of their names; refuses fewer than two, and pictures beside them."""
    if not root.is_dir():
        raise FileNotFoundError(f"ImageFolder: there is no folder {root}")
    entries = sorted(entry for entry in root.iterdir() if not entry.name.startswith("."))
    for entry in entries:
        if entry.is_file() and entry.suffix.lower() in SUFFIXES:
            raise ValueError(f"ImageFolder: {entry} lies in no class's folder, expected {root}/CLASS/{entry.name}")
    folders = [entry for entry in entries if entry.is_dir()]
    if len(folders) < 2:
        found = f"one folder alone, {folders[0].name}" if folders else "no folders"
        raise ValueError(f"ImageFolder: {root} holds {found}, expected at least two, one for each class")
    return folders


def listed(root: Path) -> Listing:
    """The pictures of all classes; refuses a class without any, and files that are none."""
    return [(path, label) for label, folder in enumerate(class_folders(root)) for path in pictures_in(folder)]


def pictures_in(folder: Path) -> list[Path]:
    """The pictures of a folder, and of those in it, in the order of their names."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not hidden(path.relative_to(folder)))
    for path in paths:
        if path.suffix.lower() not in SUFFIXES:
            raise ValueError(f"{path} is no picture by its name, expected {', '.join(SUFFIXES)}")
    if not paths:
        raise ValueError(f"{folder} holds no picture, expected at least one")
    return paths


def hidden(path: Path) -> bool:
    """Whether a file, or a folder on the way to it, has a name that begins with a dot."""
    return any(part.startswith(".") for part in path.parts)
