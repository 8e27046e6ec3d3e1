"""Generated scenes a second on one core: `python benchmarks/scenes_speed.py [--images 500] [--size 128]`.

Drawing with all the truth, after one warm-up pass that compiles the kernels and renders the bank of
backgrounds. Seconds are of processor time, which neighbours on the machine disturb least; the best and the
median of five rounds are given, as neighbours can only slow a round down.
"""

from __future__ import annotations

import argparse
import statistics
import time

from neocog.data.render import LEVELS
from neocog.data.scenes import Scenes

ROUNDS = 5


def rates(data: Scenes, images: int) -> list[float]:
    """Images a second of each round."""
    for index in range(300):  # nearly every background is among them
        data.scene(index)
    found = []
    for number in range(ROUNDS):
        began = time.process_time()
        for index in range(number * images, (number + 1) * images):
            data.scene(index)
        found.append(images / (time.process_time() - began))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Generated scenes a second on one core.")
    parser.add_argument("--images", type=int, default=500, help="a round (default 500)")
    parser.add_argument("--size", type=int, default=128)
    options = parser.parse_args()
    began = time.perf_counter()
    Scenes(size=options.size).scene(0)
    print(f"first scene {time.perf_counter() - began:.2f} s (compiles once, cached on disk)")
    for level in LEVELS:
        data = Scenes(level, count=max(ROUNDS * options.images, 300), size=options.size)
        found = rates(data, options.images)
        best, middle = max(found), statistics.median(found)
        print(f"{level:>7}  {options.size} px  best {best:6.0f}  median {middle:6.0f} a second")


if __name__ == "__main__":
    main()
