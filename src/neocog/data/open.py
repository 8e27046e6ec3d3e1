"""One door to every data set: finds the format by looking, reads one split, judges what was lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from neocog.data import coco, folders, idx, masks, voc, yolo
from neocog.data.dataset import Dataset
from neocog.data.files import children, data_errors, printable, split_name
from neocog.data.main_object import LARGEST, MainObject
from neocog.data.records import Recorded
from neocog.errors import DataError, UsageError
from neocog.types import Task

ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".zst")


class Reader(NamedTuple):
    """What a format offers."""

    finds: Callable[[Path], bool]
    splits: Callable[[Path], tuple[str, ...]]
    read: Callable[[Path, str], Recorded]
    layout: str
    what: str  # what it is called in messages
    task: Task  # what its truth is meant for
    views: tuple[Task, ...] = ()  # what else it serves, as one main object a picture

    @property
    def tasks(self) -> tuple[Task, ...]:
        """What its truth serves."""
        return (self.task, *self.views)


_MAIN = (Task.LOCALIZE, Task.CLASSIFY)

READERS: dict[str, Reader] = {
    "voc": Reader(voc.finds, voc.splits, voc.read, voc.LAYOUT, "VOC annotations", Task.DETECT, _MAIN),
    "coco": Reader(coco.finds, coco.splits, coco.read, coco.LAYOUT, "COCO annotations", Task.DETECT, _MAIN),
    "yolo": Reader(yolo.finds, yolo.splits, yolo.read, yolo.LAYOUT, "YOLO labels", Task.DETECT, _MAIN),
    "masks": Reader(masks.finds, masks.splits, masks.read, masks.LAYOUT, "segmentation masks", Task.SEGMENT),
    "folders": Reader(
        folders.finds, folders.splits, folders.read, folders.LAYOUT, "class folders", Task.CLASSIFY
    ),
    "idx": Reader(idx.finds, idx.splits, idx.read, idx.LAYOUT, "IDX files", Task.CLASSIFY),
}


def open_data(
    path: str | Path,
    split: str = "train",
    *,
    format: str | None = None,
    strict: bool = False,
    task: Task = Task.DETECT,
    main: str = LARGEST,
    ignore_label: int | None = None,
) -> Dataset:
    """One split of the data at `path`, a folder or file in a known format, or `scenes[:level]` (generated),
    with the truth that `task` needs.

    `valid` and `validation` mean `val`; `trainval` is `train` followed by `val` where it is not given itself.
    Nothing is ever written to the data. Where LOCALIZE or CLASSIFY read boxes, `main` says which object of a
    picture is meant (see `MainObject`). `ignore_label` is a number in masks that means ignored, besides 255.

    Raises DataError when the path, the format or the split cannot be found, when the format serves other
    tasks, and when more is lost than the policy of `Report.judge` allows; `strict` allows nothing to be lost.
    UsageError for a `main` or an `ignore_label` that the data have no use for.
    """
    if isinstance(path, str) and path.partition(":")[0] == "scenes":
        from neocog.data.scenes import open_scenes

        _check_use(path, False, main, False, ignore_label)
        return open_scenes(path, split_name(split), task=task)
    root = Path(path)
    name = find_format(root, format, task)
    reader = READERS[name]
    _check_use(path, task in reader.views, main, reader.task is Task.SEGMENT, ignore_label)
    data = read_split(root, name, split, ignore_label)
    data.report.judge(strict)
    return MainObject(data, task, main) if task in reader.views else data


def _check_use(path: str | Path, viewed: bool, main: str, masked: bool, ignored: int | None) -> None:
    """Raise UsageError for what would be given in vain."""
    if main != LARGEST and not viewed:
        raise UsageError(
            f"{printable(path)}: main '{printable(main)}' chooses among boxes, and none are read"
        )
    if ignored is not None and not masked:
        raise UsageError(f"{printable(path)}: ignore_label {ignored} is a number in masks, and none are read")


def read_split(root: Path, format: str, split: str, ignore_label: int | None = None) -> Recorded:
    """One split, not yet judged. Raises DataError for an unknown split."""
    reader, name = READERS[format], split_name(split)
    read = reader.read
    if ignore_label is not None and format == "masks":
        read = partial(masks.read, ignore_label=ignore_label)
    with data_errors(root):
        available = reader.splits(root)
        if name in available:
            return read(root, name)
        if name == "trainval" and {"train", "val"} <= set(available):
            return _joined(read(root, "train"), read(root, "val"))
    raise DataError(f"{printable(root)}: no split '{printable(split)}' (there are: {', '.join(available)})")


def splits_of(path: str | Path, format: str | None = None, task: Task | None = None) -> tuple[str, ...]:
    """The splits that `open_data` can open. Raises DataError as it does."""
    if isinstance(path, str) and path.partition(":")[0] == "scenes":
        return ("train", "val", "test")
    root = Path(path)
    with data_errors(root):
        return READERS[find_format(root, format, task)].splits(root)


def covers(opened: Mapping[str, Recorded], trainval: Recorded) -> bool:
    """Whether a `trainval` is nothing but the train and val that were opened too."""
    if not {"train", "val"} <= set(opened):
        return False
    parts = [opened["train"], opened["val"]]
    known = {data.identity(index) for data in parts for index in range(len(data))}
    seen = sum(data.report.files_seen for data in parts)
    return trainval.report.files_seen <= seen and all(
        trainval.identity(index) in known for index in range(len(trainval))
    )


def find_format(root: Path, format: str | None = None, task: Task | None = None) -> str:
    """The name of the format that serves a task, by looking; without a task, of the first that any does.

    Raises DataError, naming the layouts that are known; UsageError for a format asked for that is none, or
    that serves other tasks.
    """
    serving = {name: reader for name, reader in READERS.items() if task is None or task in reader.tasks}
    if not serving:
        raise DataError(f"{printable(root)}: no files serve the task '{task}' (give scenes)")
    if format is not None and format not in serving:
        known = f"known: {', '.join(serving)}"
        if format not in READERS:
            raise UsageError(f"format '{printable(format)}' is not known ({known})")
        raise UsageError(f"format '{format}' serves {_tasks(READERS[format])}, not {task} ({known})")
    with data_errors(root):
        return _look(root, serving if format is None else {format: READERS[format]}, task)


def other_formats(root: Path, format: str) -> list[str]:
    """The formats that a folder holds besides this one: VOC's has boxes and masks."""
    with data_errors(root):
        return [name for name, reader in READERS.items() if name != format and _finds(reader, root, False)]


def _tasks(reader: Reader) -> str:
    return ", ".join(reader.tasks)


def _look(root: Path, serving: Mapping[str, Reader], task: Task | None) -> str:
    known = "; ".join(reader.layout for reader in serving.values())
    if not root.exists():
        raise DataError(f"{printable(root)}: no such file or folder")
    if root.is_file() and root.suffix.lower() in ARCHIVES:
        raise DataError(f"{printable(root)}: an archive (unpack it and give the folder)")
    if root.is_dir() and not children(root):
        raise DataError(f"{printable(root)}: empty folder (known layouts: {known})")
    found = [name for name, reader in serving.items() if reader.finds(root)]
    if task is None and found:
        # VOC's folder has masks, too: without a task boxes come first, as they have always done.
        found = [name for name in found if READERS[name].task is READERS[found[0]].task]
    if len(found) == 1:
        return found[0]
    if found:
        raise DataError(f"{printable(root)}: more than one format found (say which: {', '.join(found)})")
    below = [
        name for name in children(root) if any(_finds(reader, root / name) for reader in serving.values())
    ]
    hint = f"did you mean {printable(root / below[0])}? " if below else ""
    other = next((reader for reader in READERS.values() if _finds(reader, root, False)), None)
    if other is not None and task is not None and task not in other.tasks:
        is_what = f"{other.what}, which serve {_tasks(other)}"
        raise DataError(f"{printable(root)}: {is_what}; {hint}for {task} give one of: {known}")
    raise DataError(f"{printable(root)}: no known layout found ({hint}known layouts: {known})")


def _finds(reader: Reader, path: Path, faulty: bool = True) -> bool:
    """Whether a folder is of a format; `faulty` where it cannot be told for its faults."""
    try:
        return reader.finds(path)
    except DataError:
        return faulty


def _joined(first: Recorded, second: Recorded) -> Recorded:
    """Two splits of one data set as `trainval`."""
    if first.classes != second.classes:
        raise DataError(f"{printable(first.root)}: train and val have different classes (make them one list)")
    return first.joined(second, "trainval")
