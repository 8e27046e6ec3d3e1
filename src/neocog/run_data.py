"""The data that a run learnt from, as its `run.json` names it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from neocog.errors import CheckpointError


@dataclass(frozen=True)
class RunData:
    """What `open_data` is given."""

    data: str
    val_split: str | None
    ignore_label: int | None
    main: str

    @property
    def unseen_splits(self) -> tuple[str, ...]:
        """Where to look for pictures that the model did not learn from, the likeliest first."""
        return ("test", "val") if self.val_split is None else (self.val_split, "test")


def read_run_data(run: Path) -> RunData | None:
    """The data of a run; None for a folder without `run.json`. Raises CheckpointError for a damaged one."""
    description = run / "run.json"
    if not description.exists():
        return None
    try:
        options = json.loads(description.read_bytes())["options"]
        return RunData(
            str(options["data"]),
            options.get("val_split"),
            options.get("ignore_label"),
            options.get("main") or "largest",
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{description}: cannot be read, or damaged; give --data PATH") from error
