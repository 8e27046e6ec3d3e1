"""Our selective search against OpenCV's: `python benchmarks/selective_search.py DATA/bccd scenes`.

On one thread, both search the same pictures at their full size, one after the other: our `fast` and
`quality` with the settings of the package, but no limit on boxes, against `switchToSelectiveSearchFast` and
`...Quality` with theirs. Times are medians over the pictures of processor time, which neighbours on the
machine disturb least, after a picture that does not count. Recall is the share of objects that one of the
first N boxes overlaps by 0.5; where a picture has fewer boxes, all are taken. The last column is at the
number of boxes of whichever side has fewer, picture by picture.

Theirs are other scales (k from 150 in steps of 150), textures and weights, and their order begins with the
small regions. It draws from C's `rand`, so a second run differs a little.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from neocog.data.open import open_data
from neocog.metrics.proposals import proposal_recall
from neocog.proposals.search import Mode, SearchOptions, selective_search
from neocog.types import Objects, Proposals

COUNTS = (50, 100, 200, 500, 1000, 2000)
Finder = Callable[[np.ndarray], Proposals]


def ours(mode: Mode, spread: bool = True) -> Finder:
    def find(image: np.ndarray) -> Proposals:
        longest = max(16, *image.shape[:2])
        return selective_search(image, SearchOptions(mode, longest, most=1_000_000, spread=spread))

    return find


def plain(mode: Mode) -> Finder:
    """Ours in the paper's order."""
    return ours(mode, spread=False)


def opencv(mode: Mode) -> Finder:
    try:
        import cv2
    except ImportError:
        print("comparing with OpenCV needs its contributions: pip install '.[benchmark]'")
        sys.exit(2)
    cv2.setNumThreads(1)

    def find(image: np.ndarray) -> Proposals:
        search = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
        search.setBaseImage(np.ascontiguousarray(image[..., ::-1]))
        if mode == "fast":
            search.switchToSelectiveSearchFast()
        else:
            search.switchToSelectiveSearchQuality()
        boxes = torch.from_numpy(search.process().astype(np.float32))
        boxes[:, 2:] += boxes[:, :2]  # they come as corner and size
        return Proposals(boxes, torch.linspace(1, 0, len(boxes)))

    return find


def spaced(count: int, wanted: int) -> list[int]:
    wanted = min(count, wanted)
    return [place * count // wanted for place in range(wanted)]


def first(found: Proposals, count: int) -> Proposals:
    return Proposals(found.boxes[:count], found.scores[:count])


SIDES = {"ours": ours, "plain": plain, "opencv": opencv}


def compare(data: Any, mode: Mode, names: list[str], wanted: int) -> None:
    """Search, and print a row for each side."""
    sides = {name: SIDES[name](mode) for name in names}
    for find in sides.values():
        find(data[0].image)
    truths: list[Objects] = []
    found: dict[str, list[Proposals]] = {name: [] for name in sides}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for index in spaced(len(data), wanted):
        image = data[index].image
        truths.append(data.objects(index))
        for name, find in sides.items():
            began = time.process_time()
            found[name].append(find(image))
            seconds[name].append(time.process_time() - began)
    fewer = [min(map(len, boxes)) for boxes in zip(*found.values(), strict=True)]
    for name, boxes in found.items():
        recall = proposal_recall(truths, boxes, data.classes, COUNTS).recall[0]
        equal = [first(one, count) for one, count in zip(boxes, fewer, strict=True)]
        recall = [*recall, proposal_recall(truths, equal, data.classes, (1_000_000,)).recall[0, 0]]
        print(
            f"{data.name} {data.split:5} {mode:8} {name:7} {1000 * statistics.median(seconds[name]):8.1f}"
            f" {statistics.median(map(len, boxes)):7.0f}  " + " ".join(f"{value:6.3f}" for value in recall),
            flush=True,
        )
    objects = int(sum((~truth.ignore).sum() for truth in truths))
    told = f"    {len(truths)} pictures, {objects} objects"
    if {"ours", "opencv"} <= seconds.keys():
        ratio = statistics.median(t / o for o, t in zip(seconds["ours"], seconds["opencv"], strict=True))
        told += f"; {ratio:.1f} times as fast"
    print(told, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="+", help="data sets: a folder, or scenes")
    parser.add_argument("--split", nargs="+", default=["val", "test"], help="splits (default: val test)")
    parser.add_argument("--mode", nargs="+", choices=["fast", "quality"], default=["fast", "quality"])
    parser.add_argument("--sides", nargs="+", choices=[*SIDES], default=["ours", "opencv"])
    parser.add_argument("--count", type=int, default=40, help="pictures of each, spread evenly (default: 40)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{platform.machine()}, load {os.getloadavg()[0]:.1f}")
    print(f"{'data, split, mode, side':31} {'ms':>8} {'boxes':>7}  recall at 0.5 of the first")
    print(" " * 49 + " ".join(f"{count:6}" for count in COUNTS) + "  equal")
    for name in arguments.data:
        for split in arguments.split:
            for mode in arguments.mode:
                compare(open_data(name, split), mode, arguments.sides, arguments.count)


if __name__ == "__main__":
    main()
