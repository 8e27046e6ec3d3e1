"""R-CNN, Fast R-CNN and Faster R-CNN side by side: `python benchmarks/rcnn_line.py --data DATA/bccd`.

The notes' table: R-CNN 1x, Fast R-CNN 25x, Faster R-CNN 250x, on a GPU of 2014. Here all three run on the
CPU, on the same pictures and backbone, with random weights, which calculate as long as trained ones. R-CNN
and Fast R-CNN are given 2,000 regions a picture: those of selective search, topped up with copies moved by
a tenth of their size where it finds fewer. Faster R-CNN keeps 300 proposals, the paper's number, and 48.

On `compact` R-CNN is printed with three sizes of crop: 224 px with 16 of context, as in the paper; 96 px
with 7; and 64 px with 8, the default on `compact`. With `--vgg16` one picture is measured at the paper's
settings instead: VGG-16, shorter side 600 px, crops of 224 px, 300 proposals; R-CNN takes some minutes.

Each row: milliseconds a picture, medians over the pictures, of which each is run once by every row in turn.
The clock is the wall's, on a machine where nothing else should run.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import numpy as np
import torch

from neocog.data.dataset import Dataset
from neocog.data.open import open_data
from neocog.data.packing import collate
from neocog.ops.boxes import clip, from_centre, shorter_side, to_centre
from neocog.predict import STRIDE, Predictor, Timing
from neocog.proposals.search import SearchOptions, selective_search
from neocog.transforms.geometry import ShorterSide
from neocog.transforms.recipes import evaluation_recipe
from neocog.types import Proposals, Sample
from neocog.zoo import MODELS, create

REGIONS = 2000


@dataclass(frozen=True)
class Row:
    name: str
    model: str
    settings: dict[str, Any]
    proposals: int = 0  # of the RPN; 0: from selective search


ROWS = (
    Row("R-CNN, crops of 224 px", "r-cnn", {"crop": 224, "context": 16}),
    Row("R-CNN, crops of 96 px", "r-cnn", {"crop": 96, "context": 7}),
    Row("R-CNN, crops of 64 px", "r-cnn", {"crop": 64, "context": 8}),
    Row("Fast R-CNN", "fast-rcnn", {}),
    Row("Faster R-CNN, 300 proposals", "faster-rcnn", {}, 300),
    Row("Faster R-CNN, 48 proposals", "faster-rcnn", {}, 48),
)
PAPER = (
    Row("R-CNN", "r-cnn", {}),
    Row("Fast R-CNN", "fast-rcnn", {}),
    Row("Faster R-CNN", "faster-rcnn", {}, 300),
)


def predictor(
    row: Row, backbone: str, side: int, classes: Sequence[str], precision: str, device: str
) -> Predictor:
    torch.manual_seed(0)
    options = replace(MODELS[row.model].options(backbone, side), **row.settings)
    if row.proposals:
        rpn = replace(options.rpn, before_nms=(6000, 6000), after_nms=(2000, row.proposals), shortest=1.0)
        options = replace(options, rpn=rpn)
    model = create(row.model, len(classes), backbone, options).to(device)
    return Predictor(model, classes, (side, side), None, precision)


def topped_up(found: Proposals, size: tuple[int, int]) -> Proposals:
    """REGIONS of them: the found ones first, then moved copies of them."""
    rng = np.random.default_rng(0)
    boxes = found.boxes[:REGIONS]
    limit = torch.tensor([size[1], size[0]] * 2)
    while len(boxes) < REGIONS:
        centre = to_centre(found.boxes)
        noise = torch.from_numpy(rng.normal(0, 0.1, centre.shape)).float()
        moved = torch.cat(
            [centre[:, :2] + noise[:, :2] * centre[:, 2:], centre[:, 2:] * noise[:, 2:].exp()], 1
        )
        moved = clip(from_centre(moved), limit)
        boxes = torch.cat([boxes, moved[shorter_side(moved) >= 2]])[:REGIONS]
    return Proposals(boxes, torch.linspace(1, 0, REGIONS))


@dataclass
class Times:
    """Milliseconds of each picture."""

    search: list[float]
    network: list[float]
    decode: list[float]

    def add(self, search: float, timing: Timing) -> None:
        self.search.append(search)
        self.network.append(timing.network)
        self.decode.append(timing.decode)

    @property
    def bare(self) -> float:
        return median(a + b for a, b in zip(self.network, self.decode, strict=True))

    @property
    def total(self) -> float:
        return median(map(sum, zip(self.search, self.network, self.decode, strict=True)))


def measure(
    rows: Sequence[Row], predictors: Sequence[Predictor], data: Dataset, count: int, recipe: Any
) -> Iterator[tuple[Row, Times]]:
    times = [Times([], [], []) for _ in rows]
    selective_search(data[0].image, SearchOptions())  # compiles
    for number in range(count + 1):
        sample = data[number]
        began = time.perf_counter()
        found = selective_search(sample.image, SearchOptions())
        search = 1e3 * (time.perf_counter() - began)
        regions = topped_up(found, sample.image.shape[:2])
        print(f"picture {number}: the search found {len(found)} regions in {search:.0f} ms", flush=True)
        batch = collate([recipe(Sample(sample.image, None, sample.frame, proposals=regions))], stride=STRIDE)
        for row, one, kept in zip(rows, predictors, times, strict=True):
            if number == 0 and row.model == "r-cnn" and count == 1 and one.device.type == "cpu":
                continue  # some minutes, which nothing needs to compile for
            _, timing = one.run(batch)
            if number:
                kept.add(0.0 if row.proposals else search, timing)
    yield from zip(rows, times, strict=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--split", default="val")
    parser.add_argument("--pictures", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", default="f32", help="f32 or bf16")
    parser.add_argument("--device", default="cpu", help="cpu or cuda; the search stays on the CPU")
    parser.add_argument("--vgg16", action="store_true", help="one picture at the paper's settings")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    data = open_data(given.data, given.split)
    side = max(data.size(0))
    backbone, rows, count, recipe = "compact", ROWS, given.pictures, evaluation_recipe((side, side))
    if given.vgg16:
        backbone, rows, count, recipe = "vgg16", PAPER, 1, evaluation_recipe(ShorterSide(600, 1000))
    how = data.classes, given.precision, given.device
    predictors = [predictor(row, backbone, side, *how) for row in rows]
    where = f"{given.threads} thread(s)" if given.device == "cpu" else torch.cuda.get_device_name()
    print(
        f"{data.name}, {count} pictures of {side} px; {backbone}, {where}, {given.precision}; "
        f"{REGIONS} regions for R-CNN and Fast R-CNN"
    )
    results = list(measure(rows, predictors, data, count, recipe))
    heads = "".join(f"{head:>10}" for head in ("proposals", "network", "decode", "total ms"))
    print(f"\n{'':30}{heads}   R-CNN takes so many times as long, with and without proposals")
    for row, times in results:
        parts = median(times.search), median(times.network), median(times.decode), times.total
        ratios = "   ".join(
            f"{other.name.removeprefix('R-CNN').strip(', ') or 'R-CNN'}: {slow.total / times.total:.1f}x, "
            f"{slow.bare / times.bare:.1f}x"
            for other, slow in results
            if other.model == "r-cnn" and row.model != "r-cnn"
        )
        print(f"{row.name:30}" + "".join(f"{part:10.1f}" for part in parts) + "   " + ratios)
    return 0


if __name__ == "__main__":
    sys.exit(main())
