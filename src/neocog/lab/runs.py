"""The runs that the lab was started with, under names that only this process knows."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neocog.errors import NeocogError, UsageError
from neocog.lab.guard import Refusal
from neocog.lab.work import Worker
from neocog.predict import Predictor, load
from neocog.run_folder import DESCRIPTION as RUN_FILE
from neocog.types import Task

MOST_LINES = 2000
"""Of a log that are given at a time."""


@dataclass
class Run:
    """A trained model, loaded when it is first asked, and what its training left."""

    name: str
    model: str
    task: str
    classes: tuple[str, ...]
    make: Callable[[], Predictor]
    folder: Path | None = None  # None: it is trained here, and leaves nothing
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    worker: Worker = field(default_factory=Worker)
    _predictor: Predictor | None = None

    @property
    def predictor(self) -> Predictor:
        """To be asked in the run's worker only. Raises Refusal (409) while there is no model to load."""
        if self._predictor is None:
            try:
                self._predictor = self.make()
            except NeocogError as error:
                raise Refusal(409, str(error).replace(str(self.folder), self.name)) from error
        return self._predictor

    def lines(self, name: str, after: int = 0) -> tuple[int, list[dict[str, Any]]]:
        """The whole lines of one of its logs from line `after` on, and the number of the next.

        A run may be writing them. Of a log that became shorter (a run that was taken up again cuts it) all.
        """
        path = self.path(name)
        if path is None:
            return 0, []
        whole = path.read_text(encoding="utf-8").split("\n")[:-1]
        return len(whole), [json.loads(line) for line in whole[after if after <= len(whole) else 0 :]]

    def document(self, name: str) -> dict[str, Any] | None:
        """One of its JSON files, if it is there."""
        path = self.path(name)
        if path is None:
            return None
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found

    def path(self, name: str) -> Path | None:
        """One of its files by a name of ours, if it is there."""
        path = None if self.folder is None else self.folder / name
        return path if path is not None and path.is_file() else None

    def samples(self) -> list[Path]:
        """Its pictures of truth beside prediction, in order."""
        return [] if self.folder is None else sorted((self.folder / "samples").glob("*.png"))


def run_in(folder: Path, name: str) -> Run:
    """The run of a folder. Raises UsageError for a description that cannot be read."""
    try:
        found = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
        model, task = str(found["options"]["model"]), str(found["task"])
        classes = tuple(map(str, found["classes"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{folder / RUN_FILE}: cannot be read, or damaged") from error
    # Looking inside needs gradients in float32.
    return Run(name, model, task, classes, lambda: load(folder, precision="f32"), folder)


class Runs:
    """All of them, by id."""

    def __init__(self, folders: Iterable[Path] = ()) -> None:
        """Of a comparison's folder every run. Raises UsageError for a folder that is neither."""
        self._runs: dict[str, Run] = {}
        self.comparisons: dict[str, dict[str, Any]] = {}
        for folder in folders:
            if (folder / RUN_FILE).is_file():
                self.add(run_in(folder, folder.resolve().name))
            elif (folder / "compare.json").is_file():
                name = folder.resolve().name
                self.comparisons[name] = _comparison(folder / "compare.json")
                for inner in sorted(path.parent for path in folder.glob(f"*/{RUN_FILE}")):
                    self.add(run_in(inner, f"{name}/{inner.name}"))
            else:
                raise UsageError(f"{folder}: neither a run nor a comparison (no {RUN_FILE}, no compare.json)")

    def add(self, run: Run) -> None:
        """One more."""
        self._runs[run.id] = run

    def __iter__(self) -> Iterator[Run]:
        return iter(self._runs.values())

    def __getitem__(self, id: str) -> Run:
        """Raises Refusal (404) for an id that is none of theirs."""
        if id not in self._runs:
            raise Refusal(404, "there is no such run")
        return self._runs[id]


def _comparison(path: Path) -> dict[str, Any]:
    """Raises UsageError where it cannot be read."""
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        Task(found["task"]), list(found["rows"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path}: cannot be read, or damaged") from error
    return found
