"""Files written so that a kill, a power cut or a full disk never leaves half of one in place.

The way is always the same: write under another name in the same folder, flush that to the disk, rename it in
one step, flush the folder. What a kill leaves behind is a temporary name, which `sweep_temporaries` removes.
"""

from __future__ import annotations

import errno
import json
import math
import os
import re
import shutil
import signal
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from neocog.errors import DiskError, UsageError

_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def reached(point: str) -> None:
    """Kill this process if `NEOCOG_FAIL_AT` names this point: how tests stop a writer where it hurts most."""
    if os.environ.get("NEOCOG_FAIL_AT") == point:
        os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn the system's refusal to write `path` into a DiskError of one line."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_ROOM:
            remedy = "free some space or choose another --out"
        else:
            remedy = "make its folder writable or choose another --out"
        raise DiskError(f"{path}: cannot be written ({error.strerror or error}); {remedy}") from error


def write_atomic(path: Path, data: bytes | str) -> None:
    """Write a file (text as UTF-8): afterwards `path` holds all of `data`, or what it held before.

    Raises DiskError when the disk is full, read-only or over quota.
    """
    with _in_place_of(path) as temporary:
        _write_new(temporary, data.encode() if isinstance(data, str) else data)


def write_pieces(path: Path, pieces: Iterable[bytes]) -> None:
    """As `write_atomic`, of a file too large to be held: its bytes come one piece after another."""
    with _in_place_of(path) as temporary, temporary.open("xb") as file:
        file.writelines(pieces)
        file.flush()
        os.fsync(file.fileno())


def write_again(path: Path, data: bytes) -> None:
    """Write a file that can be made again: in one step, but neither flushed nor insisted on."""
    temporary = _temporary(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError:
        _remove(temporary)


def write_folder(path: Path, files: Iterable[tuple[str, bytes]]) -> None:
    """Create the folder `path`, which must not exist, with these (name, content) files: all of it or nothing.

    Raises DiskError when the disk is full, read-only or over quota.
    """
    with _in_place_of(path) as temporary:
        temporary.mkdir()
        for name, data in files:
            reached(f"before-{name}")
            _write_new(temporary / name, data)
        reached("before-folder-fsync")
        sync_folder(temporary)


def make_folder(path: Path) -> None:
    """Create a folder and its missing parents, each flushed to the disk. Raises DiskError."""
    with disk_errors(path):
        there = path.is_dir()
    if not there:
        if path.parent != path:
            make_folder(path.parent)
        with disk_errors(path):
            path.mkdir(exist_ok=True)
            sync_folder(path.parent)


def remove_folder(path: Path) -> None:
    """Remove a folder so that no moment shows half of it. What cannot be removed stays for the next sweep."""
    aside = _temporary(path)
    with suppress(OSError):
        path.rename(aside)
        reached("half-removed")
    shutil.rmtree(aside, ignore_errors=True)


def point_link(link: Path, target: str) -> None:
    """Make `link` point to `target`, a path relative to its folder, in one step. Raises DiskError.

    It is a symbolic link, or a small file that holds `target` where links do not exist.
    """
    with _in_place_of(link) as temporary:
        try:
            temporary.symlink_to(target)
        except (OSError, NotImplementedError):
            _write_new(temporary, target.encode())
        if link.is_dir() and not link.is_symlink():  # left by a copy that followed the link
            link.rename(_temporary(link))


def read_link(link: Path) -> Path | None:
    """What `link` points to, whether that exists or not; None if there is no such link.

    A real folder in its place, as a copy that followed links leaves it, stands for itself.
    """
    if link.is_symlink():
        return link.parent / link.readlink()
    if link.is_file():
        return link.parent / link.read_text(errors="replace").strip()
    return link if link.is_dir() else None


def sweep_temporaries(folder: Path) -> None:
    """Remove what killed writers left in `folder` and below it. Nothing else may be writing there."""
    for root, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            if _TEMPORARY.fullmatch(name):
                _remove(Path(root, name))


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk, where the system can (Windows cannot)."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems have no such call
            raise
    finally:
        os.close(descriptor)


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.urandom(4).hex()}.tmp")


def _remove(path: Path) -> None:
    """Remove a file, a link or a folder, if it is there and may be removed."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


@contextmanager
def _in_place_of(path: Path) -> Iterator[Path]:
    """A temporary sibling to write. On leaving it becomes `path`, or is removed if something went wrong."""
    temporary = _temporary(path)
    with disk_errors(path):
        try:
            yield temporary
            reached("before-rename")
            temporary.replace(path)
        except BaseException:
            _remove(temporary)
            raise
        reached("after-rename")
        sync_folder(path.parent)


def _write_new(path: Path, data: bytes) -> None:
    """Create a file and flush it to the disk."""
    reached("before-open")
    view = memoryview(data)
    with path.open("xb") as file:
        file.write(view[: len(data) // 2])
        file.flush()
        reached("half-written")
        file.write(view[len(data) // 2 :])
        file.flush()
        reached("before-fsync")
        os.fsync(file.fileno())
    reached("after-fsync")


class JsonLines:
    """A log of one JSON object a line. Losing a line never stops the run that logs.

    Keys are sorted and floats are written shortest-exact, so equal records give equal bytes. JSON has no NaN
    and no infinity: they are logged as null.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lost = 0  # lines the disk refused

    def append(self, record: Mapping[str, Any]) -> str | None:
        """Add one line. Returns a warning of one line at the first line lost, None otherwise."""
        line = json.dumps(finite(record), sort_keys=True, allow_nan=False).encode() + b"\n"
        try:
            self._write(line)
        except OSError as error:
            self.lost += 1
            if self.lost == 1:
                return f"{self.path}: cannot be written ({error.strerror}); the run goes on, its log has gaps"
        return None

    def sync(self) -> None:
        """Flush to the disk: before a checkpoint, so that no log is older than what it led to."""
        with suppress(OSError), self.path.open("rb+") as file:
            os.fsync(file.fileno())

    def cut(self, step: int) -> None:
        """Keep the lines whose "step" is at most `step`, and drop a torn one. Raises DiskError."""
        if self.path.exists():
            with disk_errors(self.path):
                lines = self.path.read_bytes().splitlines()
            kept = [line + b"\n" for line in lines if _step_of(line) <= step]
            write_atomic(self.path, b"".join(kept))

    def _write(self, line: bytes) -> None:
        with self.path.open("ab", buffering=0) as file:
            size = file.tell()
            if file.write(line) < len(line):
                file.truncate(size)  # half a line would spoil the next one
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def require_empty(folder: Path) -> None:
    """Raise UsageError unless a folder is new or empty."""
    if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
        raise UsageError(f"{folder}: exists already; give a new or an empty folder")


def finite(value: Any) -> Any:
    """The same value with null in place of the numbers that JSON cannot say."""
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def json_line(record: Mapping[str, Any]) -> bytes:
    """One JSON object as a line in UTF-8.

    What is not a finite number becomes null. Bytes of a file's name that are no UTF-8 become JSON escapes.
    """
    text = json.dumps(finite(record), ensure_ascii=False, allow_nan=False) + "\n"
    return text.encode(errors="backslashreplace")


def _step_of(line: bytes) -> float:
    """The step of one log line; infinity if the line is torn, so that it goes."""
    try:
        return int(json.loads(line)["step"])
    except (ValueError, TypeError, KeyError, OverflowError):
        return math.inf
