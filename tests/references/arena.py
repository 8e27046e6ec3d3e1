"""Trainings in forked children, so that they can be ended in a chosen phase, and what they leave compared.

torch is loaded once, by the process that forks; that process never trains. A child writes its phase and step
to memory that outlives it, and rings when it first reaches what was aimed at.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import neocog.run
import neocog.run_folder
from neocog.cli import main
from neocog.data.open import open_data
from neocog.data.scenes import Scenes
from neocog.data.write import write_dataset
from neocog.files import read_link
from neocog.predict import load
from neocog.types import Task
from neocog.zoo import MODELS

STEPS = 20
PHASES = ("opening", "loading", "step", "validation", "saving", "between")
"""Opening data and network or restoring; waiting for a batch; the step; and the rest of a run."""

COUNTS = {"train": 12, "val": 2}
FORMATS = {Task.CLASSIFY: "folders", Task.SEGMENT: "masks"}
"""How the pictures of a task are written; the others take boxes, or pictures that are generated."""

BATCHES = {Task.RECONSTRUCT: 20}
"""Pictures a step, if not two: whole sequences."""

PATIENCE = 120.0
"""Seconds after which a child counts as hung."""


@dataclass(frozen=True, slots=True)
class Aim:
    """The first time that a phase is entered after this many steps."""

    phase: str
    step: int


class Board:
    """What a child says of itself, in memory shared with its parent."""

    def __init__(self) -> None:
        memory = memoryview(mmap.mmap(-1, 4096))
        self._cells = memory[:64].cast("q")  # phase, step, temporaries found, released
        self._seconds, self._counts = memory[64:256].cast("d"), memory[256:512].cast("q")
        self.clear()

    def clear(self) -> None:
        self._cells[0] = self._cells[1] = self._cells[2] = self._cells[3] = 0

    @property
    def phase(self) -> str:
        return PHASES[self._cells[0]]

    @phase.setter
    def phase(self, phase: str) -> None:
        self._cells[0] = PHASES.index(phase)

    @property
    def step(self) -> int:
        """Steps that are done."""
        return self._cells[1]

    @step.setter
    def step(self, step: int) -> None:
        self._cells[1] = step

    @property
    def temporaries(self) -> int:
        """Temporary names in the run's folder before a checkpoint was saved; there should be none."""
        return self._cells[2]

    @temporaries.setter
    def temporaries(self, count: int) -> None:
        self._cells[2] = count

    @property
    def released(self) -> bool:
        """Whether a child that was held may go on."""
        return bool(self._cells[3])

    def release(self) -> None:
        self._cells[3] = 1

    def spent(self, phase: str, seconds: float) -> None:
        place = PHASES.index(phase)
        self._seconds[place] += seconds
        self._counts[place] += 1

    def length(self, phase: str) -> float:
        """Mean seconds of a phase."""
        place = PHASES.index(phase)
        return self._seconds[place] / max(self._counts[place], 1)


class Watch:
    """Replaces the parts of a run, inside a child, by the same parts that say which phase they are."""

    def __init__(
        self, board: Board, aim: Aim | None, bell: int, arm: str | None, slow: bool, hold: bool
    ) -> None:
        self.board, self.aim, self.bell = board, aim, bell
        self.arm, self.slow, self.hold = arm, slow, hold
        self.entered = time.perf_counter()
        board.clear()

    def enter(self, phase: str) -> None:
        now = time.perf_counter()
        self.board.spent(self.board.phase, now - self.entered)
        self.board.phase, self.entered = phase, now
        if self.aim is not None and phase == self.aim.phase and self.board.step >= self.aim.step:
            self.aim = None
            os.write(self.bell, b"!")
            while self.hold and not self.board.released:
                time.sleep(0.005)

    def install(self) -> None:
        fit, save = neocog.run.fit, neocog.run_folder.save_checkpoint
        neocog.run.fit = lambda training, batches: self.fit(fit, training, batches)
        neocog.run_folder.save_checkpoint = lambda *given, **named: self.save(save, *given, **named)
        neocog.run.evaluate = self.during("validation", neocog.run.evaluate)
        for name in ("save_model", "save_samples", "write_atomic"):
            setattr(neocog.run_folder, name, self.during("saving", getattr(neocog.run_folder, name)))
        neocog.run.run_report = self.during("saving", neocog.run.run_report)
        neocog.run.create = self.during("opening", neocog.run.create)
        if not self.hold:
            self.enter("opening")

    def during(self, phase: str, part: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*given: Any, **named: Any) -> Any:
            before = self.board.phase
            self.enter(phase)
            result = part(*given, **named)
            self.enter(before)
            return result

        return watched

    def fit(self, real: Callable[..., Iterator[Any]], training: Any, batches: Any) -> Iterator[Any]:
        self.board.step = training.step

        def watched() -> Iterator[Any]:
            self.enter("loading")
            for batch in batches:
                self.enter("step")
                yield batch
                self.enter("loading")

        for step in real(training, watched()):
            self.board.step = step.number
            self.enter("between")
            yield step

    def save(self, real: Callable[..., Any], run: Path, *given: Any, **named: Any) -> Any:
        self.board.temporaries = max(self.board.temporaries, len(list(run.rglob("*.tmp"))))
        self.enter("saving")
        if self.slow:
            time.sleep(10)
        if self.arm and read_link(run / "last"):
            os.environ["NEOCOG_FAIL_AT"] = self.arm
        result = real(run, *given, **named)
        os.environ.pop("NEOCOG_FAIL_AT", None)
        self.enter("between")
        return result


class Child:
    """A forked process that runs one command line in a process group of its own."""

    def __init__(self, words: Sequence[str], watch: Callable[[int], Watch], log: Path) -> None:
        self.log, self.status = log, None
        self._ear, bell = os.pipe()
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            _run(words, watch(bell), log)
        os.close(bell)

    status: int | None

    def rang(self) -> bool:
        """Wait until the child reaches what was aimed at; False if it ended before."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if select.select([self._ear], [], [], 0.05)[0]:
                return os.read(self._ear, 1) == b"!"
            if self.ended():
                return False
        raise TimeoutError(f"hung for {PATIENCE:.0f} s: {self.log.read_text()}")

    def ended(self) -> bool:
        if self.status is None:
            done, status = os.waitpid(self.pid, os.WNOHANG)
            self.status = os.waitstatus_to_exitcode(status) if done else None
        return self.status is not None

    def wait(self) -> int:
        """The exit status; negative: the signal that killed it."""
        deadline = time.monotonic() + PATIENCE
        while not self.ended():
            if time.monotonic() > deadline:
                self.kill()
                raise TimeoutError(f"hung for {PATIENCE:.0f} s: {self.log.read_text()}")
            time.sleep(0.002)
        assert self.status is not None
        return self.status

    def kill(self) -> None:
        """SIGKILL, to this process and not to its loader processes."""
        os.kill(self.pid, signal.SIGKILL)

    def send(self, number: signal.Signals) -> None:
        """A signal to the whole group, as a terminal sends it."""
        os.killpg(self.pid, number)

    def survivors(self) -> list[int]:
        """Processes of the group that are still there ten seconds after its end."""
        os.close(self._ear)
        deadline = time.monotonic() + 10
        while (found := group(self.pid)) and time.monotonic() < deadline:
            time.sleep(0.01)
        return found


def _run(words: Sequence[str], watch: Watch, log: Path) -> None:
    """What a child does; it never returns."""
    code = 1
    try:
        os.setsid()
        target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(target, 1)
        os.dup2(target, 2)
        watch.install()
        code = main(words)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def group(number: int) -> list[int]:
    """Living processes of a process group, as /proc tells."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == number and fields[0] not in "ZX":
                found.append(int(entry.name))
    return found


class Arena:
    """A small data set and the run that nothing disturbed, in a folder where both stay for the next time."""

    def __init__(self, folder: Path, model: Sequence[str] = ("faster-rcnn",)) -> None:
        """`model`: its name, and options of `neocog train`."""
        torch.set_num_threads(1)
        self.model, self.folder, self.board = list(model), folder, Board()
        self.task = MODELS[self.model[0]].task
        self.data = self._data()
        self.whole = self.folder / "whole"
        if not (self.whole / "report.html").exists():
            child = self.start(self.whole)
            assert child.wait() == 0, child.log.read_text()
            assert not child.survivors()
        self.expected = fingerprint(self.whole)
        self._load_what_children_need()

    def _data(self) -> str:
        """Pictures with the truth that the model's task needs."""
        if self.task is Task.RECONSTRUCT:
            return "scenes:solids"
        format = FORMATS.get(self.task, "voc")
        written = self.folder / f"data-{format}"
        if not written.exists():
            drawn = self.task if self.task in FORMATS else Task.DETECT
            splits = {name: Scenes("std", name, count, task=drawn) for name, count in COUNTS.items()}
            write_dataset(splits, self.folder / "unfinished", format)
            (self.folder / "unfinished").rename(written)
        return str(written)

    def _load_what_children_need(self) -> None:
        """Modules and compiled kernels, once instead of in every child; nothing that starts a thread."""
        torch.optim.AdamW([torch.zeros(1)])
        neocog.run.evaluate(load(self.whole), open_data(self.data, "val", task=self.task))

    def start(
        self,
        out: Path,
        aim: Aim | None = None,
        *,
        workers: int = 1,
        arm: str | None = None,
        slow: bool = False,
        hold: bool = False,
    ) -> Child:
        """Start or resume a training.

        `arm`: the fail point that ends a save; `slow`: saves take 10 s; `hold`: where it was aimed at it
        waits until the board releases it.
        """
        words = ["train", *self.model, "--data", self.data, "--out", str(out), "--size", "64"]
        words += [
            "--batch",
            str(BATCHES.get(self.task, 2)),
            "--steps",
            str(STEPS),
            "--seed",
            "7",
            "--threads",
            "1",
            "--save-steps",
            "3",
        ]
        words += ["--workers", str(workers), *(["--resume"] if out.exists() else [])]
        log = self.folder / f"{out.name}.log"
        return Child(words, lambda bell: Watch(self.board, aim, bell, arm, slow, hold), log)

    def differences(self, run: Path) -> list[str]:
        """Files whose bits are not those of the undisturbed run."""
        actual = fingerprint(run)
        names = sorted(self.expected.keys() | actual.keys())
        return [name for name in names if self.expected.get(name) != actual.get(name)]


def fingerprint(run: Path) -> dict[str, str]:
    """Digests of all that must be the same bits: both checkpoints, the model given away, the log of metrics.

    Only what the wall clock decides is left out.
    """
    contents: dict[str, bytes] = {}
    for which in ("last", "best"):
        if not (run / which).exists():
            continue  # nothing was chosen
        for path in sorted((run / which).glob("*.safetensors")):
            contents[f"{which}/{path.name}"] = path.read_bytes()
        document = json.loads((run / which / "state.json").read_bytes())
        del document["state"]["elapsed"]
        contents[f"{which}/state.json"] = json.dumps(document).encode()
    for name in ("model/model.safetensors", "model/config.json", "model/README.md", "metrics.jsonl"):
        contents[name] = (run / name).read_bytes()
    evaluation = json.loads((run / "evaluation.json").read_bytes())
    del evaluation["ms_per_image"]
    contents["evaluation.json"] = json.dumps(evaluation).encode()
    return {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
