"""Give every hostile file to its command, watched by an audit hook: `python -m tests.hostile [--json FILE]`.

Prints a line for each file that was not refused as it should be, then the counts; exit code 1 if any.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import torch
from tests.hostile import Hostile, World, datasets, models, pickles, tensors

from neocog.cli import main
from neocog.convert import convert_child

ITEMS: list[Hostile] = [*pickles.ITEMS, *tensors.ITEMS, *models.ITEMS, *datasets.ITEMS]

SOURCE = Path(convert_child.__file__).parent
CHILD = [sys.executable, "-I", "-S", "-B", "-W", "ignore", str(convert_child.__file__)]
OURS = tuple(str(Path(path)) for path in {SOURCE, *map(sysconfig.get_path, ("stdlib", "purelib", "platlib"))})
MAKERS = ("dataclasses.py", "collections/__init__.py", "typing.py", "inspect.py")
"""Files of the standard library that make classes and annotations from text, which is that of our source."""

WATCHED = (
    *(
        "os.system",
        "os.exec",
        "os.fork",
        "os.posix_spawn",
        "os.spawn",
        "os.startfile",
        "os.kill",
        "pty.",
        "socket.",
    ),
    *("urllib.", "ftplib.", "smtplib.", "http.client", "webbrowser.", "code.__new__", "ctypes.dlopen"),
)
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = (
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.mkdir",
    "os.link",
    "os.symlink",
    "os.truncate",
    "os.chmod",
)


WARM = (
    "empty file",
    "safetensors: empty",
    "model: another architecture's backbone",
    "checkpoint: manifest a list",
    "YAML: pictures outside",
)


class Watch:
    """Events that reading a file must never lead to. Once made, it watches until the process ends."""

    def __init__(self, inside: Path) -> None:
        self.inside, self.seen, self.on = str(inside), list[str](), False
        sys.addaudithook(self._hear)

    @contextmanager
    def listening(self) -> Iterator[list[str]]:
        """What was seen meanwhile."""
        self.seen, self.on = [], True
        try:
            yield self.seen
        finally:
            self.on = False

    def _hear(self, event: str, details: tuple[Any, ...]) -> None:
        if self.on and self._forbidden(event, details):
            self.seen.append(f"{event} {details!r}"[:200])

    def _forbidden(self, event: str, details: tuple[Any, ...]) -> bool:
        if event.startswith(WATCHED):
            return True
        if event == "subprocess.Popen":
            return list(details[1][: len(CHILD)]) != CHILD
        if event == "compile":
            return self._foreign(os.fsdecode(details[1]) if details[1] else "")
        if event == "exec":
            return self._foreign(details[0].co_filename)
        if event == "open":
            path, _, flags = details
            return bool(flags & WRITES) and not self._is_inside(path)
        return event in CHANGES and not self._is_inside(details[0])

    def _is_inside(self, path: object) -> bool:
        if not isinstance(path, str | bytes | os.PathLike):
            return True  # a descriptor, which was opened before
        return os.path.abspath(os.fsdecode(path)).startswith(self.inside)  # noqa: PTH100

    @staticmethod
    def _foreign(name: str) -> bool:
        """Whether code comes from neither this package nor what is installed."""
        if name.startswith("<frozen ") or name.startswith(OURS):
            return False
        caller = sys._getframe(3).f_code.co_filename
        return not (caller.startswith(OURS) and caller.endswith(MAKERS))


def tree(folder: Path) -> str:
    """A hash of names and contents below a folder."""
    files = sorted(path for path in folder.rglob("*"))
    return hashlib.sha256(
        b"".join(str(path).encode() + (path.read_bytes() if path.is_file() else b"") for path in files)
    ).hexdigest()


def drive(item: Hostile, world: World, place: Path, watch: Watch | None) -> dict[str, Any]:
    """One file through its command: what it was to be, what came, and what was wrong with that."""
    place.mkdir()
    words = item.make(world, place)
    out, err = io.StringIO(), io.StringIO()
    began = time.monotonic()
    with (
        redirect_stdout(out),
        redirect_stderr(err),
        watch.listening() if watch else nullcontext([]) as events,
    ):
        code = main(words)
    seconds, line = time.monotonic() - began, err.getvalue()
    faults = [f"event: {event}" for event in events]
    if code != item.code:
        faults.append(f"exit code {code}, not {item.code}")
    if line.count("\n") != 1 or not line.startswith("neocog: ") or "Traceback" in line + out.getvalue():
        faults.append("not one line")
    if item.words not in line:
        faults.append(f"does not say {item.words!r}")
    if any((place / name).exists() for name in ("converted", "out/predictions.json", "run/metrics.jsonl")):
        faults.append("left a result")
    if any(world.canary.iterdir()):
        faults.append("the canary was touched")
    return {"name": item.name, "line": line, "faults": faults, "seconds": round(seconds, 2)}


def run(only: str = "") -> dict[str, Any]:
    """All files whose name holds `only`; the results, and whether what is good was left as it was."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        for name in ("canary", "inside"):
            (root / name).mkdir()
        tempfile.tempdir = str(root / "inside")
        world = World(root / "world", root / "canary")
        before = tree(root / "world")
        items = [item for item in ITEMS if only in item.name]
        for item in (item for item in ITEMS if item.name in WARM):  # imports what the commands need
            drive(item, world, root / "inside" / f"warm {WARM.index(item.name)}", None)
        watch = Watch(root / "inside")
        results = [
            drive(item, world, root / "inside" / str(number), watch) for number, item in enumerate(items)
        ]
        return {"results": results, "unchanged": tree(root / "world") == before, "heard": _hears(watch)}


def _hears(watch: Watch) -> bool:
    """Whether the hook works at all: it must have heard these."""
    with watch.listening() as events:
        compile("1", "<text>", "eval")
        os.system("true")
        with Path(os.devnull).open("w"):
            pass
    return [event.split()[0] for event in events] == ["compile", "os.system", "open"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the results to this file")
    parser.add_argument("--only", default="", help="files whose name holds this")
    given = parser.parse_args()
    report = run(given.only)
    bad = [one for one in report["results"] if one["faults"]]
    for one in bad:
        print(f"{one['name']}: {'; '.join(one['faults'])}\n    {one['line'].strip()}")
    count = len(report["results"])
    print(f"{count - len(bad)} of {count} hostile files refused in one line; hook works: {report['heard']}")
    print(f"what is good was left as it was: {report['unchanged']}")
    if given.json:
        given.json.write_text(json.dumps(report))
    sys.exit(bool(bad) or not report["heard"] or not report["unchanged"])
