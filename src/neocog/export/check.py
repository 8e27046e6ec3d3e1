"""Whether an exported file gives the model's answers.

The file must find as many objects as the model, of the same classes, and each of its boxes must be a box of
the model's: IoU at least 0.999, scores within 1e-4. Masks may differ in 0.01 % of the pixels, other scores by
1e-4.

No two programs round alike, and a detector makes decisions: which boxes are the best thousand, which of two
overlapping ones is better. Where the two sides of a decision are as good as equal, rounding takes it, and the
answers differ as a whole. So where a picture's answers differ, the model itself is asked again, with its
pixels changed by less than a thousandth of a grey level. Only if its own answer then changes, by the same
measure, does the picture not count, and it is reported; there may be few of these.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neocog.errors import CheckpointError
from neocog.export.reader import Exported
from neocog.ops.boxes import iou
from neocog.predict import Predictor
from neocog.types import Batch, Classification, Detections, Localization, Reconstruction, Segmentation, Task

LEAST_IOU = 0.999
MOST_SHIFT = 0.01  # pixels a corner may move, where a box is so small that this costs more IoU
MOST_SCORE = 1e-4
MOST_PIXELS = 1e-4  # share of a mask's pixels

NOISE = 2e-6  # of pixels in [0, 1]: half a thousandth of a grey level
TRIES = 8

BATCHES = (1, 3)


@dataclass
class Comparison:
    """What was compared, and how far apart the answers were that count as equal."""

    task: Task
    batches: tuple[int, ...] = BATCHES
    pictures: int = 0
    sizes: set[tuple[int, int]] = field(default_factory=set)  # (height, width) of the originals
    found: int = 0  # objects
    empty: int = 0  # pictures without any
    undecided: list[int] = field(default_factory=list)  # pictures that rounding decides
    score: float = 0.0  # largest difference of a score
    overlap: float = 1.0  # least IoU
    pixels: float = 0.0  # largest share of a mask

    def line(self) -> str:
        """For people."""
        heights, widths = zip(*sorted(self.sizes), strict=True)
        sides = f"{min(widths)} to {max(widths)} x {min(heights)} to {max(heights)} px"
        seen = f"{self.pictures} pictures of {sides}, in batches of {' and '.join(map(str, self.batches))}"
        scores, boxes = f"scores to {self.score:.1g}", f"IoU >= {self.overlap:.5f}"
        if self.task is Task.DETECT:
            told = f"{self.found} detections, {self.empty} pictures with none, {boxes}, {scores}"
        elif self.task is Task.SEGMENT:
            told = f"masks to {self.pixels:.2%} of a picture's pixels, {scores}"
        else:
            told = f"{boxes}, {scores}" if self.task is Task.LOCALIZE else scores
        aside = f"; {len(self.undecided)} undecided by rounding" if self.undecided else ""
        return f"the same answers as the model's: {seen}: {told}{aside}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "pictures": self.pictures,
            "sizes": sorted(self.sizes),
            "batches": list(self.batches),
            "detections": self.found if self.task is Task.DETECT else None,
            "empty": self.empty if self.task is Task.DETECT else None,
            "undecided": self.undecided,
            "largest_score_difference": self.score,
            "least_iou": self.overlap if self.task in (Task.DETECT, Task.LOCALIZE) else None,
            "largest_mask_difference": self.pixels if self.task is Task.SEGMENT else None,
        }


def compare(
    predictor: Predictor, exported: Exported, images: Sequence[NDArray[np.uint8]], name: str = "the file"
) -> Comparison:
    """Ask both about pictures (H, W, 3), in batches of 1 and 3 by turns.

    Raises CheckpointError with the first difference that rounding does not explain, or where it would have to
    explain more than one picture in fifty and one.
    """
    seen = Comparison(predictor.task)
    for batch, theirs_batch in _batches(predictor, exported, images):
        ours, theirs = predictor.run(batch)[0], exported.answers(theirs_batch)
        for place, pair in enumerate(zip(ours, theirs, strict=True)):
            number = seen.pictures
            seen.pictures += 1
            seen.sizes.add(batch.frames[place].original)
            fault = _differ(*pair, seen)
            if fault and not _wavers(predictor, batch, ours, place):
                height, width = batch.frames[place].original
                raise CheckpointError(
                    f"{name} does not answer as the model: picture {number} of {width} x {height} px, in a "
                    f"batch of {len(batch)}: {fault}; nothing was written"
                )
            if fault:
                seen.undecided.append(number)
            elif isinstance(pair[0], Detections):
                seen.found += len(pair[0])
                seen.empty += not len(pair[0])
    if len(seen.undecided) > 1 + len(images) // 50:
        raise CheckpointError(
            f"{name} cannot be compared: the model's own answers to {len(seen.undecided)} of {seen.pictures} "
            "pictures change with less than a thousandth of a grey level; nothing was written"
        )
    return seen


def _batches(
    predictor: Predictor, exported: Exported, images: Sequence[NDArray[np.uint8]]
) -> Iterator[tuple[Batch, Batch]]:
    """The pictures as the model takes them, and as the file does."""
    start, turn = 0, 0
    while start < len(images):
        some = images[start : start + BATCHES[turn % 2]]
        prepared = [predictor.prepare(image) for image in some]
        yield _joined(prepared, predictor.padding), exported.prepare(some)
        start, turn = start + len(some), turn + 1


def _joined(batches: Sequence[Batch], stride: int) -> Batch:
    """Batches of one picture as one batch."""
    if len(batches) == 1:
        return batches[0]
    height, width = (stride * -(-max(one.sizes[0][axis] for one in batches) // stride) for axis in (0, 1))
    images = torch.zeros(len(batches), 3, height, width).contiguous(memory_format=torch.channels_last)
    for ground, one in zip(images, batches, strict=True):
        rows, columns = one.sizes[0]
        ground[:, :rows, :columns] = one.images[0, :, :rows, :columns]
    proposals = [one.proposals[0] for one in batches if one.proposals is not None]
    return Batch(
        images=images,
        sizes=tuple(one.sizes[0] for one in batches),
        targets=None,
        frames=tuple(one.frames[0] for one in batches),
        keys=tuple(one.keys[0] for one in batches),
        proposals=tuple(proposals) or None,
    )


def _wavers(predictor: Predictor, batch: Batch, ours: Sequence[Any], place: int) -> bool:
    """Whether the model's own answer to a picture changes with next to nothing."""
    draw = torch.Generator().manual_seed(0)
    for _ in range(TRIES):
        noise = (torch.rand(batch.images.shape, generator=draw) * 2 - 1) * NOISE
        again = predictor.run(replace(batch, images=batch.images + noise))[0]
        if _differ(ours[place], again[place], Comparison(predictor.task)):
            return True
    return False


def _differ(ours: Any, theirs: Any, seen: Comparison) -> str:
    """In what two answers differ; empty, and `seen` kept up to date, where they count as equal."""
    match ours:
        case Detections():
            return _detections(ours, theirs, seen)
        case Segmentation():
            return _segmentation(ours, theirs, seen)
        case Localization(scores, box):
            overlap = float(iou(box[None], theirs.box[None]))
            if overlap < LEAST_IOU and float((box - theirs.box).abs().max()) > MOST_SHIFT:
                return f"boxes of IoU {overlap:.4f}"
            seen.overlap = min(seen.overlap, overlap)
            return _values("scores", scores, theirs.scores, seen)
        case Classification(scores):
            return _values("scores", scores, theirs.scores, seen)
        case Reconstruction(image, code):
            return _values("pixels", image, theirs.image, seen) or _values("codes", code, theirs.code, seen)
    raise TypeError(f"no answer: {type(ours).__name__}")


def _values(what: str, ours: Tensor, theirs: Tensor, seen: Comparison) -> str:
    if ours.shape != theirs.shape:
        return f"{tuple(ours.shape)} {what} and {tuple(theirs.shape)}"
    apart = float((ours - theirs).abs().max())
    if not apart <= MOST_SCORE:
        return f"{what} differ by {apart:.2g}"
    seen.score = max(seen.score, apart)
    return ""


def _segmentation(ours: Segmentation, theirs: Segmentation, seen: Comparison) -> str:
    if ours.scores.shape != theirs.scores.shape:
        return f"scores {tuple(ours.scores.shape)} and {tuple(theirs.scores.shape)}"
    share = float((ours.labels != theirs.labels).double().mean())
    if share > MOST_PIXELS:
        return f"masks differ in {share:.3%} of the pixels"
    seen.pixels = max(seen.pixels, share)
    return _values("scores", ours.scores, theirs.scores, seen)


def _detections(ours: Detections, theirs: Detections, seen: Comparison) -> str:
    """Each of ours finds one of theirs of its class, place and score, and none is left over."""
    if len(ours) != len(theirs):
        return f"{len(ours)} detections, and {len(theirs)} from the file"
    if not len(ours):
        return ""
    overlaps = iou(ours.boxes, theirs.boxes)
    shifts = (ours.boxes[:, None] - theirs.boxes[None]).abs().amax(dim=2)
    apart = (ours.scores[:, None] - theirs.scores[None]).abs()
    same = (ours.labels[:, None] == theirs.labels[None]) & (apart <= MOST_SCORE)
    same &= (overlaps >= LEAST_IOU) | (shifts <= MOST_SHIFT)
    free = torch.ones(len(theirs), dtype=torch.bool)
    worst_overlap, worst_score = 1.0, 0.0
    for row in range(len(ours)):
        fits = torch.nonzero(same[row] & free)[:, 0]
        if not len(fits):
            label, score = int(ours.labels[row]), float(ours.scores[row])
            of_class = theirs.labels == label
            near = float(torch.where(of_class, overlaps[row], 0.0).max())
            return f"none like the model's of class {label}, score {score:.4f} (nearest: IoU {near:.4f})"
        partner = fits[shifts[row, fits].argmin()]
        free[partner] = False
        worst_score = max(worst_score, float(apart[row, partner]))
        if overlaps[row, partner] >= LEAST_IOU:  # a box without area has none, even with itself
            worst_overlap = min(worst_overlap, float(overlaps[row, partner]))
    seen.overlap, seen.score = min(seen.overlap, worst_overlap), max(seen.score, worst_score)
    return ""
