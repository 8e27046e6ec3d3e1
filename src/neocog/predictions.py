"""What a trained model says of one picture, in that picture's own pixels: one class a task.

All of them draw themselves (`draw`), become plain values (`to_dict`) and fit on one line (`line`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from neocog.data.images import read_image
from neocog.errors import UsageError
from neocog.types import (
    IGNORED_PIXEL,
    Answer,
    Classification,
    Detections,
    Localization,
    Reconstruction,
    Segmentation,
)

if TYPE_CHECKING:
    from PIL.Image import Image

Picture = np.ndarray | str | Path
"""A uint8 RGB array (H, W, 3), or an image file."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a detector found, best first."""

    boxes: np.ndarray  # (N, 4) float32 x0 y0 x1 y1
    scores: np.ndarray  # (N,) float32
    labels: np.ndarray  # (N,) int64
    classes: tuple[str, ...]
    source: str = ""

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def names(self) -> list[str]:
        """The class name of each detection."""
        return [self.classes[label] for label in self.labels]

    def above(self, score: float) -> Prediction:
        """Only the detections with at least this score."""
        keep = self.scores >= score
        return replace(self, boxes=self.boxes[keep], scores=self.scores[keep], labels=self.labels[keep])

    def detections(self) -> Detections:
        """The same as tensors."""
        return Detections(*(torch.from_numpy(column) for column in (self.boxes, self.scores, self.labels)))

    def draw(self, image: Picture, threshold: float = 0.5) -> Image:
        """The picture with its detections drawn, as a Pillow image."""
        from neocog.pictures.draw import draw_detections

        return draw_detections(_pixels(image), self.detections(), self.classes, threshold)

    def line(self) -> str:
        return f"{len(self)} found"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        found = zip(self.boxes.tolist(), self.scores.tolist(), self.labels.tolist(), strict=True)
        return {
            "source": self.source,
            "detections": [
                {"box": box, "score": score, "label": label, "name": self.classes[label]}
                for box, score, label in found
            ],
        }

    def to_coco(self, image_id: int = 0) -> list[dict[str, Any]]:
        """COCO result records: `bbox` is x, y, width, height; category ids count from 1 in class order."""
        corners = np.concatenate([self.boxes[:, :2], self.boxes[:, 2:] - self.boxes[:, :2]], axis=1)
        found = zip(corners.tolist(), self.scores.tolist(), self.labels.tolist(), strict=True)
        return [
            {"image_id": image_id, "category_id": label + 1, "bbox": box, "score": score}
            for box, score, label in found
        ]

    def to_supervision(self) -> Any:
        """The same as `supervision.Detections`, with the classes' names in `data["class_name"]`.

        Raises UsageError where supervision is not installed.
        """
        return _supervision().Detections(
            xyxy=self.boxes,
            confidence=self.scores,
            class_id=self.labels.astype(int),
            data={"class_name": np.array(self.names, dtype=str)},
        )


class _Named:
    """What has a score for each class, and so a most likely one."""

    __slots__ = ()
    scores: np.ndarray
    classes: tuple[str, ...]

    @property
    def label(self) -> int:
        return int(self.scores.argmax())

    @property
    def name(self) -> str:
        """The most likely class."""
        return self.classes[self.label]

    @property
    def score(self) -> float:
        """That of the most likely class."""
        return float(self.scores[self.label])


@dataclass(frozen=True, slots=True)
class ClassPrediction(_Named):
    """What a classifier says of a whole picture."""

    scores: np.ndarray  # (K,) float32, sum 1
    classes: tuple[str, ...]
    source: str = ""

    def top(self, count: int = 5) -> list[tuple[str, float]]:
        """The most likely classes with their scores, best first."""
        order = np.argsort(-self.scores, kind="stable")[:count]
        return [(self.classes[label], float(self.scores[label])) for label in order]

    def draw(self, image: Picture) -> Image:
        """The picture under its most likely classes, as a Pillow image."""
        from neocog.pictures.answers import draw_class

        return draw_class(_pixels(image), self.line())

    def line(self) -> str:
        return ", ".join(f"{name} {score:.2f}" for name, score in self.top(3))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "source": self.source,
            "label": self.label,
            "name": self.name,
            "scores": dict(zip(self.classes, self.scores.tolist(), strict=True)),
        }


@dataclass(frozen=True, slots=True)
class ObjectPrediction(_Named):
    """The one main object of a picture."""

    box: np.ndarray  # (4,) float32 x0 y0 x1 y1
    scores: np.ndarray  # (K,) float32, sum 1
    classes: tuple[str, ...]
    source: str = ""

    def draw(self, image: Picture) -> Image:
        """The picture with the object's box, as a Pillow image."""
        from neocog.pictures.answers import draw_localization

        answer = Localization(torch.from_numpy(self.scores), torch.from_numpy(self.box))
        return draw_localization(_pixels(image), answer, self.classes)

    def line(self) -> str:
        return f"{self.name} {self.score:.2f} at {', '.join(f'{value:.0f}' for value in self.box)}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "source": self.source,
            "box": self.box.tolist(),
            "label": self.label,
            "name": self.name,
            "score": self.score,
            "scores": dict(zip(self.classes, self.scores.tolist(), strict=True)),
        }


@dataclass(frozen=True, slots=True)
class MaskPrediction:
    """A class for every pixel."""

    mask: np.ndarray  # (H, W) uint8
    scores: np.ndarray  # (H, W) float32: of each pixel's class
    classes: tuple[str, ...]
    source: str = ""

    def above(self, score: float) -> MaskPrediction:
        """The same, with 255 (ignored) for every pixel whose score is lower."""
        return replace(self, mask=np.where(self.scores >= score, self.mask, np.uint8(IGNORED_PIXEL)))

    def shares(self) -> dict[str, float]:
        """The share of the picture that each class in it covers, largest first."""
        counts = np.bincount(self.mask.ravel(), minlength=256)[: len(self.classes)]
        order = [label for label in np.argsort(-counts, kind="stable") if counts[label]]
        return {self.classes[label]: float(counts[label] / self.mask.size) for label in order}

    def draw(self, image: Picture) -> Image:
        """The picture with every class in its colour over it, as a Pillow image."""
        from neocog.pictures.answers import draw_mask

        return draw_mask(_pixels(image), self.mask, self.classes)

    def line(self) -> str:
        return ", ".join(f"{name} {share:.0%}" for name, share in list(self.shares().items())[:5])

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON: the mask itself is a picture, and not in it."""
        return {"source": self.source, "shares": self.shares()}

    def to_coco(self, image_id: int = 0) -> list[dict[str, Any]]:
        """COCO stuff records, one for each class in the picture, its pixels as compressed run lengths.

        Category ids count from 1 in class order, background included.
        """
        from faster_coco_eval.core import mask as run_lengths

        records = []
        for label in self._labels():
            encoded = run_lengths.encode(np.asfortranarray(self.mask == label, np.uint8))
            counts = encoded["counts"].decode("ascii")
            segmentation = {"size": list(self.mask.shape), "counts": counts}
            records.append({"image_id": image_id, "category_id": label + 1, "segmentation": segmentation})
        return records

    def to_supervision(self) -> Any:
        """The same as `supervision.Detections`, one for each class in the picture, with its pixels as `mask`.

        Their scores are the means over those pixels, and their names are in `data["class_name"]`. Raises
        UsageError where supervision is not installed.
        """
        labels = self._labels()
        masks = np.array([self.mask == label for label in labels]).reshape(-1, *self.mask.shape)
        return _supervision().Detections(
            xyxy=np.array([_bounds(mask) for mask in masks], np.float32).reshape(-1, 4),
            mask=masks,
            confidence=np.array([self.scores[mask].mean() for mask in masks], np.float32),
            class_id=np.array(labels, int),
            data={"class_name": np.array([self.classes[label] for label in labels], dtype=str)},
        )

    def _labels(self) -> list[int]:
        """The classes that the picture has pixels of, in their order."""
        return [label for label in np.unique(self.mask).tolist() if label < len(self.classes)]


@dataclass(frozen=True, slots=True)
class CodePrediction:
    """A picture as a graphics code, and what the decoder makes of that code."""

    image: np.ndarray  # (H, W, 3) float32 in [0, 1], as large as the network's pictures
    code: np.ndarray  # (D,) float32
    source: str = ""

    def draw(self, image: Picture) -> Image:
        """The picture beside the one made of its code, as a Pillow image."""
        from neocog.pictures.answers import draw_rendered

        return draw_rendered(_pixels(image), self.image)

    def line(self) -> str:
        return "code " + " ".join(f"{value:.2f}" for value in self.code[:6]) + " ..."

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {"source": self.source, "code": self.code.tolist()}


AnyPrediction = Prediction | ClassPrediction | ObjectPrediction | MaskPrediction | CodePrediction


def prediction_of(answer: Answer, classes: Sequence[str], source: str = "") -> AnyPrediction:
    """An answer in original pixels as a prediction."""
    names, answer = tuple(classes), answer.to(torch.device("cpu"))
    match answer:
        case Detections(boxes, scores, labels):
            return Prediction(boxes.numpy(), scores.numpy(), labels.numpy(), names, source)
        case Classification(scores):
            return ClassPrediction(scores.numpy(), names, source)
        case Localization(scores, box):
            return ObjectPrediction(box.numpy(), scores.numpy(), names, source)
        case Segmentation(scores):
            return MaskPrediction(answer.labels.numpy(), scores.amax(0).numpy(), names, source)
        case Reconstruction(image, code):
            return CodePrediction(image.permute(1, 2, 0).numpy(), code.numpy(), source)


def _supervision() -> Any:
    try:
        import supervision
    except ImportError as error:
        raise UsageError("to_supervision needs supervision: pip install supervision") from error
    return supervision


def _bounds(mask: np.ndarray) -> tuple[int, int, int, int]:
    """x0 y0 x1 y1 around the true cells of a mask (H, W)."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _pixels(image: Picture) -> np.ndarray:
    return image if isinstance(image, np.ndarray) else read_image(Path(image))
