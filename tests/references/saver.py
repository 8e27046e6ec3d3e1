"""A process that forks children which save checkpoints, so that a test can kill them. torch is loaded once.

Commands on standard input: `once POINT RUN` saves step 2 as best in a child that dies at POINT and prints its
exit status; `model POINT FOLDER` replaces a model likewise; `loop RUN` prints the process id of a
child that saves for ever; `wait` prints how that child ended.
"""

from __future__ import annotations

import mmap
import os
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from neocog import checkpoint as checkpoint_module
from neocog import files, weights
from neocog.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from neocog.weights import load_model, save_model

SAVE_POINTS = [
    "before-weights.safetensors",
    "before-ema.safetensors",
    "before-state.json",
    "before-MANIFEST.json",
    "before-open",
    "half-written",
    "before-fsync",
    "after-fsync",
    "before-folder-fsync",
    "before-rename",
    "after-rename",
    "before-link",
    "between-best-and-last",
    "before-removal",
    "half-removed",
]
"""Where a save can be made to die."""


def told_points() -> memoryview:
    """Make every save from now on, in forked children too, leave here its last point, counted from 1."""
    cell = memoryview(mmap.mmap(-1, 4096)).cast("q")

    def tell(point: str) -> None:
        cell[0] = SAVE_POINTS.index(point) + 1

    for module in (files, weights, checkpoint_module):
        module.reached = tell  # type: ignore[attr-defined]
    return cell


def whole(found: Checkpoint | None) -> int:
    """The step of a checkpoint of `save`, whose every number must be its step."""
    assert found is not None
    assert found.state == {"step": found.step}
    for named in found.tensors.values():
        for value in named.values():
            assert torch.equal(value, torch.full_like(value, float(found.step)))
    return found.step


def save(run: Path, step: int, *, best: bool) -> None:
    """A small checkpoint whose every number is its step."""
    value = torch.full((64, 3), float(step))
    tensors = {"weights": {"a.weight": value, "a.bias": value[0]}, "ema": {"a.weight": value}}
    save_checkpoint(run, step, tensors, {"step": step}, best=best)


def save_second(run: Path) -> None:
    save(run, 2, best=True)


def save_for_ever(run: Path) -> None:
    checkpoint = load_checkpoint(run)
    step = checkpoint.step if checkpoint else 0
    while True:
        step += 1
        save(run, step, best=step % 3 == 0)


def save_next_model(folder: Path) -> None:
    """A model whose every number is one more than that of the model that is there."""
    value = load_model(folder)[0]["value"] + 1
    save_model(folder, {"value": value}, {"w": torch.full((8,), float(value))}, str(value))


def forked(task: Callable[[Path], None], place: Path, point: str = "") -> int:
    """Process id of a child that runs one task and dies at `point`, if it gets there."""
    child = os.fork()
    if child == 0:
        os.environ["NEOCOG_FAIL_AT"] = point
        task(place)
        os._exit(0)
    return child


def ended(child: int) -> int:
    """Exit status of a child; negative: the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> None:
    looping = 0
    for line in sys.stdin:
        command, *words = line.rstrip("\n").split("\t")
        if command == "once":
            answer = ended(forked(save_second, Path(words[1]), words[0]))
        elif command == "model":
            answer = ended(forked(save_next_model, Path(words[1]), words[0]))
        elif command == "loop":
            answer = looping = forked(save_for_ever, Path(words[0]))
        else:
            answer = ended(looping)
        print(answer, flush=True)


if __name__ == "__main__":
    main()
