"""The runs that the lab was started with, under names that only this process knows."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from neocog.errors import UsageError
from neocog.lab.guard import Refusal
from neocog.lab.work import Worker
from neocog.predict import Predictor, load
from neocog.run_folder import DESCRIPTION as RUN_FILE


@dataclass
class Run:
    """A run folder, whose model is loaded when it is first asked."""

    folder: Path
    name: str
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    worker: Worker = field(default_factory=Worker)

    @cached_property
    def predictor(self) -> Predictor:
        """Raises CheckpointError while there is no checkpoint."""
        return load(self.folder, precision="f32")  # looking inside needs gradients in float32

    @cached_property
    def record(self) -> dict[str, Any]:
        """What `run.json` says."""
        found: dict[str, Any] = json.loads((self.folder / RUN_FILE).read_text(encoding="utf-8"))
        return found

    def lines(self, name: str, after: int = -1) -> list[dict[str, Any]]:
        """The whole lines of one of its logs whose step is larger than `after`; a run may be writing them."""
        path = self.folder / name
        if not path.is_file():
            return []
        whole = path.read_text(encoding="utf-8").split("\n")[:-1]
        read = (json.loads(line) for line in whole if line)
        return [line for line in read if line.get("step", 0) > after]

    def document(self, name: str) -> dict[str, Any] | None:
        """One of its JSON files, if it is there."""
        path = self.folder / name
        if not path.is_file():
            return None
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found


class Runs:
    """All of them, by id."""

    def __init__(self, folders: Iterable[Path] = ()) -> None:
        """Of a comparison's folder every run. Raises UsageError for a folder that is neither."""
        self._runs: dict[str, Run] = {}
        self.comparisons: dict[str, dict[str, Any]] = {}
        for folder in folders:
            if (folder / RUN_FILE).is_file():
                self._add(Run(folder, folder.name))
            elif (folder / "compare.json").is_file():
                self.comparisons[folder.name] = json.loads(
                    (folder / "compare.json").read_text(encoding="utf-8")
                )
                for inner in sorted(path.parent for path in folder.glob(f"*/{RUN_FILE}")):
                    self._add(Run(inner, f"{folder.name}/{inner.name}"))
            else:
                raise UsageError(f"{folder}: neither a run nor a comparison (no {RUN_FILE}, no compare.json)")

    def _add(self, run: Run) -> None:
        self._runs[run.id] = run

    def __iter__(self) -> Any:
        return iter(self._runs.values())

    def __getitem__(self, id: str) -> Run:
        """Raises Refusal (404) for an id that is none of theirs."""
        if id not in self._runs:
            raise Refusal(404, "there is no such run")
        return self._runs[id]
