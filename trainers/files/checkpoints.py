"""Checkpoints on disk: a folder of numbered pairs of files, arrays as safetensors and all else as JSON.

The JSON file is written last and holds checksums of both, so a pair is whole or it does not count.
"""

import hashlib
import json
import re
import warnings
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load, save

from .atomic_files import MAX_DEPTH, measure_depth, write_atomically

FORMAT, VERSION = "bprop checkpoint", 1
KEEP = 2  # the newest and the one before


class CheckpointError(ValueError):
    """No checkpoint can be read; the message says which file is wrong, and how."""


def write_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Add a checkpoint to a folder, made if missing; the one before is kept, older ones are removed.

    Args: state: dicts, lists, strings, numbers, None and arrays.
    Errors: TypeError for anything else; OSError if it cannot be written: then those before are as they were.
    """
    arrays: dict[str, np.ndarray] = {}
    packed = pack_value(state, arrays, "state")
    folder.mkdir(parents=True, exist_ok=True)
    numbers = list_checkpoints(folder)
    number = max(numbers, default=0) + 1
    data = save({name: np.array(array, order="C") for name, array in arrays.items()})
    write_atomically(arrays_path(folder, number), data)
    content = {"format": FORMAT, "version": VERSION, "arrays": hash_bytes(data), "state": packed}
    try:
        write_atomically(json_path(folder, number), json.dumps(content | {"sha256": hash_json(content)}))
    except BaseException:
        if not json_path(folder, number).exists():
            arrays_path(folder, number).unlink(missing_ok=True)
        raise
    for old in sorted(numbers)[: len(numbers) + 1 - KEEP]:
        remove_checkpoint(folder, old)


def read_checkpoint(folder: Path) -> dict[str, Any]:
    """Read the newest whole checkpoint of a folder, with a warning for each newer one that is damaged.

    Errors: FileNotFoundError if there is none; CheckpointError if none is whole, and for one of another format.
    """
    return read_newest_checkpoint(folder)[1]


def read_newest_checkpoint(folder: Path) -> tuple[int, dict[str, Any]]:
    """As `read_checkpoint`, with the number of the checkpoint."""
    damaged: dict[int, str] = {}
    for number in sorted(list_checkpoints(folder), reverse=True):
        try:
            state = read_pair(folder, number)
        except DamagedCheckpoint as error:
            damaged[number] = f"{json_path(folder, number)} is damaged ({error})"
            continue
        for what in damaged.values():
            warnings.warn(f"{what}; the checkpoint before it is used", stacklevel=3)
        return number, state
    if damaged:
        raise CheckpointError(f"there is no whole checkpoint: {'; '.join(damaged.values())}")
    raise FileNotFoundError(f"there is no checkpoint in {folder}")


def list_checkpoints(folder: Path) -> list[int]:
    """List the numbers of the checkpoints in a folder, whole or not."""
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return [int(name.removesuffix(".json")) for name in names if re.fullmatch(r"\d{6,}\.json", name)]


def remove_checkpoints_after(folder: Path, number: int) -> None:
    """Remove the damaged checkpoints after one."""
    for later in list_checkpoints(folder):
        if later > number:
            remove_checkpoint(folder, later)


def json_path(folder: Path, number: int) -> Path:
    """The path of a checkpoint's JSON file."""
    return folder / f"{number:06}.json"


def arrays_path(folder: Path, number: int) -> Path:
    """The path of a checkpoint's file of arrays."""
    return folder / f"{number:06}.safetensors"


def remove_checkpoint(folder: Path, number: int) -> None:
    """Remove a checkpoint, first its JSON file, which makes it count."""
    json_path(folder, number).unlink(missing_ok=True)
    arrays_path(folder, number).unlink(missing_ok=True)


# -- inside ------------------------------------------------------------------------------------------------------------


class DamagedCheckpoint(Exception):
    """A pair of files differs from what was written."""


def read_pair(folder: Path, number: int) -> dict[str, Any]:
    """Read one checkpoint; DamagedCheckpoint if it was changed, CheckpointError for another format."""
    path = json_path(folder, number)
    try:
        content = json.loads(path.read_bytes())
        levels = measure_depth(content)
    except (ValueError, RecursionError):
        raise DamagedCheckpoint("it is no JSON") from None
    if levels > MAX_DEPTH:
        raise DamagedCheckpoint(f"it is nested more than {MAX_DEPTH} levels")
    checksum = content.pop("sha256", None) if isinstance(content, dict) else None
    if checksum is None or checksum != hash_json(content):
        raise DamagedCheckpoint("its checksum is wrong")
    if content.get("format") != FORMAT:
        raise CheckpointError(f"{path} is a {content.get('format')!r}, expected a {FORMAT!r}")
    if content.get("version") != VERSION:
        raise CheckpointError(
            f"{path} has version {content.get('version')!r} of the format, this bprop reads {VERSION}"
        )
    try:
        data = arrays_path(folder, number).read_bytes()
    except FileNotFoundError:
        raise DamagedCheckpoint("its arrays are missing") from None
    if hash_bytes(data) != content["arrays"]:
        raise DamagedCheckpoint("the checksum of its arrays is wrong")
    return unpack_value(content["state"], load(data))


def hash_bytes(data: bytes) -> str:
    """Compute the checksum of bytes."""
    return hashlib.sha256(data).hexdigest()


def hash_json(content: Any) -> str:
    """Compute the checksum of a value, independent of the layout of its JSON."""
    return hash_bytes(json.dumps(content, sort_keys=True).encode())


def pack_value(value: Any, arrays: dict[str, np.ndarray], path: str) -> Any:
    """Replace NaN and infinity by words and arrays by names, which are added to `arrays`."""
    if isinstance(value, np.ndarray | np.generic):
        while path in arrays:  # keys may hold dots
            path += "'"
        arrays[path] = np.asarray(value)
        return {"$array" if isinstance(value, np.ndarray) else "$scalar": path}
    if isinstance(value, float) and not isfinite(value):
        return {"$float": repr(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [pack_value(item, arrays, f"{path}.{k}") for k, item in enumerate(value)]
    if isinstance(value, dict) and all(isinstance(key, str) and not key.startswith("$") for key in value):
        return {key: pack_value(item, arrays, f"{path}.{key}") for key, item in value.items()}
    raise TypeError(
        f"checkpoint: {path} is {value!r}, expected numbers, strings, arrays, lists, or dicts whose keys are strings"
    )


def unpack_value(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """Restore a value from `pack_value`."""
    if isinstance(value, list):
        return [unpack_value(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    for mark, name in value.items():
        if mark == "$array":
            return arrays[name].copy()  # a view of the file's bytes cannot be written
        if mark == "$scalar":
            return arrays[name][()]
        if mark == "$float":
            return float(name)
    return {key: unpack_value(item, arrays) for key, item in value.items()}
