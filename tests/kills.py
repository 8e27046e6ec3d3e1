"""Kills and signals at chosen moments of real trainings, and what they change: nothing.

    python -m tests.kills training --minutes 10      of 200 SIGKILLs, in every phase of a training
    python -m tests.kills saving --minutes 10        of 1,000 SIGKILLs while checkpoints are saved
    python -m tests.kills points                     death at each fail point of the writer
    python -m tests.kills signals                    SIGTERM, SIGHUP, Ctrl-C once and twice

Each keeps its results as JSON lines in --folder, goes on from what is there, prints the number run, the
failures and the phases, and ends with exit code 1 if anything failed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: what was forked must not wait for its threads

from tests.references.arena import PHASES, STEPS, Aim, Arena, Child
from tests.references.saver import SAVE_POINTS, forked, save, save_for_ever, told_points, whole

from neocog.checkpoint import load_checkpoint, sweep

Record = dict[str, Any]
KILLS_A_RUN = 5
POINTS = ["before-optimizer.safetensors", *SAVE_POINTS]


def end(child: Child, arena: Arena) -> tuple[int, list[str]]:
    """The exit status of a child, and what is wrong with what it left running or lying about."""
    status = child.wait()
    problems = [f"process {pid} outlived its parent" for pid in child.survivors()]
    if arena.board.temporaries:
        problems.append(f"{arena.board.temporaries} temporaries were not swept at the start")
    return status, problems


def complete(arena: Arena, out: Path, workers: int) -> list[str]:
    """Resume a run to its end; what differs from the run that nothing disturbed."""
    child = arena.start(out, workers=workers)
    status, problems = end(child, arena)
    if status != 0:
        return [*problems, f"exit {status} at the end: {child.log.read_text()[-300:]}"]
    problems += [f"{path.name} was left" for path in out.rglob("*.tmp")]
    return problems + [f"{name} differs" for name in arena.differences(out)]


def broken_checkpoints(out: Path) -> list[str]:
    """`last` and `best`, where they exist, must be whole."""
    problems = []
    for which in ("last", "best"):
        try:
            load_checkpoint(out, which)
        except Exception as error:
            problems.append(f"{which}: {error}")
    return problems


def killed_run(arena: Arena, seen: Counter[str], count: int, draw: random.Random) -> Record:
    """One training killed a few times, resumed with another number of loader processes each time."""
    out = arena.folder / "killed"
    shutil.rmtree(out, ignore_errors=True)
    kills: list[Record] = []
    problems: list[str] = []
    step = 0
    while len(kills) < count and step < STEPS - 1:
        phase = min(PHASES, key=lambda name: (seen[name], draw.random()))
        aim = Aim(phase, 0 if phase == "opening" else draw.randint(step, min(step + 6, STEPS - 1)))
        workers = draw.randint(0, 2)
        child = arena.start(out, aim, workers=workers)
        if child.rang():
            time.sleep(draw.uniform(0, arena.board.length(phase)))
            child.kill()
        status, found = end(child, arena)
        problems += found
        if status != -signal.SIGKILL:
            if status != 0:
                problems.append(f"exit {status}: {child.log.read_text()[-300:]}")
            break
        died, step = arena.board.phase, arena.board.step
        seen[died] += 1
        kills.append({"phase": died, "step": step, "workers": workers})
        problems += broken_checkpoints(out)
    return {"kills": kills, "problems": problems + complete(arena, out, draw.randint(0, 2))}


def training(arena: Arena, log: Path, of: int, seed: int) -> Iterator[Record]:
    """Kills in every phase, the rarest phase so far first."""
    done = read(log)
    seen = Counter(kill["phase"] for record in done for kill in record["kills"])
    for number in range(len(done), 10**9):
        left = of - sum(seen.values())
        if left <= 0:
            return
        draw = random.Random(f"{seed} {number}")
        yield killed_run(arena, seen, min(left, draw.randint(3, KILLS_A_RUN)), draw)


def points(arena: Arena, names: Iterable[str]) -> Record:
    """One training that dies at each of these fail points in turn, always with an older checkpoint there."""
    out = arena.folder / "points"
    shutil.rmtree(out, ignore_errors=True)
    kills: list[Record] = []
    problems: list[str] = []
    for name in names:
        child = arena.start(out, arm=name)
        status, found = end(child, arena)
        problems += [f"{name}: {problem}" for problem in found + broken_checkpoints(out)]
        if status != -signal.SIGKILL:
            problems.append(f"{name}: exit {status}: {child.log.read_text()[-300:]}")
            break
        kills.append({"phase": name, "step": arena.board.step, "workers": 1})
    return {"kills": kills, "problems": problems + complete(arena, out, 1)}


def saved_step(out: Path) -> int:
    return int(json.loads((out / "last" / "state.json").read_bytes())["step"])


def signals(arena: Arena) -> Iterator[Record]:
    """One training told to end six times, by signals to its whole process group, and completed."""
    out = arena.folder / "signalled"
    shutil.rmtree(out, ignore_errors=True)
    orders = [
        (signal.SIGTERM, Aim("step", 2), 2),
        (signal.SIGINT, Aim("validation", 4), 1),
        (signal.SIGHUP, Aim("between", 9), 0),
        (signal.SIGTERM, Aim("opening", 0), 1),
        (signal.SIGINT, Aim("saving", 12), 2),
    ]
    for number, aim, workers in orders:
        child = arena.start(out, aim, workers=workers, hold=True)
        assert child.rang(), child.log.read_text()
        reached = arena.board.step
        child.send(number)
        arena.board.release()
        status, problems = end(child, arena)
        yield {
            "signal": number.name,
            "phase": aim.phase,
            "step": reached,
            "status": status,
            "said": said(child),
            "saved": saved_step(out),
            "problems": problems,
        }
    child = arena.start(out, Aim("step", 0), workers=2, slow=True, hold=True)
    assert child.rang(), child.log.read_text()
    child.send(signal.SIGINT)
    arena.board.release()
    time.sleep(0.6)
    again = time.monotonic()
    child.send(signal.SIGINT)
    status, problems = end(child, arena)
    yield {
        "signal": "SIGINT twice",
        "phase": "step",
        "status": status,
        "said": said(child),
        "seconds": time.monotonic() - again,
        "problems": problems,
    }
    yield {"signal": None, "problems": complete(arena, out, 1)}


def said(child: Child) -> list[str]:
    """What the program said of its end; tracebacks too."""
    lines = child.log.read_text().splitlines()
    return [line for line in lines if line.startswith(("neocog:", "Traceback"))]


def saving(folder: Path, log: Path, of: int, seed: int) -> Iterator[Record]:
    """Kills of a child that saves for ever; each goes on from what the last one left."""
    run = folder / "run"
    began = time.perf_counter()
    save(run, 1, best=True)
    length = min(time.perf_counter() - began, 0.1)
    done, cell = read(log), told_points()
    for number in range(len(done), of):
        draw, problems = random.Random(f"{seed} {number}"), []
        before = whole(load_checkpoint(run))
        cell[0] = 0
        child = forked(save_for_ever, run)
        while cell[0] == 0:
            time.sleep(0.001)
        time.sleep(draw.uniform(0, 3 * length))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        phase = SAVE_POINTS[cell[0] - 1]
        try:
            if whole(load_checkpoint(run)) < before:
                problems.append("`last` went back")
            whole(load_checkpoint(run, "best"))
            sweep(run)
            problems += [f"{path.name} was left" for path in run.rglob("*.tmp")]
        except Exception as error:
            problems.append(f"{type(error).__name__}: {error}")
        yield {"kills": [{"phase": phase, "step": before}], "problems": problems}
        if problems:
            shutil.rmtree(run, ignore_errors=True)
            save(run, 1, best=True)


def read(log: Path) -> list[Record]:
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def keep(records: Iterator[Record], log: Path, deadline: float, *, quiet: bool = False) -> None:
    """Append results to the log as they come, until they end or the time is over."""
    for record in records:
        with log.open("a") as file:
            file.write(json.dumps(record) + "\n")
        if record["problems"] or not quiet:
            print(json.dumps(record), flush=True)
        if time.monotonic() > deadline:
            return


def summary(log: Path, what: str, of: int, phases: Iterable[str]) -> int:
    """Print what was run, and return the exit code."""
    records = read(log)
    seen = Counter(kill["phase"] for record in records for kill in record["kills"])
    failures = sum(bool(record["problems"]) for record in records)
    total = sum(seen.values())
    told = ", ".join(f"{phase} {seen[phase]}" for phase in phases)
    print(f"{what}: {total} of {of} kills in {len(records)} runs, {failures} with failures; {told}")
    return 1 if failures else 0


def run(command: str, given: argparse.Namespace, arena: Arena | None) -> int:
    """One command; the exit code."""
    deadline = time.monotonic() + 60 * given.minutes
    log = given.folder / f"{command}.jsonl"
    if command == "saving" or arena is None:
        of = given.of or 1000
        keep(saving(given.folder, log, of, given.seed), log, deadline, quiet=True)
        return summary(log, command, of, SAVE_POINTS)
    if command == "training":
        of = given.of or 200
        keep(training(arena, log, of, given.seed), log, deadline)
        return summary(log, command, of, PHASES)
    log.unlink(missing_ok=True)  # these are short: all of them, each time
    if command == "points":
        keep(iter([points(arena, given.points)]), log, deadline)
        return summary(log, command, len(given.points), given.points)
    keep(signals(arena), log, deadline)
    return 1 if any(record["problems"] for record in read(log)) else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("commands", nargs="+", choices=["training", "saving", "points", "signals"])
    parser.add_argument("--minutes", type=float, default=10.0, help="stop after this time (10)")
    parser.add_argument("--of", type=int, default=None, help="stop after this many kills (200; saving: 1000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "neocog-kills")
    parser.add_argument("--points", nargs="*", default=POINTS, help="fail points (all)")
    parser.add_argument(
        "--train",
        default="faster-rcnn",
        help='model and options (faster-rcnn), such as "r-cnn --pretrain 0.5"',
    )
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    arena = None if given.commands == ["saving"] else Arena(given.folder, given.train.split())
    return max(run(command, given, arena) for command in given.commands)


if __name__ == "__main__":
    sys.exit(main())
