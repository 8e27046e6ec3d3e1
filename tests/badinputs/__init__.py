"""Bad inputs as a table: each a way to spoil a good data set, and what every command must then do.

An item is planted into a copy of a good data set (`ground`), and `judge` runs one command over it, in this
process, and holds the command to the promise: the right exit code, one line that names file and record, no
traceback, books that balance, and not a byte of the data set changed. The files beside this one hold the
tables; items of which nothing more is to be known than the table says are planted together in one data set.
"""

from __future__ import annotations

import atexit
import functools
import hashlib
import io
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, NamedTuple

from neocog.cli import main
from neocog.data.files import printable
from neocog.data.open import open_data
from neocog.data.records import Recorded
from neocog.data.scenes import Scenes
from neocog.data.write import FORMATS, write_dataset
from neocog.errors import DataError

Command = Literal["load", "check", "train", "evaluate", "predict"]

SETUP = ["--size", "64", "--workers", "0", "--threads", "1"]
TRAIN = [*SETUP, "--batch", "4", "--steps", "1"]
WHOLE = [*SETUP, "--batch", "16", "--epochs", "1.1"]
"""So much training that every picture is read."""

SIDE = 64
"""Width and height of every good picture."""


class Expected(StrEnum):
    """What must happen, in the words of the catalogue."""

    STOP = "STOP"  # nothing starts: exit code 3, one line
    SKIP_FILE = "SKIP-FILE"  # the file is left out, one line, the rest is used
    DROP_ANN = "DROP-ANN"  # one annotation is left out, one line
    FIX = "FIX"  # one documented normalisation, counted
    OK = "OK"  # simply works; with a pattern, noted in one line


@dataclass
class Ground:
    """A copy of a good data set, to be spoiled."""

    root: Path
    format: str
    _taken: int = 0

    @functools.cached_property
    def pictures(self) -> list[Path]:
        """The good pictures of the training split, sorted."""
        if self.format in ("voc", "masks"):
            lists = "ImageSets/Main" if self.format == "voc" else "ImageSets/Segmentation"
            listed = set((self.root / lists / "train.txt").read_text().split())
            return sorted(path for path in (self.root / "JPEGImages").iterdir() if path.stem in listed)
        if self.format == "folders":
            return sorted((self.root / "train").rglob("*.png"))
        return sorted((self.root / "images/train").iterdir())

    def picture(self) -> Path:
        """A training picture that no item has spoiled yet."""
        self._taken += 1
        return self.pictures[self._taken - 1]

    def annotation(self, picture: Path) -> Path:
        """The file that holds a picture's annotations."""
        if self.format == "voc":
            return self.root / "Annotations" / f"{picture.stem}.xml"
        if self.format == "masks":
            return self.root / "SegmentationClass" / f"{picture.stem}.png"
        if self.format == "yolo":
            return self.root / "labels" / "train" / f"{picture.stem}.txt"
        return self.root / "annotations" / "instances_train.json"

    def place(self, path: Path) -> str:
        """A path as messages name it: relative to the data set's folder."""
        return path.relative_to(self.root).as_posix()


@dataclass(frozen=True)
class BadInput:
    """One way to spoil a data set, and what must follow."""

    id: str  # number in the catalogue and a word: "17-bomb"
    title: str
    make: Callable[[Ground], str]
    """Spoils; returns where the fault is, as the message names it: `file` or `file:record`, relative to the
    data set's folder; empty where a message names the whole data set."""
    expected: Expected
    pattern: str = ""  # regular expression for the message after the place; empty with OK: nothing is said
    format: str = "voc"
    commands: tuple[Command, ...] = ("load", "check", "train", "evaluate")
    count: int = 1  # faults of the expected kind
    decoding: bool = False  # only decoding the pixels shows the fault, so opening does not
    needs: Callable[[], bool] = field(default=lambda: True)  # whether this system can hold such a thing


class Planted(NamedTuple):
    """An item in a data set."""

    item: BadInput
    place: str


class Answer(NamedTuple):
    """What a command said."""

    code: int
    out: str
    err: str


@functools.cache
def _scratch() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="neocog-badinputs-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def base(format: str, train: int = 48) -> Path:
    """A good data set, written once: `train` pictures, 4 to validate, 4 to test. Not to be changed."""
    return _base(format, train)


@functools.cache
def _base(format: str, train: int) -> Path:
    target = _scratch() / f"{format}-{train}"
    counts = (("train", train), ("val", 4), ("test", 4))
    task = FORMATS[format]
    splits = {name: Scenes("std", name, count=n, size=SIDE, task=task) for name, n in counts}
    write_dataset(splits, target, format)
    return target


def ground(folder: Path, format: str = "voc", train: int = 48) -> Ground:
    """A copy of the good data set at `folder`."""
    shutil.copytree(base(format, train), folder)
    return Ground(folder, format)


def plant(spot: Ground, items: Sequence[BadInput]) -> list[Planted]:
    """Spoil a data set with every item."""
    return [Planted(item, item.make(spot)) for item in items]


@functools.cache
def model() -> Path:
    """A run folder: one step on the good data, for what needs any model at all."""
    out = _scratch() / "model"
    answer = drive(["train", "faster-rcnn", "--data", str(base("voc")), "--out", str(out), *TRAIN])
    assert answer.code == 0, answer.err
    return out


def drive(words: Sequence[str]) -> Answer:
    """Run one command line in this process. However it ends: no traceback, and a failure is one line."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(list(words))
    answer = Answer(code, out.getvalue(), err.getvalue())
    assert code != 1 and "Traceback" not in answer.out + answer.err, answer
    if code:
        lines = answer.err.splitlines()
        assert len(lines) == 1 and lines[0].startswith("neocog: "), answer
    return answer


def tree_hash(root: Path) -> str:
    """SHA-256 over names, kinds, sizes, times and content of all that lies below a folder."""
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*"), key=os.fsencode):
        status = path.lstat()
        kind = stat.S_IFMT(status.st_mode)
        digest.update(os.fsencode(path) + f"\0{kind} {status.st_mtime_ns} {status.st_size}\n".encode())
        if kind == stat.S_IFREG and status.st_mode & stat.S_IRUSR:
            digest.update(path.read_bytes())
    return digest.hexdigest()


def judge(planted: Sequence[Planted], command: Command, spot: Ground, out: Path) -> None:
    """Run a command over a spoiled data set and hold it to what the items expect.

    Either one STOP item, or any number of others, is planted. `out` is a folder that does not exist yet.
    """
    before = tree_hash(spot.root)
    stops = [one for one in planted if one.item.expected is Expected.STOP]
    if stops:
        (one,) = planted
        _judge_stop(one, command, spot, out)
    else:
        _judge_rest(planted, command, spot, out)
    assert tree_hash(spot.root) == before, f"{command} changed the data set"


def words_for(
    command: Command, spot: Ground, out: Path, *, strict: bool = False, whole: bool = False
) -> list[str]:
    """The command line of one command over the data set; with `whole`, training reads all of it."""
    data, result, run = str(spot.root), str(out / "result.json"), str(out / "run")
    if command == "check":
        words = ["data", "check", data, "--json", result]
    elif command == "train":
        words = ["train", "faster-rcnn", "--data", data, "--out", run, *(WHOLE if whole else TRAIN)]
    elif command == "evaluate":
        words = ["evaluate", str(model()), "--data", data, "--split", "train", "--json", result]
    else:
        words = ["predict", str(model()), str(spot.pictures[0].parent), "--out", run]
    threads = ["--threads", "1"] if command in ("evaluate", "predict") else []
    return [*words, *threads, *(["--strict"] if strict else [])]


def load(spot: Ground, *, strict: bool = False) -> Recorded:
    """The training split by the Python door."""
    data = open_data(spot.root, strict=strict, task=FORMATS[spot.format])
    assert isinstance(data, Recorded)
    return data


def _judge_stop(one: Planted, command: Command, spot: Ground, out: Path) -> None:
    if command == "load":
        try:
            load(spot)
        except DataError as error:
            message = str(error)
        else:
            raise AssertionError(f"{one.item.id}: loading did not stop")
    else:
        out.mkdir()
        answer = drive(words_for(command, spot, out))
        assert answer.code == 3, (one.item.id, answer)
        message = answer.err.rstrip("\n")
    assert "\n" not in message, (one.item.id, message)
    assert one.place in message and re.search(one.item.pattern, message), (one.item.id, message)


def _judge_rest(planted: Sequence[Planted], command: Command, spot: Ground, out: Path) -> None:
    lossy = [p for p in planted if p.item.expected in (Expected.SKIP_FILE, Expected.DROP_ANN)]
    if command == "load":
        data = load(spot)
        assert data.report.balanced, data.report.to_dict()
        _judge_lines(planted, data.report.lines(10**6), spot, command)
        if any(not one.item.decoding for one in lossy):
            _refuses_strictly(spot)
        return
    out.mkdir()
    whole = any(one.item.decoding for one in planted)
    answer = drive(words_for(command, spot, out, whole=whole))
    assert answer.code == 0, answer
    _judge_lines(planted, [line.strip() for line in answer.out.splitlines()], spot, command)
    _judge_files(planted, command, spot, out)
    for report in _reports(command, out):
        _balanced(report)
    if command == "check":
        _judge_counts(planted, _reports(command, out))
    (out / "strict").mkdir()
    strict = drive(words_for(command, spot, out / "strict", strict=True, whole=whole))
    assert strict.code == (3 if lossy else 0), (strict, [one.item.id for one in lossy])


def _refuses_strictly(spot: Ground) -> None:
    try:
        load(spot, strict=True)
    except DataError as error:
        assert "\n" not in str(error) and "strict reading allows none" in str(error), error
    else:
        raise AssertionError("strict reading did not stop")


def _judge_lines(planted: Sequence[Planted], lines: Sequence[str], spot: Ground, command: Command) -> None:
    """Each item has its one line; what is simply good has none that speaks of a loss."""
    for item, place in planted:
        if item.decoding and command == "load":
            continue
        heads = tuple(f"{printable(head)}: " for head in (place, spot.root / place) if place)
        about = [line for line in dict.fromkeys(lines) if not heads or line.startswith(heads)]
        if item.pattern and (command != "predict" or item.expected is Expected.SKIP_FILE):
            told = [line for line in about if re.search(item.pattern, line)]
            assert len(told) == 1, (item.id, command, item.pattern, about)
        if item.expected in (Expected.OK, Expected.FIX) and command == "predict":
            assert len(about) == 1 and re.search(r": \d+ found$", about[0]), (item.id, about)
        elif item.expected in (Expected.OK, Expected.FIX) and place:
            lost = [line for line in about if "left out" in line or "skipped" in line]
            assert not lost, (item.id, command, lost)


def _judge_files(planted: Sequence[Planted], command: Command, spot: Ground, out: Path) -> None:
    """What a command leaves names the pictures that only decoding shows to be bad, and no others."""
    if command == "predict":
        document = json.loads((out / "run/predictions.json").read_text())
        bad = [one.item for one in planted if one.item.expected is Expected.SKIP_FILE]
        assert len(document["skipped"]) == sum(item.count for item in bad), document["skipped"]
        assert all((out / "run" / one["drawn"]).is_file() for one in document["images"])
        return
    if command == "check":
        return
    path = out / ("run/run.json" if command == "train" else "result.json")
    told = json.loads(path.read_text())["unreadable"]
    wanted = {f"{spot.root / one.place}" for one in planted if one.item.decoding}
    assert {line.partition(": ")[0] for line in told} == wanted and len(told) == len(wanted), told


def _reports(command: Command, out: Path) -> list[dict[str, Any]]:
    """The books that a command leaves, a report a split."""
    if command == "train":
        return [json.loads((out / "run/run.json").read_text())["data"]["report"]]
    if command == "check":
        return list(json.loads((out / "result.json").read_text())["splits"].values())
    return []


def _balanced(report: dict[str, Any]) -> None:
    """seen = used + lost by reason, for files and for annotations."""
    files, annotations = report["files"], report["annotations"]
    assert files["seen"] == files["used"] + sum(files["lost"].values()), files
    lost = sum(annotations["lost"].values())
    assert annotations["seen"] == annotations["used"] + annotations["merged"] + lost, annotations


def _judge_counts(planted: Sequence[Planted], reports: Sequence[dict[str, Any]]) -> None:
    """As many faults of each kind as were planted, and not one more."""
    names = {
        "file left out": Expected.SKIP_FILE,
        "annotation left out": Expected.DROP_ANN,
        "fixed": Expected.FIX,
    }
    for outcome, expected in names.items():
        wanted = sum(one.item.count for one in planted if one.item.expected is expected)
        faults = [fault for report in reports for fault in report["faults"] if fault["outcome"] == outcome]
        assert sum(fault["count"] for fault in faults) == wanted, (outcome, wanted, faults)
