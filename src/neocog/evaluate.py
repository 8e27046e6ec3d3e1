"""The one evaluator: a model and a data set in, the official numbers out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from neocog.data.dataset import Dataset
from neocog.data.loader import Loader, evaluation_batches
from neocog.distributed.peers import ALONE, Peers
from neocog.errors import Interrupted, NumbersError
from neocog.metrics.coco import CocoResult, coco_average_precision
from neocog.metrics.voc import VocResult, voc_average_precision
from neocog.metrics.zero_shot import ZeroShotResult, zero_shot_metrics
from neocog.predict import STRIDE, Predictor, Timing
from neocog.propose import search_ms, with_proposals
from neocog.types import Detections, Objects

WARM_UP = 3
"""Batches whose times do not count."""


@dataclass(frozen=True)
class Evaluation:
    """What a detector achieves on one split."""

    data: str
    split: str
    indices: tuple[int, ...]  # of the images judged
    voc: VocResult
    coco: CocoResult
    timings: tuple[Timing, ...]
    truths: tuple[Objects, ...]
    predictions: tuple[Detections, ...]
    faults: tuple[str, ...]  # images that could not be read, one line each
    precision: str  # arithmetic of the network: f32 or bf16
    search_ms: float | None = None  # of finding a picture's regions, where that is not the network's work

    regions: int = 0  # median number of them in a picture, where they come from outside
    zero_shot: ZeroShotResult | None = None  # where some classes were never shown

    @property
    def images(self) -> int:
        return len(self.indices)

    @property
    def metrics(self) -> dict[str, float | None]:
        return (
            self.voc.metrics()
            | self.coco.metrics()
            | (self.zero_shot.metrics() if self.zero_shot is not None else {})
        )

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
            "precision": self.precision,
            "ms_per_image": {
                "total": (self.search_ms or 0.0) + network + decode,
                "proposals": self.search_ms,
                "network": network,
                "decode": decode,
            },
            "unreadable": list(self.faults),
        }


def evaluate(
    predictor: Predictor,
    data: Dataset,
    *,
    batch: int = 1,
    workers: int = 0,
    peers: Peers = ALONE,
    stopping: Callable[[], bool] = lambda: False,
    strict: bool = False,
    proposals: Path | None = None,
) -> Evaluation:
    """Run a detector over a whole split and measure it.

    Times are per image in batches of `batch`, decoding of files excluded. Images that cannot be read are left
    out of the numbers and listed; with `strict`, the first of them is a DataError. Raises NumbersError where
    the network, a detection or a metric is not finite.

    `proposals`: the folder that keeps the regions of models that take them from outside; None keeps nothing.
    Their time is that of searching a few of the pictures anew.

    Several processes take turns with the batches, and each returns the whole result. `stopping` is asked
    between two batches: Interrupted where it says yes.
    """
    data = with_proposals(data, predictor.search, proposals)
    loader = evaluation_batches(
        data,
        predictor.transform,
        batch_size=batch,
        workers=workers,
        stride=STRIDE,
        share=peers.share,
        strict=strict,
    )
    parts = peers.gather(_measure(predictor, loader, stopping))
    if any(part.stopped for part in parts):
        raise Interrupted("interrupted while measuring")
    for part in parts:
        loader.note(part.faulty.items())
    found = _in_order(part.found for part in parts)
    indices, predictions = list(found), list(found.values())
    truths = tuple(data.objects(index) for index in indices)
    views = {name: list(_in_order(part.views[name] for part in parts).values()) for name in parts[0].views}
    evaluation = Evaluation(
        data=data.name,
        split=data.split,
        indices=tuple(indices),
        voc=voc_average_precision(truths, predictions, data.classes),
        coco=coco_average_precision(truths, predictions, data.classes, _areas(data, indices)),
        timings=tuple(timing for part in parts for timing in part.timings[WARM_UP:] or part.timings),
        truths=truths,
        predictions=tuple(predictions),
        faults=tuple(message for _, message in sorted(loader.faulty.items())),
        precision="bf16" if predictor.bf16 else "f32",
        regions=round(median([count for part in parts for count in part.regions] or [0])),
        search_ms=None if predictor.search is None else search_ms(data, predictor.search),
        zero_shot=zero_shot_metrics(truths, views | {"all": predictions}, data.classes, predictor.unseen)
        if views
        else None,
    )
    for name, value in evaluation.metrics.items():
        if value is not None and not math.isfinite(value):
            raise NumbersError(f"{data.name}, split '{data.split}': {name} is not finite")
    return evaluation


@dataclass(frozen=True)
class _Part:
    """What one process found."""

    found: dict[int, Detections]  # by the picture's place in the data set
    views: dict[str, dict[int, Detections]]  # where only seen, or only unseen classes could be predicted
    timings: list[Timing]
    regions: list[int]  # given with each picture
    faulty: dict[int, str]
    stopped: bool


def _in_order(parts: Iterable[dict[int, Detections]]) -> dict[int, Detections]:
    """What all processes found, by the picture's place."""
    return dict(sorted(item for part in parts for item in part.items()))


def _measure(predictor: Predictor, loader: Loader, stopping: Callable[[], bool]) -> _Part:
    found: dict[int, Detections] = {}
    views: dict[str, dict[int, Detections]] = {"seen": {}, "unseen": {}} if predictor.unseen else {}
    timings: list[Timing] = []
    regions: list[int] = []
    for batch in loader:
        if stopping():
            return _Part(found, views, timings, regions, loader.faulty, stopped=True)
        detections, timing, others = predictor.run_among(batch, tuple(views))
        places = [key.index for key in batch.keys]
        found |= zip(places, detections, strict=True)
        for name, those in others.items():
            views[name] |= zip(places, those, strict=True)
        timings.append(timing)
        regions += [len(given) for given in batch.proposals or ()]
    return _Part(found, views, timings, regions, loader.faulty, stopped=False)


def is_better(score: float | None, best: float | None) -> bool:
    """Whether a score beats the best so far. One that is absent or not finite never does, nor stands in the
    way."""
    if score is None or not math.isfinite(score):
        return False
    return best is None or not math.isfinite(best) or score > best


def _areas(data: Dataset, indices: list[int]) -> list[np.ndarray] | None:
    """The annotators' own object areas where the data set has them (COCO): they decide small and large."""
    areas = getattr(data, "areas", None)
    return None if areas is None else [areas(index) for index in indices]
