"""Same seed, same result: pairs of fresh processes whose surroundings have nothing in common but the machine.

    python -m tests.determinism_pairs                 20 pairs (about five minutes on one core)
    python -m tests.determinism_pairs --pairs 4

Each process trains on the same three small data sets (VOC, YOLO and COCO folders) and prints the digests of
weights, averages, optimizer, given model and log of metrics. The two of a pair differ in hash seed, locale,
time zone, order in which the system lists folders, number of loader processes, working directory, and in how
the path of the data is written. The exit code is 1 if one pair differs anywhere.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
FORMATS = ("voc", "yolo", "coco")
LOCALES = ("C", "POSIX", "C.UTF-8", "en_US.UTF-8", "tr_TR.UTF-8", "xx_XX.nowhere")
ZONES = ("UTC", "Asia/Kathmandu", "America/St_Johns", "Pacific/Kiritimati", "XYZ-14:59")
NAMES = ("b", "A", "a10", "a9", "É", "_x", "ω")
"""Of the training pictures: they sort differently by bytes, by case, by number and by language."""


@dataclass(frozen=True)
class Surroundings:
    """What must not matter."""

    hash_seed: str
    locale: str
    zone: str
    listing: int  # seed of the order of every folder's entries
    workers: tuple[int, ...]  # loader processes, a number for each format
    folder: str  # working directory, below the process's own
    relative: bool  # whether the path of the data is written from there


def draw(seed: int, workers: int) -> Surroundings:
    """Surroundings that follow from a number; the number of workers starts at the one given."""
    rng = random.Random(seed)
    counts = (0, 1, 4)
    return Surroundings(
        hash_seed=str(rng.randrange(1, 2**32)),
        locale=rng.choice(LOCALES),
        zone=rng.choice(ZONES),
        listing=rng.randrange(2**32),
        workers=tuple(counts[(workers + place) % 3] for place in range(len(FORMATS))),
        folder=f"a/{rng.randrange(10**6)}",
        relative=bool(workers % 2),
    )


def write_data(target: Path) -> None:
    """The same generated scenes as three data sets."""
    from neocog.data.scenes import Scenes
    from neocog.data.write import write_dataset

    class Named(Scenes):
        def identity(self, index: int) -> str:
            return f"{NAMES[index]}-{self.split}"

    for format in FORMATS:
        splits = {
            name: Named("std", name, count=count, size=64) for name, count in (("train", 7), ("val", 2))
        }
        write_dataset(splits, target / format, format)


def train_all(data: Path, out: Path, workers: Sequence[int], formats: Sequence[str]) -> dict[str, str]:
    """Digests of everything that must be the same bits, by format and file."""
    from neocog.cli import main

    digests = {}
    for format, count in zip(formats, workers, strict=False):
        run = out / format
        words = ["train", "faster-rcnn", "--data", str(data / format), "--out", str(run), "--size", "64"]
        words += ["--batch", "2", "--steps", "3", "--seed", "5", "--threads", "1", "--workers", str(count)]
        code = main(words)
        if code != 0:
            raise SystemExit(f"{format}: training ended with exit code {code}")
        files = [*sorted((run / "last").glob("*.safetensors")), run / "model" / "model.safetensors"]
        for path in [*files, run / "metrics.jsonl"]:
            digests[f"{format}/{path.name}"] = hashlib.sha256(path.read_bytes()).hexdigest()
    return digests


class _Shuffled:
    """The entries of a folder in another order, with the interface of what `os.scandir` gives."""

    def __init__(self, entries: Any, order: random.Random) -> None:
        with entries:
            self._entries = sorted(entries, key=lambda entry: entry.name)
        order.shuffle(self._entries)
        self._left = iter(self._entries)

    def __iter__(self) -> Iterator[os.DirEntry[str]]:
        return self

    def __next__(self) -> os.DirEntry[str]:
        return next(self._left)

    def __enter__(self) -> _Shuffled:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._left = iter(())


def shuffle_listings(seed: int) -> None:
    """From now on this process sees every folder in an order that follows from the seed."""
    order = random.Random(seed)
    real_list, real_scan = os.listdir, os.scandir

    def listdir(path: Any = ".") -> list[Any]:
        names = sorted(real_list(path))
        order.shuffle(names)
        return names

    def scandir(path: Any = ".") -> _Shuffled:
        return _Shuffled(real_scan(path), order)

    os.listdir, os.scandir = listdir, scandir  # type: ignore[assignment]


def run_in(surroundings: Surroundings, data: Path, out: Path, formats: Sequence[str]) -> dict[str, str]:
    """The digests from a fresh process in these surroundings."""
    folder = out / surroundings.folder
    folder.mkdir(parents=True)
    environment = os.environ | {
        "PYTHONHASHSEED": surroundings.hash_seed,
        "LC_ALL": surroundings.locale,
        "LANG": surroundings.locale,
        "TZ": surroundings.zone,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")]),
    }
    written = os.path.relpath(data, folder) if surroundings.relative else str(data)
    task = asdict(surroundings) | {"data": written, "out": str(out), "formats": list(formats)}
    done = subprocess.run(
        [sys.executable, "-m", "tests.determinism_pairs", "--child", json.dumps(task)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{surroundings}: exit code {done.returncode}\n{done.stderr}")
    digests: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return digests


def child(task: dict[str, Any]) -> None:
    shuffle_listings(task["listing"])
    digests = train_all(Path(task["data"]), Path(task["out"]), task["workers"], task["formats"])
    print(json.dumps(digests))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        child(json.loads(options.child))
        return 0
    differing = 0
    with tempfile.TemporaryDirectory() as place:
        data = Path(place) / "data"
        write_data(data)
        for pair in range(options.pairs):
            began = time.monotonic()
            seeds = [1000 * options.seed + 2 * pair, 1000 * options.seed + 2 * pair + 1]
            both = [draw(seed, workers) for seed, workers in zip(seeds, (pair, pair + 1), strict=True)]
            found = [
                run_in(one, data, Path(place) / f"{pair}-{side}", FORMATS) for side, one in enumerate(both)
            ]
            wrong = sorted(name for name in found[0] | found[1] if found[0].get(name) != found[1].get(name))
            differing += bool(wrong)
            verdict = f"DIFFERS in {', '.join(wrong)}" if wrong else f"{len(found[0])} files identical"
            print(f"pair {pair + 1:2d}: {verdict} ({time.monotonic() - began:.1f} s)", flush=True)
            for one in both if wrong else ():
                print(f"    {one}")
    print(f"{options.pairs - differing} of {options.pairs} pairs identical")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
