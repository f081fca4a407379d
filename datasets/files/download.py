"""Fetches one file and checks it against its SHA-256 before anybody can see it. Several processes may
fetch the same file: each writes its own temporary file, and the last rename wins."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path


def download(url: str, path: Path, *, sha256: str, timeout: float = 30.0) -> None:
    """Download the content of `url` to `path`, whose folder is made if needed; `path` is never seen half-written.

    Args: sha256: of the content, in hexadecimal; timeout: seconds without an answer.
    Errors: OSError if the address cannot be reached or the folder cannot be written; ValueError for another
        checksum. Neither leaves a file behind.
    """
    from http.client import HTTPException  # imported here: 30 ms that only a download should cost
    from urllib.error import HTTPError, URLError
    from urllib.request import urlopen

    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    digest = hashlib.sha256()
    try:
        with urlopen(url, timeout=timeout) as response, partial.open("wb") as file:
            while chunk := response.read(1 << 20):
                digest.update(chunk)
                file.write(chunk)
        if digest.hexdigest() != sha256:
            raise ValueError(f"{url}: SHA-256 is {digest.hexdigest()}, expected {sha256}")
        partial.replace(path)
    except URLError as error:  # whose text is "<urlopen error [Errno -2] ...>"
        reason = str(error) if isinstance(error, HTTPError) else getattr(error.reason, "strerror", None) or error.reason
        raise OSError(f"{url}: {reason}") from error
    except HTTPException as error:  # for example a connection that breaks off, which is no OSError
        raise OSError(f"{url}: {error!r}, expected a whole answer") from error
    finally:
        partial.unlink(missing_ok=True)
