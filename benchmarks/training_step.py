"""Our training step against torchvision's: `python benchmarks/training_step.py [--threads 2]`.

Both sides start from the same weights and learn from the same batch again and again. Theirs is a step as its
users write it: float32, channels first, loss, gradients, SGD with momentum. Ours is a step of `neocog.fit`,
with all that it does besides: averaged weights, the norm of the gradient, the search for numbers that are not
finite. Turns alternate, theirs, ours in f32, ours in bf16; the table gives medians over the turns, of wall
clock and of processor time. Ratio: theirs / ours.

The losses of the first and of the last step stand beside each other. Torchvision's Faster R-CNN draws what it
learns from at random, and so does ours, otherwise. Its smooth L1 of regions has beta = 1/9 where ours has the
paper's 1, so that one is left out of both sums.
"""

from __future__ import annotations

import argparse
import itertools
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # as our command line does; here it serves both sides

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neocog.models.classifier import classifier_from_torchvision
from neocog.models.torchvision_faster_rcnn import fasterrcnn_from_torchvision
from neocog.models.torchvision_ssd import ssd300_from_torchvision
from neocog.train import Training, TrainOptions, fit
from neocog.types import Batch, Frame, Objects, SampleKey
from neocog.zoo import create

try:
    import torchvision
except ImportError:
    print("benchmarks/training_step.py needs torchvision beside torch, to compare with")
    sys.exit(2)

MOST_STEPS = 10**9
LR, MOMENTUM, DECAY = 1e-3, 0.9, 5e-4
CLASSES = 20
OBJECTS = 6  # of a picture

Losses = dict[str, float]
Turn = Callable[[], Losses]


class Case(NamedTuple):
    """A network, torchvision's and ours with its weights, and what both learn from."""

    name: str
    build: Callable[[], tuple[nn.Module, nn.Module, Batch]]  # theirs, ours, batch
    losses: Callable[[Any, Batch], dict[str, Tensor]]  # of theirs


def pictures(count: int, side: int) -> Tensor:
    """Noise of several sizes (count, 3, side, side) in [0, 1], as pictures have, channels first."""
    draw = torch.Generator().manual_seed(0)
    coarse = [torch.rand(count, 3, n, n, generator=draw) for n in (3, 20, side)]
    return torch.stack([F.interpolate(one, size=(side, side), mode="bilinear") for one in coarse]).mean(dim=0)


def batch_of(images: Tensor) -> Batch:
    """A batch, channels last, with objects of all sizes and with a label for each picture."""
    count, side = len(images), images.shape[-1]
    draw = torch.Generator().manual_seed(1)
    targets = []
    for _ in range(count):
        sides = side * (0.1 + 0.5 * torch.rand(OBJECTS, 2, generator=draw))
        corner = (side - sides) * torch.rand(OBJECTS, 2, generator=draw)
        labels = torch.randint(0, CLASSES, (OBJECTS,), generator=draw)
        boxes = torch.cat([corner, corner + sides], 1)
        targets.append(Objects(boxes, labels, torch.zeros(OBJECTS, dtype=torch.bool)))
    return Batch(
        images=images.contiguous(memory_format=torch.channels_last),
        sizes=((side, side),) * count,
        targets=tuple(targets),
        frames=tuple(Frame((side, side), (side, side)) for _ in range(count)),
        keys=tuple(SampleKey(0, 0, place) for place in range(count)),
        labels=torch.arange(count) % CLASSES,
    )


def faster_rcnn() -> tuple[nn.Module, nn.Module, Batch]:
    theirs = torchvision.models.detection.fasterrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, num_classes=CLASSES + 1, min_size=320, max_size=320
    )
    options, state = fasterrcnn_from_torchvision(theirs.state_dict(), eps=1e-5)
    ours = create("faster-rcnn-fpn", CLASSES, "resnet50", options)
    ours.load_state_dict(state)
    return theirs, ours, batch_of(pictures(2, 320))


def ssd() -> tuple[nn.Module, nn.Module, Batch]:
    theirs = torchvision.models.detection.ssd300_vgg16(
        weights=None, weights_backbone=None, num_classes=CLASSES + 1
    )
    options, state = ssd300_from_torchvision(theirs.state_dict())
    ours = create("ssd", CLASSES, "vgg16", options)
    ours.load_state_dict(state)
    return theirs, ours, batch_of(pictures(4, 300))


def resnet18() -> tuple[nn.Module, nn.Module, Batch]:
    theirs = torchvision.models.resnet18(weights=None, num_classes=CLASSES)
    ours = create("resnet18", CLASSES)
    ours.load_state_dict(classifier_from_torchvision(theirs.state_dict()))
    return theirs, ours, batch_of(pictures(64, 64))


def detection_losses(model: Any, batch: Batch) -> dict[str, Tensor]:
    assert batch.targets is not None
    targets = [{"boxes": one.boxes, "labels": one.labels + 1} for one in batch.targets]
    losses: dict[str, Tensor] = model(list(batch.images), targets)
    return losses


def classifier_losses(model: Any, batch: Batch) -> dict[str, Tensor]:
    assert batch.labels is not None
    images = torchvision.transforms.functional.normalize(
        batch.images, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    )
    return {"classes": F.cross_entropy(model(images), batch.labels)}


CASES = (
    Case("Faster R-CNN, ResNet-50 and pyramid, 2 x 320 px", faster_rcnn, detection_losses),
    Case("ResNet-18, 64 x 64 px", resnet18, classifier_losses),
    Case("SSD300, VGG-16, 4 x 300 px", ssd, detection_losses),
)

NAMES = {
    "loss_objectness": "rpn_objectness",
    "loss_rpn_box_reg": "rpn_boxes",
    "loss_classifier": "classes",
    "classification": "classes",
    "bbox_regression": "boxes",
    "loss_box_reg": "",
}
"""Torchvision's names of losses: ours, or nothing where they are not the same."""


def their_turn(case: Case, model: nn.Module, batch: Batch) -> Turn:
    """A step of a loop as torchvision's users write it."""
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=LR, momentum=MOMENTUM, weight_decay=DECAY)
    batch = replace(batch, images=batch.images.contiguous())

    def turn() -> Losses:
        losses = case.losses(model, batch)
        optimizer.zero_grad()
        torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        named = {NAMES.get(name, name): value.item() for name, value in losses.items()}
        return {name: value for name, value in named.items() if name}

    return turn


def our_turn(model: Any, batch: Batch, precision: Any) -> Turn:
    """A step of `neocog.fit`, of a network prepared as a run prepares it."""
    options = TrainOptions(
        steps=MOST_STEPS,
        batch=len(batch),
        optimizer="sgd",
        lr=LR,
        momentum=MOMENTUM,
        weight_decay=DECAY,
        warmup=0.0,
        clip=float("inf"),
        precision=precision,
    )
    model.to(memory_format=torch.channels_last)
    training = Training(model, options, options.steps)
    steps = fit(training, itertools.repeat(batch))
    return lambda: dict(next(steps).losses)


class Record(NamedTuple):
    """What the turns of one side took, in seconds, and its losses."""

    wall: list[float]
    cpu: list[float]
    losses: list[Losses]

    def take(self, turn: Turn) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        self.losses.append(turn())
        self.wall.append(time.perf_counter() - wall)
        self.cpu.append(time.process_time() - cpu)


def measure(case: Case, repeats: int, warm_up: int = 3) -> Iterator[str]:
    """Take turns, the first of which find memory and do not count; then the lines of the table."""
    torch.manual_seed(0)
    theirs, ours, batch = case.build()
    again = case.build()[1]
    again.load_state_dict(ours.state_dict())
    sides = {
        "torchvision f32": their_turn(case, theirs, case.build()[2]),
        "ours f32": our_turn(ours, batch, "f32"),
        "ours bf16": our_turn(again, batch, "bf16"),
    }
    records = {name: Record([], [], []) for name in sides}
    for _ in range(warm_up + repeats):
        for name, turn in sides.items():
            records[name].take(turn)
    common = set.intersection(*(set(record.losses[0]) for record in records.values()))
    reference = records["torchvision f32"]
    for name, record in records.items():
        wall, cpu = (1000 * statistics.median(one[warm_up:]) for one in (record.wall, record.cpu))
        ratios = [
            statistics.median(theirs[warm_up:]) / statistics.median(own[warm_up:])
            for theirs, own in ((reference.wall, record.wall), (reference.cpu, record.cpu))
        ]
        first, last = (sum(one[key] for key in common) for one in (record.losses[0], record.losses[-1]))
        yield (
            f"{case.name if record is reference else '':48}{name:16}{wall:9.0f}{cpu:9.0f}"
            f"{ratios[0]:8.2f}{ratios[1]:8.2f}{first:10.4f}{last:10.4f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=7, help="turns of each side, at least 5 (default 7)")
    parser.add_argument("--only", default="", help="measure only the cases whose name contains this text")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    repeats = max(options.repeats, 5)
    print(
        f"{options.threads} thread(s), medians of {repeats} turns; Python {platform.python_version()}, "
        f"torch {torch.__version__}, torchvision {torchvision.__version__}, {platform.machine()}"
    )
    print(f"{'':48}{'':16}{'wall ms':>9}{'CPU ms':>9}{'ratio':>8}{'CPU':>8}{'1st loss':>10}{'last':>10}")
    for case in CASES:
        if options.only.lower() in case.name.lower():
            for line in measure(case, repeats):
                print(line, flush=True)


if __name__ == "__main__":
    main()
