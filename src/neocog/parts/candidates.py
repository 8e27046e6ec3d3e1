"""Scored boxes before and after suppression: the last step of every detector."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from neocog.ops.nms import batched_nms
from neocog.types import Detections


@dataclass(frozen=True, slots=True)
class Candidates:
    """What a detector might report of a whole batch, many times over: M boxes, each with one class."""

    boxes: Tensor  # (M, 4) pixels of the network's input
    scores: Tensor  # (M,) in [0, 1], but for what squared errors teach
    labels: Tensor  # (M,) int64
    images: Tensor  # (M,) int64, position in the batch

    def __len__(self) -> int:
        return len(self.boxes)


def suppress(
    candidates: Candidates, images: int, classes: int, nms: float, most: int | None
) -> list[Detections]:
    """Of boxes that overlap by more than `nms` in one image and class the best, and at most `most` an image.

    A result for each of so many images, best first. `nms` is an IoU in [0, 1]; with 1 every box stays.
    """
    image, label = candidates.images, candidates.labels
    keep = batched_nms(candidates.boxes, candidates.scores, image * classes + label, nms)
    boxes, score, label, image = candidates.boxes[keep], candidates.scores[keep], label[keep], image[keep]
    return [
        Detections(boxes[own][:most], score[own][:most], label[own][:most])
        for own in (image == index for index in range(images))
    ]
