"""Files of weights in safetensors, which PyTorch reads, too, with a checksum and notes on the data.

What is not as it was written is refused: a changed weight would give other predictions, and nobody would notice.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save

from ...datasets.files.npy import name_damage
from ...datasets.files.paths import expand_path

KEY, CHECKSUM = "bprop", "sha256"  # of the metadata, and in what stands there


def encode_weights(arrays: Mapping[str, np.ndarray], notes: Mapping[str, Any] | None = None) -> bytes:
    """Encode the content of a file of weights; `notes`: values for JSON."""
    notes = dict(notes or {})
    return save(dict(arrays), {KEY: json.dumps({CHECKSUM: compute_checksum(arrays, notes), "notes": notes})})


def read_weights(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read the arrays of a file of weights, and its notes; another program's has none.

    Errors: FileNotFoundError; ValueError for a file that is cut off or changed.
    """
    path = expand_path(path)
    with name_damage(path, ".safetensors"), safe_open(path, "numpy") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = file.metadata() or {}
    # Another entry that tells of a checksum is ours, too: then a bit of the key has changed.
    texts = [metadata[KEY]] if KEY in metadata else [text for text in metadata.values() if f'"{CHECKSUM}"' in text]
    if not texts:
        return arrays, {}
    try:
        header = json.loads(texts[0])
        whole = header[CHECKSUM] == compute_checksum(arrays, header["notes"])
    except (ValueError, TypeError, KeyError, RecursionError):
        whole = False
    if not whole:
        raise ValueError(f"{path}: its checksum is wrong, expected the weights as they were written")
    return arrays, header["notes"]


def compute_checksum(arrays: Mapping[str, np.ndarray], notes: Mapping[str, Any]) -> str:
    """Compute the checksum of names, dtypes, shapes and values, and of the notes."""
    checksum = hashlib.sha256(json.dumps(notes, sort_keys=True).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        checksum.update(f"\0{name} {array.dtype.str} {arrays[name].shape}\0".encode())
        checksum.update(array.tobytes())
    return checksum.hexdigest()
