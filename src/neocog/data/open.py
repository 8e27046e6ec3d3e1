"""One door to every data set: finds the format by looking, reads one split, judges what was lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from neocog.data import coco, voc, yolo
from neocog.data.dataset import Dataset
from neocog.data.files import children, data_errors, printable, split_name
from neocog.data.records import ImageDataset
from neocog.errors import DataError, UsageError
from neocog.types import Task

ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".zst")


class Reader(NamedTuple):
    """What a format offers."""

    finds: Callable[[Path], bool]
    splits: Callable[[Path], tuple[str, ...]]
    read: Callable[[Path, str], ImageDataset]
    layout: str


READERS: dict[str, Reader] = {
    "voc": Reader(voc.finds, voc.splits, voc.read, voc.LAYOUT),
    "coco": Reader(coco.finds, coco.splits, coco.read, coco.LAYOUT),
    "yolo": Reader(yolo.finds, yolo.splits, yolo.read, yolo.LAYOUT),
}


def open_data(
    path: str | Path,
    split: str = "train",
    *,
    format: str | None = None,
    strict: bool = False,
    task: Task = Task.DETECT,
    ignore_label: int | None = None,
    main: str = "largest",
) -> Dataset:
    """One split of the data at `path`, a folder or file in a known format, or `scenes[:level]` (generated),
    with the truth that `task` needs.

    `valid` and `validation` mean `val`; `trainval` is `train` followed by `val` where it is not given itself.
    Nothing is ever written to the data. Raises DataError when the path, the format or the split cannot be
    found, and when more is lost than the policy of `Report.judge` allows; `strict` allows nothing to be lost.
    """
    if isinstance(path, str) and path.partition(":")[0] == "scenes":
        from neocog.data.scenes import open_scenes

        return open_scenes(path, split_name(split), task=task)
    root = Path(path)
    data = read_split(root, find_format(root, format), split)
    data.report.judge(strict)
    return data


def read_split(root: Path, format: str, split: str) -> ImageDataset:
    """One split, not yet judged. Raises DataError for an unknown split."""
    reader, name = READERS[format], split_name(split)
    with data_errors(root):
        available = reader.splits(root)
        if name in available:
            return reader.read(root, name)
        if name == "trainval" and {"train", "val"} <= set(available):
            return _joined(reader.read(root, "train"), reader.read(root, "val"))
    raise DataError(f"{printable(root)}: no split '{printable(split)}' (there are: {', '.join(available)})")


def splits_of(path: str | Path, format: str | None = None) -> tuple[str, ...]:
    """The splits that `open_data` can open. Raises DataError as it does."""
    if isinstance(path, str) and path.partition(":")[0] == "scenes":
        return ("train", "val", "test")
    root = Path(path)
    with data_errors(root):
        return READERS[find_format(root, format)].splits(root)


def covers(opened: Mapping[str, ImageDataset], trainval: ImageDataset) -> bool:
    """Whether a `trainval` is nothing but the train and val that were opened too."""
    if not {"train", "val"} <= set(opened):
        return False
    parts = [opened["train"], opened["val"]]
    known = {data.identity(index) for data in parts for index in range(len(data))}
    seen = sum(data.report.files_seen for data in parts)
    return trainval.report.files_seen <= seen and all(
        trainval.identity(index) in known for index in range(len(trainval))
    )


def find_format(root: Path, format: str | None = None) -> str:
    """The format's name, by looking.

    Raises DataError, naming the layouts that are known; UsageError for a format asked for that is none.
    """
    if format is not None and format not in READERS:
        raise UsageError(f"format '{printable(format)}' is not known (known: {', '.join(READERS)})")
    with data_errors(root):
        return _look(root, format)


def _look(root: Path, format: str | None) -> str:
    known = "; ".join(reader.layout for reader in READERS.values())
    if not root.exists():
        raise DataError(f"{printable(root)}: no such file or folder")
    if root.is_file() and root.suffix.lower() in ARCHIVES:
        raise DataError(f"{printable(root)}: an archive (unpack it and give the folder)")
    if root.is_dir() and not children(root):
        raise DataError(f"{printable(root)}: empty folder (known layouts: {known})")
    found = [name for name, reader in READERS.items() if format in (None, name) and reader.finds(root)]
    if len(found) == 1:
        return found[0]
    if found:
        raise DataError(f"{printable(root)}: more than one format found (say which: {', '.join(found)})")
    below = [
        name for name in children(root) if any(_finds(reader, root / name) for reader in READERS.values())
    ]
    hint = f"did you mean {printable(root / below[0])}? " if below else ""
    raise DataError(f"{printable(root)}: no known layout found ({hint}known layouts: {known})")


def _finds(reader: Reader, path: Path) -> bool:
    """Whether a folder is of a format, faults and all."""
    try:
        return reader.finds(path)
    except DataError:
        return True


def _joined(first: ImageDataset, second: ImageDataset) -> ImageDataset:
    """Two splits of one data set as `trainval`."""
    if first.classes != second.classes:
        raise DataError(f"{printable(first.root)}: train and val have different classes (make them one list)")
    first.report.merge(second.report)
    first.report.name = f"{printable(first.root)}, trainval"
    records = first.records.joined(second.records)
    return ImageDataset(first.root, first.format, "trainval", first.classes, records, first.report)
