"""Can the loader feed a training step? Pictures a second that it delivers, against what the step uses.

    python benchmarks/loader.py --data scenes --size 128 --workers 1
    python benchmarks/loader.py --data path/to/voc --size 320 --batch 8 --workers 1

The recipe is the training recipe (fit, flip, zoom, colour jitter). The need is that of Faster R-CNN with the
compact backbone on one thread, measured here on the same batches, unless --step-ms-per-image states another.
Both are timed apart, so with as many workers as spare cores "loader / need" is the room that is left; without
workers the two times add up. Figures are medians over rounds: of processor time where one process does the
work (the step, and the loader without workers), which neighbours on the machine disturb least; of wall clock
for workers.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Callable

import torch

from neocog.data.dataset import Dataset
from neocog.data.loader import Loader
from neocog.data.open import open_data
from neocog.train import Training, TrainOptions, fit
from neocog.transforms.recipes import training_recipe
from neocog.types import Batch
from neocog.zoo import create


def loader_ms(loader: Loader, rounds: int, steps: int, clock: Callable[[], float]) -> float:
    """Milliseconds an image, after a first round that fills the queues and the file cache."""
    batches, times = iter(loader), []
    for _ in range(rounds + 1):
        start = clock()
        images = sum(len(batch) for batch in itertools.islice(batches, steps))
        times.append(1000 * (clock() - start) / images)
    return statistics.median(times[1:])


def step_ms(data: Dataset, batches: list[Batch]) -> float:
    """Milliseconds an image of a whole training step, after two steps of warm-up."""
    model = create("faster-rcnn", data.classes, "compact")
    training = Training(model, TrainOptions(steps=len(batches)), total_steps=len(batches))
    times = [time.process_time()] + [time.process_time() for _ in fit(training, batches)]
    return statistics.median(
        1000 * (end - start) / len(batch)
        for start, end, batch in list(zip(times, times[1:], batches, strict=False))[2:]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", default="scenes", help="a folder, or scenes")
    parser.add_argument(
        "--size", type=int, default=320, help="side of the square that pictures are fitted into"
    )
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--steps", type=int, default=10, help="steps in a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--step-ms-per-image", type=float, help="what the training step uses; else measured")
    options = parser.parse_args()
    torch.set_num_threads(1)

    data = open_data(options.data, "train")
    recipe = training_recipe((options.size, options.size))
    loader = Loader(data, recipe, batch_size=options.batch, workers=options.workers)
    clock = time.perf_counter if options.workers else time.process_time
    delivered = loader_ms(loader, options.rounds, options.steps, clock)
    batches = list(itertools.islice(Loader(data, recipe, batch_size=options.batch), 8))
    used = options.step_ms_per_image or step_ms(data, batches)
    height, width = batches[0].images.shape[2:]
    print(f"{data.name} ({data.format}, {len(data)} images), batches of {options.batch} x {height} x {width}")
    print(f"threads {torch.get_num_threads()}, workers {options.workers}, unreadable {len(loader.faults)}")
    print(f"loader {delivered:7.2f} ms an image  {1000 / delivered:7.0f} images a second")
    print(f"need   {used:7.2f} ms an image  {1000 / used:7.0f} images a second")
    print(f"loader / need  {used / delivered:.2f}")


if __name__ == "__main__":
    main()
