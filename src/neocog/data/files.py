"""Files and folders as every reader of data sets sees them: sorted, bounded, and never written."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from neocog.errors import DataError, NeocogError

MOST_BYTES = 64 << 20
SUFFIXES = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png",),
    "BMP": (".bmp", ".dib"),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
}
"""The names that pictures of each format go by."""

# Not read, but listed, so that each is reported instead of overlooked.
_REFUSED = (".gif", ".heic", ".heif", ".avif", ".jp2", ".jxl", ".ppm", ".pgm", ".psd", ".svg", ".dng")
IMAGE_SUFFIXES = (*(suffix for suffixes in SUFFIXES.values() for suffix in suffixes), *_REFUSED)
_ANNOTATIONS = (".txt", ".json", ".xml")
SPLITS = {"valid": "val", "validation": "val"}
ORDER = ("train", "val", "trainval", "test")


def printable(name: object) -> str:
    """A name on one line, whatever characters or bytes it holds."""
    text = str(name)
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text
    )


@contextmanager
def open_regular(path: Path, limit: int = MOST_BYTES) -> Iterator[BinaryIO]:
    """A regular file of at most `limit` bytes, open for reading. A pipe is refused, never waited for.

    Raises DataError `path: reason`, also for any OSError or ValueError of the body.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ValueError("not a regular file")
        # The file may have become a pipe since the look above: O_NONBLOCK, and a second look.
        flags = (
            os.O_RDONLY
            | getattr(os, "O_NONBLOCK", 0)
            | getattr(os, "O_BINARY", 0)
            | getattr(os, "O_CLOEXEC", 0)
        )
        with open(os.open(path, flags), "rb") as file:  # noqa: PTH123
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ValueError("not a regular file")
            if status.st_size > limit:
                unit, name = (1 << 20, "MiB") if limit >= 1 << 20 else (1 << 10, "KiB")
                raise ValueError(f"{status.st_size / unit:.0f} {name} > {limit / unit:.4g} {name} limit")
            yield file
    except OSError as error:
        raise DataError(f"{printable(path)}: {(error.strerror or 'cannot be read').lower()}") from error
    except ValueError as error:
        raise DataError(f"{printable(path)}: {error}") from error


def read_bytes(path: Path, limit: int = MOST_BYTES) -> bytes:
    """The whole of a regular file. Raises DataError `path: reason`."""
    with open_regular(path, limit) as file:
        return file.read()


def read_text(path: Path, limit: int = MOST_BYTES) -> str:
    """A UTF-8 text file, with or without byte-order mark. Raises DataError `path: reason`."""
    try:
        return read_bytes(path, limit).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{printable(path)}: not UTF-8 text (byte {error.start})") from error


def text_lines(path: Path, limit: int = MOST_BYTES) -> list[str]:
    """The lines of a text file, whichever way they end."""
    return read_text(path, limit).replace("\r\n", "\n").replace("\r", "\n").split("\n")


def read_lines(path: Path) -> list[str]:
    """The lines of a text file, stripped, without the blank ones."""
    return [line for line in map(str.strip, text_lines(path)) if line]


def read_classes(path: Path) -> tuple[str, ...]:
    """Class names, one a line. Raises DataError when one is listed twice."""
    names = read_lines(path)
    odd = next((name for name in names if not is_title(name)), None)
    if odd is not None:
        raise DataError(f"{printable(path)}: '{printable(odd[:40])}' cannot be a class's name (correct it)")
    if len(set(names)) != len(names):
        raise DataError(f"{printable(path)}: a class is listed twice (remove one)")
    return tuple(names)


def is_title(text: str) -> bool:
    """Whether a class can be called so: not blank, with nothing that ends a line or steers a terminal."""
    return bool(text.strip()) and not any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in text)


def reason_of(error: DataError, path: Path) -> str:
    """The part of `path: reason` after the path."""
    return str(error).removeprefix(f"{printable(path)}: ")


def is_image(name: str) -> bool:
    """Whether a file's name is a picture's. Its content decides later."""
    return name.lower().endswith(IMAGE_SUFFIXES)


def is_hidden(name: str) -> bool:
    """Whether a file or folder is passed over by its name alone."""
    return name.startswith(".") or name == "__MACOSX"


def children(folder: Path) -> list[str]:
    """Names in a folder, sorted, without hidden files. Empty when there is no such folder."""
    try:
        return sorted(name for name in os.listdir(folder) if not is_hidden(name))  # noqa: PTH208
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a name with NUL in it
        return []
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return []
        raise DataError(f"{printable(folder)}: {(error.strerror or 'cannot be read').lower()}") from error


def images_below(folder: Path, passed: list[str] | None = None) -> list[str]:
    """Pictures in a folder and its subfolders: names relative to it, with "/", sorted.

    What is no picture, or hidden, is added to `passed`; of a hidden folder its own name alone. Linked folders
    are followed, each folder once: a link may lead back to where it lies. Raises DataError for a folder that
    cannot be read, as its pictures would be missed in silence.
    """
    found: list[str] = []
    seen: set[tuple[int, int]] = set()
    with data_errors(folder):
        for top, folders, names in os.walk(folder, onerror=_unlistable, followlinks=True):
            status = os.stat(top)  # noqa: PTH116
            if (status.st_dev, status.st_ino) in seen:
                folders.clear()
                continue
            seen.add((status.st_dev, status.st_ino))
            base = Path(top).relative_to(folder)
            if passed is not None:
                odd = [name for name in names if not is_image(name) or is_hidden(name)]
                passed += [(base / name).as_posix() for name in (*odd, *filter(is_hidden, folders))]
            # Sorted, so that of two links to a folder the same one is followed everywhere.
            folders[:] = sorted(name for name in folders if not is_hidden(name))
            found += [(base / name).as_posix() for name in names if is_image(name) and not is_hidden(name)]
    return sorted(found)


def holds_pictures(folder: Path) -> bool:
    """Whether the first files in a folder, or in folders of it, are pictures, without annotations by them."""
    for _, folders, names in os.walk(folder):
        folders.sort()
        shown = [name for name in names if not is_hidden(name) and name != "classes.txt"]
        if shown:
            return any(map(is_image, shown)) and not any(name.endswith(_ANNOTATIONS) for name in shown)
    return False


def _unlistable(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):  # no such folder: no pictures
        raise error


@contextmanager
def data_errors(path: Path, kind: type[NeocogError] = DataError) -> Iterator[None]:
    """Turn an OSError of looking about below a path into an error for the user that names the file.

    `Path.exists` and its like raise for a name that is too long and for a folder that may not be entered.
    """
    try:
        yield
    except OSError as error:
        name = error.filename if isinstance(error.filename, str | bytes) else str(path)
        reason = (error.strerror or "cannot be read").lower()
        raise kind(f"{printable(os.fsdecode(name))}: {reason}") from error


def is_inside(name: str) -> bool:
    """Whether a name from a file can only lead below the folder it is looked for in: no "..", root or URL."""
    parts = name.replace("\\", "/").split("/")
    return bool(parts[0]) and "\0" not in name and ":" not in parts[0] and ".." not in parts


class Stems:
    """Files of one folder, found by name or stem, whichever way the name's accents are composed."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(names)
        self._found: dict[str, str] = {}
        for name in self.names:
            self._found[name] = name
        for name in self.names:
            for key in (name, name.rpartition(".")[0]):
                self._found.setdefault(key, name)
                self._found.setdefault(unicodedata.normalize("NFC", key), name)

    def find(self, name: str) -> str | None:
        """The file's name, or None."""
        return self._found.get(name) or self._found.get(unicodedata.normalize("NFC", name))


def split_name(name: str) -> str:
    """`valid` and `validation` are `val`; other names stay."""
    return SPLITS.get(name.lower(), name.lower() if name.lower() in ORDER else name)


def in_order(splits: Iterable[str]) -> tuple[str, ...]:
    """Splits sorted as people name them: train, val, trainval, test, then the rest."""
    return tuple(
        sorted(set(splits), key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))
    )


def divide(paths: Iterable[Path]) -> list[str]:
    """The split of each picture of a data set that has none: 80/10/10 by content.

    The first 8 hex digits of the SHA-256 of the file, as a fraction: below 0.8 train, below 0.9 val, else
    test. Equal pictures therefore never fall into different splits. What cannot be read counts as train.
    """
    return [_split_of(path) for path in paths]


def _split_of(path: Path) -> str:
    try:
        digest = hashlib.sha256(read_bytes(path)).hexdigest()
    except DataError:
        return "train"
    fraction = int(digest[:8], 16) / 16**8
    return "train" if fraction < 0.8 else "val" if fraction < 0.9 else "test"


def parse_number(text: str) -> float:
    """A decimal number. Raises ValueError for anything else, also for what Python accepts, such as 1_0."""
    if not text.isascii() or "_" in text:
        raise ValueError(f"not a number: {text!r}")
    return float(text)
