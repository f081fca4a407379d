"""Messages between ranks: plain objects as bytes. Reading one executes nothing.

A message is the length of its text, the text (JSON), and the bytes of its arrays, one after the other. Objects are
None, bool, int, float, str, bytes, NumPy's numbers and arrays, and lists, tuples and dicts of them.
"""

import json
from typing import Any

import numpy as np

HEAD = 8  # bytes of the length of the text


def encode(value: Any) -> np.ndarray:
    """Encode an object; TypeError for one of another kind."""
    arrays: list[np.ndarray] = []
    text = json.dumps(describe(value, arrays)).encode()
    parts = [np.frombuffer(len(text).to_bytes(HEAD, "little") + text, np.uint8)]
    return np.concatenate(parts + [array.reshape(-1).view(np.uint8) for array in arrays])


def describe(value: Any, arrays: list[np.ndarray]) -> Any:
    """Describe an object in JSON's terms; appends its arrays."""
    if isinstance(value, np.ndarray | np.generic | bytes):
        array = np.frombuffer(value, np.uint8) if isinstance(value, bytes) else np.asarray(value, order="C")
        arrays.append(array)
        kind = "bytes" if isinstance(value, bytes) else "array" if isinstance(value, np.ndarray) else "number"
        return {kind: [array.dtype.str, list(array.shape)]}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list):
        return [describe(each, arrays) for each in value]
    if isinstance(value, tuple):
        return {"tuple": [describe(each, arrays) for each in value]}
    if isinstance(value, dict):
        return {"dict": [[describe(key, arrays), describe(each, arrays)] for key, each in value.items()]}
    raise TypeError(f"a message to other ranks has {type(value).__name__}, expected numbers, strings and arrays")


def decode(message: np.ndarray) -> Any:
    """Decode an object."""
    end = HEAD + int.from_bytes(message[:HEAD].tobytes(), "little")
    place = end

    def read(text: Any) -> Any:
        nonlocal place
        if isinstance(text, list):
            return [read(each) for each in text]
        if not isinstance(text, dict):
            return text
        ((kind, content),) = text.items()
        if kind == "tuple":
            return tuple(read(each) for each in content)
        if kind == "dict":
            return {read(key): read(each) for key, each in content}
        dtype, shape = np.dtype(content[0]), tuple(content[1])
        size = dtype.itemsize * int(np.prod(shape, dtype=np.int64))
        array = message[place : place + size].copy().view(dtype).reshape(shape)
        place += size
        return array.tobytes() if kind == "bytes" else array if kind == "array" else array[()]

    return read(json.loads(message[HEAD:end].tobytes()))
