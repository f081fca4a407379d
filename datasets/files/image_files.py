"""Reading image files as arrays of bytes, by Pillow, and finding them in folders. Other files are refused by name."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
Listing = list[tuple[Path, int]]  # files and their classes
GREY = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N", "F")
BITS_PER_SAMPLE, SAMPLE_FORMAT = 258, 339  # of a TIFF


@dataclass(frozen=True)
class ImageSettings:
    """How images are decoded; see `read_image`."""

    channels: int | None = None
    size: tuple[int, int] | None = None
    background: str = "white"


Decoder = Callable[[Sequence[Path], ImageSettings], Iterator[np.ndarray]]


def decode_here(paths: Sequence[Path], settings: ImageSettings) -> Iterator[np.ndarray]:
    """Decode image files in this process, in their order."""
    size = None if settings.size is None else (settings.size[0], settings.size[1])
    for path in paths:
        yield read_image(path, str(path), settings.channels, size, settings.background)


DECODER: ContextVar[Decoder] = ContextVar("decoder", default=decode_here)


@contextmanager
def decode_by(decoder: Decoder) -> Iterator[None]:
    """Context in which images are decoded by another function, such as one that shares the work."""
    token = DECODER.set(decoder)
    try:
        yield
    finally:
        DECODER.reset(token)


def decode_images(paths: Sequence[Path], settings: ImageSettings) -> Iterator[np.ndarray]:
    """Decode image files, in their order; errors as of `read_image`."""
    return DECODER.get()(paths, settings)


def read_image(
    source: Path | bytes,
    name: str,
    channels: int | None = None,
    size: tuple[int, int] | None = None,
    background: str = "white",
) -> np.ndarray:
    """Read an image as bytes (channels, H, W): grey, or red, green and blue.

    Args: source: a file or its content; name: what errors call it; channels: 1 or 3, None for what the file has; size:
        (H, W) to which it is scaled, and of which what juts out is cut off evenly; background: what is seen through a
        image that is transparent.
    An image that a camera has turned is turned back; of several in one file the first is taken; 16 bits become 8, and
    floating point numbers from 0 to 1 become 0 to 255.
    Errors: ImportError without Pillow; FileNotFoundError; ValueError for what is no whole image, and for numbers
        whose range no file states: whole ones of 32 bits, and floating point ones beyond 0 to 1.
    """
    pillow = import_pillow(name)
    content = source if isinstance(source, bytes) else source.read_bytes()
    colour = parse_colour(name, background)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd headers and many pixels
            with pillow.open(io.BytesIO(content)) as opened:
                return read_pixels(opened, channels, size, colour)
    except RangeError as error:
        raise ValueError(f"{name}: {error}") from None
    except Exception as error:  # damaged files raise anything
        reason = "is no image that Pillow knows" if "cannot identify" in str(error) else str(error)
        raise ValueError(f"{name}: {reason or type(error).__name__}, expected a whole image") from None


class RangeError(ValueError):
    """Pixel values whose range of brightness is unknown."""


def parse_colour(who: str, name: str) -> tuple[int, int, int]:
    """Parse red, green and blue of a colour such as `white` or `#ff8000`; ValueError for another word."""
    if name == "white":
        return (255, 255, 255)
    from PIL import ImageColor

    try:
        return ImageColor.getrgb(name)[:3]
    except (ValueError, AttributeError):
        expected = "the name of a colour such as white, or #ffffff"
        raise ValueError(f"{who}: background is {name!r}, expected {expected}") from None


def read_pixels(opened: Any, channels: int | None, size: tuple[int, int] | None, background) -> np.ndarray:
    """Read the bytes of a Pillow image."""
    from PIL import Image, ImageOps

    grey = opened.mode in GREY
    image = ImageOps.exif_transpose(opened)
    if image.mode.startswith(("I", "F")):
        image = Image.fromarray(convert_to_bytes(opened, image, background))
    if is_transparent(image):
        image = put_on_background(image, background)
        grey = grey and len(set(background)) == 1
    image = image.convert("L" if channels == 1 or (channels is None and grey) else "RGB")
    if size is not None and (image.height, image.width) != size:
        image = ImageOps.fit(image, size[::-1], Image.Resampling.BILINEAR)
    pixels = np.asarray(image)
    return np.ascontiguousarray(pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1))


def convert_to_bytes(opened: Any, image: Any, background) -> np.ndarray:
    """Convert brightness of more than 8 bits to bytes, which Pillow would clip at 255; RangeError for an unknown range.

    A grey level that stands for what is transparent becomes the background's brightness.
    """
    values = np.asarray(image)
    through = image.info.get("transparency")
    if values.dtype.kind == "f":
        if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
            message = f"floating point numbers from {values.min():g} to {values.max():g}"
            raise RangeError(f"{message}, expected 0 to 1, or bytes")
        return np.round(values * 255).astype(np.uint8)
    tags = getattr(opened, "tag_v2", {})
    bits = tags.get(BITS_PER_SAMPLE, (16,))[0] if tags else 16
    signed = tags.get(SAMPLE_FORMAT, (1,))[0] == 2 if tags else False
    if bits > 16 or signed or values.min() < 0 or values.max() > 65535:
        kind = f"{'signed ' if signed else ''}whole numbers of {bits} bits from {values.min()} to {values.max()}"
        raise RangeError(f"{kind}, of which no range is known, expected 8 or 16 bits without a sign")
    pixels = (values // 256).astype(np.uint8)
    if isinstance(through, int):
        pixels[values == through] = round(sum(background) / 3)
    return pixels


def is_transparent(image: Any) -> bool:
    """Whether a Pillow image has transparent pixels."""
    return image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info


def put_on_background(image: Any, colour) -> Any:
    """Put an image in front of a colour."""
    from PIL import Image

    image = image.convert("RGBA")
    behind = Image.new("RGBA", image.size, (*colour, 255))
    return Image.alpha_composite(behind, image).convert("RGB")


def import_pillow(who: str) -> Any:
    """Import Pillow's Image; ImportError, with a hint, without it."""
    try:
        from PIL import Image
    except ImportError:
        raise ImportError(f"{who}: images need Pillow: pip install 'bprop[image]'") from None
    return Image


def list_class_folders(root: Path) -> list[Path]:
    """List the folders of the classes, sorted by name; refuses fewer than two, and images beside them."""
    if not root.is_dir():
        raise FileNotFoundError(f"ImageFolder: there is no folder {root}")
    entries = sorted(entry for entry in root.iterdir() if not entry.name.startswith("."))
    for entry in entries:
        refuse_dangling(entry)
        if entry.is_file() and entry.suffix.lower() in SUFFIXES:
            raise ValueError(f"ImageFolder: {entry} lies in no class's folder, expected {root}/CLASS/{entry.name}")
    folders = [entry for entry in entries if entry.is_dir()]
    if len(folders) < 2:
        message = f"one folder alone, {folders[0].name}" if folders else "no folders"
        raise ValueError(f"ImageFolder: {root} holds {message}, expected at least two, one for each class")
    return folders


def list_images(root: Path) -> Listing:
    """List the images of all classes; refuses a class without any, and other files."""
    return [(path, label) for label, folder in enumerate(list_class_folders(root)) for path in find_images(folder)]


def find_images(folder: Path) -> list[Path]:
    """Find the images of a folder and its subfolders, sorted by name; links are followed.

    Errors: ValueError for files that are no images by their names, for links to nothing, and for no images.
    """
    above = {identify_folder(parent) for way in (folder.absolute(), folder.resolve()) for parent in way.parents}
    paths = sorted(list_files(folder, above))
    for path in paths:
        if path.suffix.lower() not in SUFFIXES:
            raise ValueError(f"{path} is no image by its name, expected {', '.join(SUFFIXES)}")
    if not paths:
        raise ValueError(f"{folder} holds no image, expected at least one")
    return paths


def identify_folder(folder: Path) -> tuple[int, int]:
    """Identify a folder, whichever path leads to it."""
    status = folder.stat()
    return status.st_dev, status.st_ino


def list_files(folder: Path, above: set[tuple[int, int]]) -> list[Path]:
    """List the files in a folder and its subfolders, without hidden ones; links to folders `above` are not followed."""
    place = identify_folder(folder)
    if place in above:
        return []  # that would never end
    paths = []
    for name in os.listdir(folder):
        path = folder / name
        if name.startswith("."):
            continue
        refuse_dangling(path)
        paths += list_files(path, above | {place}) if path.is_dir() else [path]
    return paths


def refuse_dangling(path: Path) -> None:
    """Raise ValueError for a dangling link."""
    if path.is_symlink() and not path.exists():
        raise ValueError(f"{path} is a link to {os.readlink(path)}, which is not there, expected an image or a folder")
