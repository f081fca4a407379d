"""Arrays of a page: each value has a number, and each content is stored once, as base64 of its bytes."""

import base64
import hashlib
from typing import Any

import numpy as np

LIMIT = 200_000  # numbers of an array that are kept; the page says so of longer ones


class Arrays:
    """The arrays of a page, as they are recorded; of one whose numbers are all equal, one number is stored.

    `add` returns the number of a value. Two values may have the same content and different makers: the output of
    Flatten is that of the layer before in another shape.
    """

    def __init__(self) -> None:
        self.values: list[dict[str, Any]] = []
        self.contents: list[str] = []
        self._known: dict[bytes, int] = {}

    def add(self, name: str, array: Any) -> int:
        """Add a copy of an array, or of a number, under a name; returns its number."""
        array = np.asarray(array)
        numbers = np.ascontiguousarray(array).ravel()
        is_uniform = numbers.size > 16 and bool((numbers == numbers[0]).all())  # zeros, above all
        kind, data = encode(numbers[:1] if is_uniform else numbers[:LIMIT])
        digest = hashlib.sha256(kind.encode() + data).digest()
        if digest not in self._known:
            self._known[digest] = len(self.contents)
            self.contents.append(base64.b64encode(data).decode())
        value = {"name": name, "shape": list(array.shape), "type": kind, "content": self._known[digest]}
        if array.size > LIMIT and not is_uniform:
            value["kept"] = LIMIT
        self.values.append(value)
        return len(self.values) - 1

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"values": self.values, "contents": self.contents}


def encode(array: np.ndarray) -> tuple[str, bytes]:
    """Encode numbers as bytes, little-endian: float32 and float64 as they are, whole numbers as int32 if they fit."""
    if array.dtype.kind == "f":
        kind = "f4" if array.dtype.itemsize <= 4 else "f8"
    elif not array.size or (np.abs(array.astype(np.float64)) < 2**31).all():
        kind = "i4"
    else:
        kind = "f8"
    return kind, array.astype(f"<{kind}").tobytes()


def decode(value: dict[str, Any], contents: list[str]) -> np.ndarray:
    """Decode a value of `as_dict`; what was not kept of a long array is left out, and the array is then a vector."""
    array = np.frombuffer(base64.b64decode(contents[value["content"]]), f"<{value['type']}")
    size = value.get("kept", int(np.prod(value["shape"])))
    array = np.resize(array, size) if array.size == 1 else array
    return array if "kept" in value else array.reshape(value["shape"])
