"""The one evaluator: a model and a data set in, the official numbers out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from neocog.data.dataset import Dataset
from neocog.data.loader import evaluation_batches
from neocog.metrics.coco import CocoResult, coco_average_precision
from neocog.metrics.voc import VocResult, voc_average_precision
from neocog.predict import Predictor, Timing
from neocog.transforms.recipes import evaluation_recipe
from neocog.types import Detections, Objects


@dataclass(frozen=True)
class Evaluation:
    """What a detector achieves on one split."""

    data: str
    split: str
    images: int
    voc: VocResult
    coco: CocoResult
    timings: tuple[Timing, ...]
    truths: tuple[Objects, ...]
    predictions: tuple[Detections, ...]
    faults: tuple[str, ...]  # images that could not be read, one line each

    @property
    def metrics(self) -> dict[str, float | None]:
        return self.voc.metrics() | self.coco.metrics()

    def to_dict(self) -> dict[str, Any]:
        """The content of `evaluation.json`."""
        network = median([timing.network for timing in self.timings] or [0.0])
        decode = median([timing.decode for timing in self.timings] or [0.0])
        per_class = {
            voc.name: {
                "voc07_ap50": voc.voc07_ap,
                "voc_ap50": voc.voc_ap,
                "coco_ap": coco.coco_ap,
                "coco_ap50": coco.coco_ap50,
                "coco_ap75": coco.coco_ap75,
                "objects": voc.positives,
            }
            for voc, coco in zip(self.voc.classes, self.coco.classes, strict=True)
        }
        return {
            "task": "detect",
            "data": self.data,
            "split": self.split,
            "images": self.images,
            "metrics": self.metrics,
            "per_class": per_class,
            "ms_per_image": {
                "total": network + decode,
                "proposals": None,
                "network": network,
                "decode": decode,
            },
            "unreadable": list(self.faults),
        }


def predictions_of(
    predictor: Predictor, data: Dataset, *, batch: int = 1, workers: int = 0
) -> Iterator[tuple[Sequence[int], list[Detections], Timing]]:
    """Indices, detections in original pixels, and time, batch by batch, in the order of the data set."""
    loader = evaluation_batches(
        data, evaluation_recipe(predictor.size), batch_size=batch, workers=workers
    )
    for one in loader:
        found, timing = predictor.run(one)
        yield [key.index for key in one.keys], found, timing


def evaluate(predictor: Predictor, data: Dataset, *, batch: int = 1, workers: int = 0) -> Evaluation:
    """Run a detector over a whole split and measure it.

    Times are per image in batches of `batch`, decoding of files excluded. Images that cannot be read are left
    out of the numbers and listed.
    """
    truths: list[Objects] = []
    predictions: list[Detections] = []
    timings: list[Timing] = []
    for indices, found, timing in predictions_of(predictor, data, batch=batch, workers=workers):
        truths += [data.objects(index) for index in indices]
        predictions += found
        timings.append(timing)
    return Evaluation(
        data=data.name,
        split=data.split,
        images=len(truths),
        voc=voc_average_precision(truths, predictions, data.classes),
        coco=coco_average_precision(truths, predictions, data.classes),
        timings=tuple(timings[len(timings) > 3 and 3 :]),  # the first few warm up
        truths=tuple(truths),
        predictions=tuple(predictions),
        faults=(),
    )
