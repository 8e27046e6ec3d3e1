"""Does memory grow? Resident megabytes after each epoch, of this process and of its loader processes.

    python benchmarks/soak.py --data path/to/voc                      20 epochs of loading, two workers
    python benchmarks/soak.py --data path/to/voc --train              with a training step for every batch
    python benchmarks/soak.py --data path/to/voc --keep-mb 512 --after 10

Prints the slope of a least-squares line through the epochs after `--after`, and exits with 1 if it is steeper
than `--limit` megabytes an epoch. The loader keeps decoded pictures up to a bound (512 MB over all workers)
and fills it over the first epochs, since each worker meets each picture in its own time. `--keep-mb 0`, the
default, turns that off, so that two epochs are warm-up enough; with it on, leave it ten.

Memory is what the system counts as resident; a page that two processes share counts in both. Linux only.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from neocog.data import loader as loader_module
from neocog.data.loader import Loader
from neocog.data.open import open_data
from neocog.train import Training, TrainOptions, fit
from neocog.transforms.recipes import training_recipe
from neocog.types import Batch
from neocog.zoo import create

PAGE = os.sysconf("SC_PAGE_SIZE")


def resident_mb(process: int) -> float:
    """Resident memory of a process."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * PAGE / 2**20


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", default="scenes", help="a folder, or scenes")
    parser.add_argument("--size", type=int, default=320)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--train", action="store_true", help="train Faster R-CNN on compact, too")
    parser.add_argument("--keep-mb", type=int, default=0, help="decoded pictures that the loader may keep")
    parser.add_argument("--after", type=int, default=2, help="epochs of warm-up")
    parser.add_argument("--limit", type=float, default=1.0, help="MB an epoch")
    options = parser.parse_args()
    if options.epochs < options.after + 2:
        parser.error("give at least two epochs more than --after")
    torch.set_num_threads(1)
    loader_module.MEMORY = options.keep_mb << 20

    data = open_data(options.data, "train")
    steps = max(1, len(data) // options.batch)
    total = steps * options.epochs
    loader = Loader(
        data,
        training_recipe((options.size, options.size)),
        batch_size=options.batch,
        workers=options.workers,
        steps=total,
    )
    print(
        f"{data.name}, {len(data)} images, epochs of {steps} batches of {options.batch}, {options.workers} "
        f"workers, keeping {options.keep_mb} MB of pictures{', training' if options.train else ''}"
    )
    measured = []
    began = time.monotonic()
    stepping = train(loader, data.classes, total) if options.train else iter(loader)
    for epoch in range(1, options.epochs + 1):
        for _ in itertools.islice(stepping, steps):
            pass
        own = resident_mb(os.getpid())
        workers = [resident_mb(child.pid) for child in multiprocessing.active_children() if child.pid]
        measured.append(own + sum(workers))
        print(
            f"epoch {epoch:3d}  {measured[-1]:8.1f} MB  = {own:.1f} here + {sum(workers):.1f} in "
            f"{len(workers)} workers  ({time.monotonic() - began:.0f} s)",
            flush=True,
        )
    slope = float(np.polyfit(range(options.epochs - options.after), measured[options.after :], 1)[0])
    print(f"slope after epoch {options.after}: {slope:+.3f} MB an epoch (limit {options.limit:g})")
    return 1 if slope > options.limit else 0


def train(loader: Loader, classes: tuple[str, ...], steps: int) -> Iterator[object]:
    """A training step for every batch."""
    torch.manual_seed(0)
    model = create("faster-rcnn", classes, "compact").to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    batches: Iterator[Batch] = iter(loader)
    return fit(Training(model, TrainOptions(steps=steps), steps), batches)


if __name__ == "__main__":
    sys.exit(main())
