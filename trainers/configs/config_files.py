"""Finding and reading the file of a config: a path, or the name of a packaged config."""

import importlib.resources
from pathlib import Path

from ...datasets.files.paths import expand_path
from .errors import ConfigError, Place, format_suggestion

__all__ = ["find_config", "list_packaged_configs", "read_text"]


def list_packaged_configs() -> dict[str, Path]:
    """List the configs that come with the package, by name."""
    folder = Path(str(importlib.resources.files("bprop.configs")))
    return {file.stem: file for file in sorted(folder.rglob("*.yaml"))}


def find_config(source: str | Path) -> Path:
    """Find the file at that path, or the packaged config of that name.

    Errors: ConfigError that lists the packaged configs.
    """
    try:
        path = expand_path(source)
    except ValueError as error:
        raise ConfigError.at(Place(str(source)), (), str(error)) from None
    if path.is_file():
        return path
    packaged = list_packaged_configs()
    if str(source).removesuffix(".yaml") in packaged:
        return packaged[path.stem]
    if (path / "config.yaml").is_file():
        message = f"this is a run folder, expected a config; that of the run is {path / 'config.yaml'}"
        raise ConfigError.at(Place(str(source)), (), message)
    what = "this is a folder, expected a file" if path.is_dir() else "there is no such file"
    near = [str(file) for file in path.parent.glob("*.yaml")]
    guess = format_suggestion(source, near) or format_suggestion(path.stem, packaged)
    message = f"{what}{guess}; packaged configs: {', '.join(packaged) or 'none'}"
    raise ConfigError.at(Place(str(source)), (), message)


def read_text(path: Path) -> str:
    """Read a file in UTF-8.

    Errors: ConfigError for a file that cannot be read, and with line and column for a byte that is not UTF-8.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError.at(Place(str(path)), (), f"cannot be read: {error.strerror}") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8-sig")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        message = f"the byte 0x{data[error.start]:02x} is not UTF-8"
        raise ConfigError.at(Place(str(path), line, column), (), message) from None
