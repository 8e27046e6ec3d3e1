"""The stages of a detector's answer: where it looks, what it scores, what suppression leaves.

Each detector has its own first stages, read from the fields of its output; the last two, candidates and
detections, are common to all. Nothing is computed a second time for show.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import torch
from torch import Tensor

from neocog.models.fast_rcnn import FastRCNNOutput
from neocog.models.faster_rcnn import FasterRCNNOutput
from neocog.models.fpn import FPNOutput
from neocog.models.rcnn import RCNNOutput
from neocog.models.rfcn import RFCNOutput
from neocog.models.ssd import SSDOutput
from neocog.models.yolo import YOLOOutput
from neocog.models.zero_shot import ZeroShotOutput
from neocog.parts.regions import given
from neocog.parts.rpn import RPNOutput
from neocog.types import Batch, Proposals
from neocog.zoo import Detector

FEW, SOME, MANY = 20, 60, 300
"""Boxes of a stage that are shown at most, the best: more would hide the picture, unless they coincide."""


@dataclass(frozen=True, slots=True)
class Heat:
    """A score for every cell of a map."""

    values: Tensor  # (rows, columns) in [0, 1]
    extent: tuple[float, float]  # height and width that the map covers, pixels of the network's input


@dataclass(frozen=True, slots=True)
class Stage:
    """One step on the way to an answer. Boxes are in pixels of the network's input, the best first."""

    name: str
    caption: str
    total: int  # how many boxes there are; the best of them follow
    boxes: Tensor  # (N, 4) float32
    scores: Tensor  # (N,) float32 in [0, 1]
    labels: Tensor | None = None  # (N,) int64, where they have a class
    heat: Heat | None = None


@torch.inference_mode()
def stages(model: Detector, batch: Batch, conf: float = 0.3) -> tuple[Stage, ...]:
    """How a detector comes to its answer for the one picture of a batch, in order.

    `conf`: lowest score, in [0, 1], of the candidates and detections that are shown. Raises ValueError for a
    batch of several pictures.
    """
    if len(batch) != 1:
        raise ValueError(f"stages are those of one picture, not of {len(batch)}")
    batch = batch.without_targets()
    output = model(batch)
    found = model.candidates(output, batch)
    kept = model.decode(output, batch)[0]
    return (
        *first_stages(output, model, batch),
        best(
            "candidates",
            f"Everything scored {conf:g} or more, before suppression.",
            found.boxes,
            found.scores,
            found.labels,
            least=conf,
            most=MANY,
        ),
        best(
            "detections",
            "What is left where boxes of one class overlapped: the answer.",
            kept.boxes,
            kept.scores,
            kept.labels,
            least=conf,
        ),
    )


def best(
    name: str,
    caption: str,
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor | None = None,
    *,
    least: float = 0.0,
    most: int = SOME,
    heat: Heat | None = None,
) -> Stage:
    """The stage of these boxes (M, 4): those of at least the score `least`, and of them the best."""
    enough = torch.nonzero(scores >= least).squeeze(1)
    order = enough[scores[enough].argsort(descending=True, stable=True)][:most]
    chosen = None if labels is None else labels[order].cpu()
    return Stage(
        name, caption, len(enough), boxes[order].cpu(), scores[order].float().clamp(max=1).cpu(), chosen, heat
    )


@singledispatch
def first_stages(output: Any, model: Any, batch: Batch) -> tuple[Stage, ...]:
    """What precedes the candidates, by the type of the output. Raises TypeError for one without stages."""
    raise TypeError(f"no stages are known for {type(output).__name__}")


@first_stages.register
def _of_rcnn(output: RCNNOutput, model: Any, batch: Batch) -> tuple[Stage, ...]:
    caption = "Regions that selective search found. Each is cut out, warped, and goes through the network."
    return (_regions(given(batch)[0], caption),)


@first_stages.register
def _of_fast_rcnn(output: FastRCNNOutput, model: Any, batch: Batch) -> tuple[Stage, ...]:
    caption = "Regions that selective search found. Each is read from one map of features."
    return (_regions(given(batch)[0], caption),)


@first_stages.register
def _of_faster_rcnn(output: FasterRCNNOutput, model: Any, batch: Batch) -> tuple[Stage, ...]:
    shape = output.features.maps[model.options.level].shape[-2:]
    return proposal_stages(output.rpn, (shape[0], shape[1]), model.rpn.stride)


@first_stages.register
def _of_rfcn(output: RFCNOutput, model: Any, batch: Batch) -> tuple[Stage, ...]:
    shape = output.features.maps[model.options.level].shape[-2:]
    return proposal_stages(output.rpn, (shape[0], shape[1]), model.rpn.stride)


@first_stages.register
def _of_zero_shot(output: ZeroShotOutput, model: Any, batch: Batch) -> tuple[Stage, ...]:
    shape = output.features.maps[model.options.detector.level].shape[-2:]
    return proposal_stages(output.rpn, (shape[0], shape[1]), model.detector.rpn.stride)


@first_stages.register
def _of_fpn(output: FPNOutput, model: Any, batch: Batch) -> tuple[Stage, ...]:
    objectness = output.rpn.logits[0].softmax(dim=1)[:, 0]
    shapes = [(one.shape[2], one.shape[3]) for one in output.pyramid]
    counts = [len(output.rpn.anchors) // sum(rows * columns for rows, columns in shapes)] * len(shapes)
    strides = [*model.strides, 2 * model.strides[-1]]
    return (
        *_maps(objectness, output.rpn.anchors, shapes, strides, counts),
        _likely(objectness, output.rpn.anchors),
        _regions(output.rpn.proposals[0], _PROPOSALS),
    )


@first_stages.register
def _of_ssd(output: SSDOutput, model: Any, batch: Batch) -> tuple[Stage, ...]:
    likely = 1 - output.logits[0].softmax(dim=1)[:, -1]
    shapes = [(one.shape[2], one.shape[3]) for one in output.maps]
    counts = [len(one) for one in model.shapes]
    return (*_maps(likely, output.boxes, shapes, model.steps, counts), _likely(likely, output.boxes))


def _maps(
    likely: Tensor,
    boxes: Tensor,
    shapes: Sequence[tuple[int, int]],
    steps: Sequence[float],
    counts: Sequence[int],
) -> Iterator[Stage]:
    """A stage for each map of a table of boxes (A, 4): its cells, and the boxes of its surest cell.

    `likely` (A,) in [0, 1]; `shapes` (rows, columns), `steps` pixels a cell and `counts` boxes a cell of each
    map.
    """
    start = 0
    for number, ((rows, columns), step, each) in enumerate(zip(shapes, steps, counts, strict=True), 1):
        cells = likely[start : start + rows * columns * each].view(rows, columns, each).amax(dim=2)
        surest = start + int(cells.argmax()) * each
        own = slice(surest, surest + each)
        yield best(
            f"map {number}",
            f"{rows} x {columns} cells, {step:g} pixels wide: how likely any of the {each} boxes of each "
            "holds an object, and those of the surest cell.",
            boxes[own],
            likely[own],
            heat=Heat(cells.float().cpu(), (rows * step, columns * step)),
        )
        start += rows * columns * each


def _likely(scores: Tensor, boxes: Tensor) -> Stage:
    """The best of a whole table of boxes."""
    caption = f"The best of all {len(boxes)} boxes of the table, as they stand."
    return best("likely boxes", caption, boxes, scores, most=FEW)


@first_stages.register
def _of_yolo(output: YOLOOutput, model: Any, batch: Batch) -> tuple[Stage, ...]:
    """The grid: how sure the cells are, and the boxes they would draw whatever their class."""
    cells = output.cells
    confidences = cells.confidences[0].sigmoid() if len(model.priors) else cells.confidences[0].clamp(0, 1)
    confidences = confidences * cells.inside[0][:, None]
    rows, columns = cells.shape
    heat = confidences.amax(dim=1).view(rows, columns).float().cpu()
    strongest = int(confidences.amax(dim=1).argmax())
    place = cells.places[strongest] * cells.stride
    corner = torch.cat([place, place + cells.stride])[None]
    return (
        best(
            "cells",
            f"The {rows} x {columns} cells, each {cells.stride} pixels wide: how sure each is that an object "
            "has its centre there; the surest is framed.",
            corner,
            confidences[strongest].amax()[None],
            heat=Heat(heat, (rows * cells.stride, columns * cells.stride)),
        ),
        best(
            "boxes",
            f"The {cells.boxes.shape[2]} box(es) of every cell, by confidence alone.",
            cells.boxes[0].flatten(0, 1),
            confidences.flatten(),
        ),
    )


def proposal_stages(rpn: RPNOutput, shape: tuple[int, int], stride: int) -> tuple[Stage, ...]:
    """What a region proposal network does on one map of this (rows, columns)."""
    objectness = rpn.logits[0].softmax(dim=1)[:, 0]
    each = len(rpn.anchors) // (shape[0] * shape[1])
    return (
        *_maps(objectness, rpn.anchors, [shape], [stride], [each]),
        _likely(objectness, rpn.anchors),
        _regions(rpn.proposals[0], _PROPOSALS),
    )


_PROPOSALS = "The same, moved by their offsets and suppressed: the proposals."


def _regions(proposals: Proposals, caption: str) -> Stage:
    """Proposals as a stage; scores of no fixed range are spread from the worst to the best."""
    scores = proposals.scores
    if len(scores) and (scores.amin() < 0 or scores.amax() > 1):
        scores = (scores - scores.amin()) / (scores.amax() - scores.amin()).clamp(min=1e-12)
    return best("regions", caption, proposals.boxes, scores)
