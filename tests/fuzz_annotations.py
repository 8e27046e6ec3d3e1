"""Mutated annotation files by the hundred thousand: each is read, with balanced books, or gives one reason.

    python -m tests.fuzz_annotations --count 100000 --seed 1
    python -m tests.fuzz_annotations --minutes 30 --seed 2 --state fuzz.json    (again: goes on from there)

Cases depend on seed and number alone: a file of a small data set (COCO JSON, VOC XML, list or class names,
YOLO labels, list or data.yaml) is damaged at random or where it hurts, and the data set is opened. More than
five seconds, any other exception than DataError, or a label that is not in its picture is a failure. `--keep
DIR` keeps the files of failures. The exit code is 1 when there is one.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
from tests.fuzz_damage import DAMAGE
from tests.references.datasets import Picture, Thing, many, write_coco, write_voc, write_yolo

from neocog.data.check import check
from neocog.data.files import printable
from neocog.data.open import find_format, read_split, splits_of
from neocog.data.records import ImageDataset
from neocog.errors import DataError

MOST_SECONDS = 5.0
MOST_GROWTH = 256 << 20  # bytes of memory over a whole run
EVERY = 25
"""Each so many cases, the data set also goes through the whole of `data check`."""

ALARMS = (
    (
        (signal.SIGPROF, signal.ITIMER_PROF, MOST_SECONDS),  # of this process: others may be busy, too
        (signal.SIGALRM, signal.ITIMER_REAL, 12 * MOST_SECONDS),  # waiting takes no time of the process
    )
    if hasattr(signal, "setitimer")
    else ()
)


@dataclass(frozen=True)
class Target:
    """A file that is damaged, and the data set it belongs to."""

    root: Path
    place: str
    good: bytes

    @property
    def path(self) -> Path:
        return self.root / self.place


def write_targets(folder: Path) -> list[Target]:
    """Small good data sets, and those of their files that are damaged. Some come twice: they matter more."""
    things = (Thing("cat", (2, 3, 12, 9)), Thing("dog", (1, 1, 6, 6), True), Thing("dog", (8, 2, 19, 10)))
    world = {"train": [*many(5), Picture("busy", 20, 10, things)], "val": many(2, split="v")}
    voc, coco = write_voc(folder / "voc", world), write_coco(folder / "coco", world, ["cat", "dog"])
    (voc / "classes.txt").write_text("cat\ndog\n")
    yolo, listed = write_yolo(folder / "yolo", world, ["cat", "dog"]), folder / "listed"
    write_yolo(listed, world, ["cat", "dog"])
    (listed / "train.txt").write_text("".join(f"./images/train/{p.stem}.png\n" for p in world["train"]))
    (listed / "data.yaml").write_text(
        "path: .\ntrain: train.txt\nval: images/val\nnc: 2\nnames: {0: cat, 1: dog}\n"
    )
    bare = write_voc(folder / "bare", {"train": world["train"]})  # its classes come from the XML files
    whole = folder / "whole"  # one file that is divided
    write_coco(whole, {"train": world["train"]}, ["cat", "dog"])
    (whole / "annotations/instances_train.json").rename(whole / "annotations/all.json")
    files = [
        *[(coco, "annotations/instances_train.json")] * 4,
        (whole, "annotations/all.json"),
        *[(voc, "Annotations/busy.xml")] * 3,
        (bare, "Annotations/busy.xml"),
        (voc, "ImageSets/Main/train.txt"),
        (voc, "classes.txt"),
        *[(yolo, "labels/train/busy.txt")] * 3,
        (yolo, "data.yaml"),
        (listed, "data.yaml"),
        (listed, "train.txt"),
    ]
    return [Target(root, place, (root / place).read_bytes()) for root, place in files]


def case(targets: Sequence[Target], seed: int, number: int) -> tuple[Target, bytes]:
    """What is damaged in a case, and how."""
    draw = np.random.default_rng([seed, number])
    target = targets[int(draw.integers(len(targets)))]
    data = target.good
    for _ in range(int(draw.choice([1, 1, 1, 2, 3]))):
        data = DAMAGE[int(draw.integers(len(DAMAGE)))](draw, data)[: 1 << 20]
    return target, data


# --- judgement ---------------------------------------------------------------------------------------------


def outcome(target: Target, thorough: bool = False) -> str:
    """Why the data set is refused, or "" when it is read; AssertionError for anything not right."""
    refused = ""
    try:
        format = find_format(target.root)
        for split in splits_of(target.root):
            data = read_split(target.root, format, split)
            _judge(data)
            if thorough and len(data):
                _ = data[0]
            refused = refused or data.report.stop_reason() or ""
    except DataError as error:
        text = str(error)
        assert text.startswith(printable(target.root)) and text.isprintable() and len(text) < 3000, text[
            :3000
        ]
        refused = text.removeprefix(printable(target.root))
    if thorough:
        check_all(target.root)
    return refused


def _judge(data: ImageDataset) -> None:
    """Books balance, lines are lines, and every box that is used lies in its picture."""
    report, records = data.report, data.records
    assert report.balanced, report.to_dict()
    for fault in report.faults:
        assert fault.line.isprintable() and len(fault.line) <= 1100, fault.line
    json.dumps(report.to_dict(), allow_nan=False)
    assert len(data.fingerprint) == 64
    boxes, owners = records.boxes, np.repeat(np.arange(len(records)), np.diff(records.offsets))
    limits = records.sizes[owners][:, [1, 0]]
    assert (
        (boxes[:, :2] >= 0).all() and (boxes[:, 2:] <= limits).all() and (boxes[:, 2:] > boxes[:, :2]).all()
    )
    assert ((records.labels >= 0) & (records.labels < len(data.classes))).all()
    assert np.isfinite(records.areas).all() and (records.areas >= 0).all()
    assert all(name.strip() and "\n" not in name for name in data.classes), data.classes


def check_all(root: Path) -> None:
    """The whole of `data check`, as its JSON."""
    try:
        result = check(root)
    except DataError:
        return
    text = json.dumps(result.to_dict(), ensure_ascii=False, allow_nan=False)
    text.encode("utf-8", "backslashreplace")


class Hangs(BaseException):
    """A case takes too long. No Exception and no OSError: readers turn those into reasons."""


def _too_long(signum: int, frame: FrameType | None) -> None:
    raise Hangs(f"more than {MOST_SECONDS:.0f} s")


@dataclass
class Books:
    """What came out of a run, as it is kept in a file."""

    seed: int
    done: int = 0
    used: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    failures: list[dict[str, Any]] = field(default_factory=list)
    slowest: tuple[float, int] = (0.0, -1)
    growth: int = 0


def run(books: Books, stop: int, minutes: float = 1e6, keep: Path | None = None) -> None:
    """Run cases up to `stop`, or for so long. Failures are entered in the books."""
    deadline = time.monotonic() + 60 * minutes
    before = {number: signal.signal(number, _too_long) for number, _, _ in ALARMS}
    memory = 0
    try:
        with tempfile.TemporaryDirectory() as folder:
            targets = write_targets(Path(folder).resolve())
            while books.done < stop and time.monotonic() < deadline:
                _one(books, targets, keep)
                memory = memory or resident()  # after the first case: caches are filled
                books.growth = max(books.growth, resident() - memory)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _one(books: Books, targets: Sequence[Target], keep: Path | None) -> None:
    target, data = case(targets, books.seed, books.done)
    target.path.write_bytes(data)
    began = time.process_time()
    failure = ""
    for _, timer, seconds in ALARMS:
        signal.setitimer(timer, seconds)
    try:
        reason = outcome(target, books.done % EVERY == 0)
    except (Exception, Hangs) as error:  # whatever else gets out is what this program looks for
        failure = f"{type(error).__name__}: {error}"[:500]
    finally:
        for _, timer, _ in ALARMS:
            signal.setitimer(timer, 0)
        target.path.write_bytes(target.good)
    books.slowest = max(books.slowest, (time.process_time() - began, books.done))
    if failure:
        books.failures.append({"case": books.done, "file": target.place, "failure": failure})
        if keep is not None:
            keep.mkdir(parents=True, exist_ok=True)
            (keep / f"{books.seed}-{books.done}-{target.path.name}").write_bytes(data)
    elif reason:
        books.refused[_class_of(reason)] += 1
    else:
        books.used += 1
    books.done += 1


def _class_of(reason: str) -> str:
    """A reason without places and figures."""
    text = re.sub(r"'[^']*'|\d+", "N", reason.partition(": ")[2])
    return text.partition(" (")[0].partition(";")[0][:60]


def resident() -> int:
    """Bytes of memory this process holds, where the system says so."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def main() -> int:
    parser = argparse.ArgumentParser(description="Open data sets with mutated annotations; none may crash.")
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=1e6, help="stop after so long")
    parser.add_argument("--state", type=Path, help="go on from this file, and write it")
    parser.add_argument("--keep", type=Path, help="folder for the files of failures")
    words = parser.parse_args()
    books = Books(words.seed)
    if words.state and words.state.exists():
        stored = json.loads(words.state.read_text())
        if stored["seed"] != words.seed:
            parser.error(f"{words.state} is of seed {stored['seed']}")
        books = Books(**stored | {"refused": Counter(stored["refused"]), "slowest": tuple(stored["slowest"])})
    began = time.monotonic()
    run(books, words.count, words.minutes, words.keep)
    if words.state:
        words.state.write_text(json.dumps(vars(books), indent=1) + "\n")
    print(
        f"{books.done} of {words.count} cases of seed {words.seed} ({time.monotonic() - began:.0f} s): "
        f"{books.used} used, {books.refused.total()} refused, {len(books.failures)} failures; slowest "
        f"{books.slowest[0]:.2f} s (case {books.slowest[1]}), memory +{books.growth / 2**20:.0f} MiB"
    )
    for reason, count in books.refused.most_common(20):
        print(f"  {count:6d}  {reason}")
    for failure in books.failures:
        print(f"  FAILED  case {failure['case']}, {failure['file']}: {failure['failure']}")
    if books.growth > MOST_GROWTH:
        print(f"  FAILED  memory grew by more than {MOST_GROWTH >> 20} MiB")
    return 1 if books.failures or books.growth > MOST_GROWTH else 0


if __name__ == "__main__":
    sys.exit(main())
