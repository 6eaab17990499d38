"""One file of named arrays with a manifest, checked when read: a zip without pickles.

The manifest (JSON) names format and version, and holds the SHA-256 of every array; its own
stands beside it.  Files are written whole or not at all.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixedeffects.errors import FileFormatError

__all__ = ["FORMAT", "VERSION", "read_archive", "replacing", "write_archive"]

FORMAT = "mixedeffects fit"
VERSION = 3

_MANIFEST = "manifest.json"
_CHECKSUM = "manifest.sha256"
# The same fit gives the same bytes.
_DATE = (1980, 1, 1, 0, 0, 0)


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place once all went well."""
    target = Path(path).expanduser()
    temporary = target.with_name(f".{os.getpid()}.{target.name}")
    try:
        yield temporary
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


# -- writing -------------------------------------------------------------------------------


def write_archive(
    path: str | Path,
    version: int,
    manifest: Mapping[str, Any],
    arrays: Mapping[str, NDArray[Any]],
) -> None:
    """Write a manifest and its arrays; ``version``, the first that has what they hold.

    Raises
    ------
    OSError
        If the file cannot be written; one that was there stays as it was.
    """
    members = {name: _encoded(array) for name, array in arrays.items()}
    listed = {
        name: {"bytes": len(content), "sha256": _sha256(content)}
        for name, content in members.items()
    }
    whole = {"format": FORMAT, "version": version, **manifest, "members": listed}
    text = json.dumps(whole, indent=1).encode()
    members = {_MANIFEST: text, _CHECKSUM: _sha256(text).encode(), **members}
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "x") as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name, _DATE)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content, compresslevel=1)


def _encoded(array: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# -- reading -------------------------------------------------------------------------------


def read_archive(path: str | Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Read a manifest and its arrays, every byte of them checked.

    Raises
    ------
    FileFormatError
        If the file is missing, truncated, altered, of a later version or of another kind.
    """
    file = Path(path).expanduser()
    try:
        with zipfile.ZipFile(file) as archive:
            manifest = _manifest(file, archive)
            return manifest, _arrays(file, archive, manifest)
    except zipfile.BadZipFile as error:
        raise FileFormatError(_not_an_archive(file, error)) from None
    except (zlib.error, EOFError, NotImplementedError) as error:
        raise _damaged(file, str(error)) from None
    except OSError as error:
        raise FileFormatError(f"{file} cannot be read: {error.strerror or error}.") from None


def _manifest(file: Path, archive: zipfile.ZipFile) -> dict[str, Any]:
    if _MANIFEST not in archive.namelist():
        raise FileFormatError(f"{file} is a zip file, but not a saved fit: it has no {_MANIFEST}.")
    text = archive.read(_MANIFEST)
    try:
        manifest = json.loads(text)
    except ValueError:
        raise _damaged(file, f"{_MANIFEST} is not JSON") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise FileFormatError(f"{file} is not a saved fit: its manifest is of another format.")
    _check_version(file, manifest.get("version"))
    if _CHECKSUM not in archive.namelist() or archive.read(_CHECKSUM) != _sha256(text).encode():
        raise _damaged(file, f"{_MANIFEST} does not have its checksum")
    return manifest


def _check_version(file: Path, version: Any) -> None:
    if not isinstance(version, int) or version < 1:
        raise _damaged(file, f"{version!r} is not a version")
    if version > VERSION:
        raise FileFormatError(
            f"{file} has format version {version}, which a later release wrote; this one reads "
            f"up to {VERSION}. Update mixedeffects."
        )


def _arrays(
    file: Path, archive: zipfile.ZipFile, manifest: Mapping[str, Any]
) -> dict[str, NDArray[Any]]:
    listed = manifest.get("members")
    if not isinstance(listed, dict):
        raise _damaged(file, "its manifest lists no members")
    there = sorted(set(archive.namelist()) - {_MANIFEST, _CHECKSUM})
    if there != sorted(listed) or len(archive.namelist()) != len(listed) + 2:
        raise _damaged(file, "its members are not those that its manifest lists")
    return {name: _array(file, archive, name, about) for name, about in listed.items()}


def _array(file: Path, archive: zipfile.ZipFile, name: str, about: Any) -> NDArray[Any]:
    content = archive.read(name)
    if not isinstance(about, dict) or _sha256(content) != about.get("sha256"):
        raise _damaged(file, f"{name} does not have its checksum")
    try:
        array: NDArray[Any] = np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError, OSError):
        raise _damaged(file, f"{name} is not an array") from None
    return array


def _not_an_archive(file: Path, error: zipfile.BadZipFile) -> str:
    with file.open("rb") as stream:
        begins = stream.read(2)
    if begins == b"PK":
        return f"{file} is truncated or damaged ({error}). Restore it from a copy, or fit again."
    return f"{file} is not a saved fit."


def _damaged(file: Path, reason: str) -> FileFormatError:
    return FileFormatError(
        f"{file} is damaged or was altered: {reason}. Restore it from a copy, or fit again."
    )
