"""What each task is judged by: its metrics, their names in tables, and what is kept of every picture."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from neocog.data.dataset import Dataset, MaskDataset
from neocog.metrics.classification import ClassificationResult, classification_accuracy
from neocog.metrics.coco import CocoResult, coco_average_precision
from neocog.metrics.graphics import ReconstructionResult
from neocog.metrics.localization import LocalizationResult, localization_accuracy
from neocog.metrics.segmentation import SegmentationRecord, SegmentationResult, record, summarize
from neocog.metrics.voc import VocResult, voc_average_precision
from neocog.metrics.zero_shot import ZeroShotResult, zero_shot_metrics
from neocog.types import (
    IGNORED_PIXEL,
    Classification,
    Detections,
    Localization,
    Objects,
    Reconstruction,
    Segmentation,
    Task,
)


class Result(Protocol):
    """What a model achieves on a split."""

    def metrics(self) -> dict[str, float | None]:
        """The numbers of `evaluation.json`; None where there is nothing to measure."""

    def per_class(self) -> dict[str, dict[str, float | int | None]]:
        """The same of each class, by its name."""


class Judge(Protocol):
    """How the answers of one task are judged."""

    def record(self, data: Any, index: int, answer: Any, views: dict[str, Any]) -> Any:
        """What is kept of one picture: small, as it stays in memory and travels between processes.

        `views`: the answers where only some classes could be predicted, of a zero-shot detector.
        """

    def result(self, data: Any, indices: Sequence[int], records: Sequence[Any], unseen: Sequence[int]) -> Any:
        """The metrics over these pictures, `unseen` being classes that were never shown."""

    def answer(self, record: Any) -> Any:
        """Of what was kept, the part that pictures show."""


@dataclass(frozen=True)
class DetectionResult:
    """Average precision as VOC and COCO define it."""

    voc: VocResult
    coco: CocoResult
    truths: tuple[Objects, ...]
    zero_shot: ZeroShotResult | None = None  # where some classes were never shown

    def metrics(self) -> dict[str, float | None]:
        extra = {} if self.zero_shot is None else self.zero_shot.metrics()
        return self.voc.metrics() | self.coco.metrics() | extra

    def per_class(self) -> dict[str, dict[str, float | int | None]]:
        return {
            voc.name: {
                "objects": voc.positives,
                "voc07_ap50": voc.voc07_ap,
                "voc_ap50": voc.voc_ap,
                "coco_ap": coco.coco_ap,
                "coco_ap50": coco.coco_ap50,
                "coco_ap75": coco.coco_ap75,
            }
            for voc, coco in zip(self.voc.classes, self.coco.classes, strict=True)
        }


class DetectionJudge:
    """Keeps the detections themselves."""

    def record(
        self, data: Dataset, index: int, answer: Detections, views: dict[str, Detections]
    ) -> tuple[Detections, dict[str, Detections]]:
        return answer, views

    def result(
        self,
        data: Dataset,
        indices: Sequence[int],
        records: Sequence[tuple[Detections, dict[str, Detections]]],
        unseen: Sequence[int],
    ) -> DetectionResult:
        truths = [data.objects(index) for index in indices]
        found = [answer for answer, _ in records]
        names = list(records[0][1]) if records else []
        views = {name: [kept[name] for _, kept in records] for name in names}
        return DetectionResult(
            voc_average_precision(truths, found, data.classes),
            coco_average_precision(truths, found, data.classes, _areas(data, indices)),
            tuple(truths),
            zero_shot_metrics(truths, views | {"all": found}, data.classes, unseen) if views else None,
        )

    def answer(self, record: tuple[Detections, dict[str, Detections]]) -> Detections:
        return record[0]


def _areas(data: Dataset, indices: Sequence[int]) -> list[np.ndarray] | None:
    """The annotators' own object areas where the data set has them (COCO): they decide small and large."""
    areas = getattr(data, "areas", None)
    return None if areas is None else [areas(index) for index in indices]


class Masked(NamedTuple):
    """What is kept of a segmented picture."""

    record: SegmentationRecord
    right: float  # share of its pixels whose class is right; 1 where all are ignored
    mask: bytes  # (H, W) uint8 class of each pixel, deflated: masks of a whole split fill memory
    size: tuple[int, int]

    def labels(self) -> NDArray[np.uint8]:
        """(H, W) class of each pixel."""
        return np.frombuffer(zlib.decompress(self.mask), np.uint8).reshape(self.size)


class SegmentationJudge:
    """Keeps counts of pixels, and the answer's mask for pictures."""

    def record(self, data: MaskDataset, index: int, answer: Segmentation, views: dict[str, Any]) -> Masked:
        labels = answer.labels.numpy()
        truth, size = data.mask(index), (labels.shape[0], labels.shape[1])
        counts = record(truth, labels, len(data.classes))
        known = truth != IGNORED_PIXEL
        right = float((labels == truth)[known].mean()) if known.any() else 1.0
        return Masked(counts, right, zlib.compress(labels.tobytes(), 1), size)

    def result(
        self, data: MaskDataset, indices: Sequence[int], records: Sequence[Masked], unseen: Sequence[int]
    ) -> SegmentationResult:
        return summarize([one.record for one in records], data.classes)

    def answer(self, record: Masked) -> Masked:
        return record


class ReconstructionJudge:
    """Keeps the pictures that were made, and how far they are from the true ones."""

    def record(
        self, data: Dataset, index: int, answer: Reconstruction, views: dict[str, Any]
    ) -> tuple[NDArray[np.uint8], float, int]:
        sample, made = data[index], answer.image.permute(1, 2, 0).numpy()
        size = (made.shape[1], made.shape[0])
        true = np.asarray(Image.fromarray(sample.image).resize(size, Image.Resampling.BILINEAR)) / 255
        kept = (made.clip(0, 1) * 255 + 0.5).astype(np.uint8)
        assert sample.label is not None
        return kept, float(np.mean((made - true) ** 2)), sample.label

    def result(
        self,
        data: Dataset,
        indices: Sequence[int],
        records: Sequence[tuple[NDArray[np.uint8], float, int]],
        unseen: Sequence[int],
    ) -> ReconstructionResult:
        errors, labels = [error for _, error, _ in records], [label for *_, label in records]
        return ReconstructionResult(np.array(errors), np.array(labels, np.int64), data.classes)

    def answer(self, record: tuple[NDArray[np.uint8], float, int]) -> NDArray[np.uint8]:
        return record[0]


class ClassificationJudge:
    """Keeps the scores."""

    def record(
        self, data: Dataset, index: int, answer: Classification, views: dict[str, Any]
    ) -> Classification:
        return answer

    def result(
        self,
        data: Dataset,
        indices: Sequence[int],
        records: Sequence[Classification],
        unseen: Sequence[int],
    ) -> ClassificationResult:
        labels = [int(data.objects(index).labels[0]) for index in indices]
        return classification_accuracy(labels, records, data.classes)

    def answer(self, record: Classification) -> Classification:
        return record


class LocalizationJudge:
    """Keeps scores and box."""

    def record(self, data: Dataset, index: int, answer: Localization, views: dict[str, Any]) -> Localization:
        return answer

    def result(
        self,
        data: Dataset,
        indices: Sequence[int],
        records: Sequence[Localization],
        unseen: Sequence[int],
    ) -> LocalizationResult:
        return localization_accuracy([data.objects(index) for index in indices], records, data.classes)

    def answer(self, record: Localization) -> Localization:
        return record


def _nothing(result: Any) -> dict[str, Any]:
    return {}


SUM = "sum"


class Column(NamedTuple):
    """A number of a table."""

    key: str  # in `metrics` or `per_class`
    heading: str
    over_all: str = ""  # of a table of classes: the metric of all of them, or SUM


@dataclass(frozen=True)
class TaskEntry:
    """A task, for everything that measures and reports."""

    judge: Judge
    shown: tuple[Column, ...]  # the metrics that matter most; the first decides which weights are best
    per_class: tuple[Column, ...]  # a table of classes
    axis: str  # what curves are drawn against
    most: float | None = 1.0  # the largest value that there can be, for the axes of charts
    extra: Callable[[Any], dict[str, Any]] = _nothing  # what else `evaluation.json` holds

    @property
    def selection(self) -> str:
        """The metric that decides which weights are best."""
        return self.shown[0].key


TASKS: dict[Task, TaskEntry] = {
    Task.DETECT: TaskEntry(
        DetectionJudge(),
        shown=(
            Column("voc_map50", "VOC AP50"),
            Column("coco_ap", "COCO AP"),
            Column("voc07_map50", "VOC07 AP50"),
        ),
        per_class=(
            Column("objects", "objects", SUM),
            Column("voc_ap50", "VOC AP50", "voc_map50"),
            Column("voc07_ap50", "VOC07 AP50", "voc07_map50"),
            Column("coco_ap", "COCO AP", "coco_ap"),
            Column("coco_ap75", "COCO AP75", "coco_ap75"),
        ),
        axis="average precision",
    ),
    Task.SEGMENT: TaskEntry(
        SegmentationJudge(),
        shown=(
            Column("mean_iou", "mean IoU"),
            Column("boundary_f1", "boundary F1"),
            Column("pixel_accuracy", "pixel accuracy"),
        ),
        per_class=(
            Column("pixels", "pixels", SUM),
            Column("iou", "IoU", "mean_iou"),
            Column("accuracy", "accuracy", "mean_accuracy"),
            Column("boundary_f1", "boundary F1", "boundary_f1"),
        ),
        axis="mean IoU",
        extra=lambda result: {"confusion": result.confusion.tolist()},
    ),
    Task.CLASSIFY: TaskEntry(
        ClassificationJudge(),
        shown=(Column("top1", "top-1"), Column("top5", "top-5")),
        per_class=(
            Column("count", "images", SUM),
            Column("recall", "recall", "top1"),
            Column("precision", "precision"),
        ),
        axis="accuracy",
        extra=lambda result: {"confusion": result.confusion.tolist()},
    ),
    Task.LOCALIZE: TaskEntry(
        LocalizationJudge(),
        shown=(
            Column("localization_accuracy", "localization accuracy"),
            Column("mean_iou", "mean IoU"),
            Column("corloc50", "CorLoc50"),
        ),
        per_class=(
            Column("count", "images", SUM),
            Column("localization_accuracy", "accuracy", "localization_accuracy"),
            Column("mean_iou", "mean IoU", "mean_iou"),
            Column("corloc50", "CorLoc50", "corloc50"),
        ),
        axis="localization accuracy",
    ),
    Task.RECONSTRUCT: TaskEntry(
        ReconstructionJudge(),
        shown=(Column("psnr", "PSNR dB"), Column("mse", "squared error")),
        per_class=(
            Column("pictures", "pictures", SUM),
            Column("psnr", "PSNR dB", "psnr"),
            Column("mse", "squared error", "mse"),
        ),
        axis="PSNR dB",
        most=None,
    ),
}
"""What is measured, by task."""
