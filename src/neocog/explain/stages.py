"""The stages of a detector's answer: where it looks, what it scores, what suppression leaves.

Each detector has its own first stages, read from the fields of its output; the last two, candidates and
detections, are common to all. Nothing is computed a second time for show.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import torch
from torch import Tensor

from neocog.models.fast_rcnn import FastRCNNOutput
from neocog.models.faster_rcnn import FasterRCNNOutput
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
def _of_ssd(output: SSDOutput, model: Any, batch: Batch) -> tuple[Stage, ...]:
    """A stage for each map: how likely its cells see an object, and the boxes of its surest cell."""
    likely = 1 - output.logits[0].softmax(dim=1)[:, -1]
    found, start = [], 0
    for number, (one, step) in enumerate(zip(output.maps, model.steps, strict=True), 1):
        rows, columns = one.shape[-2:]
        each = len(model.shapes[number - 1])
        stop = start + rows * columns * each
        cells = likely[start:stop].view(rows, columns, each)
        surest = start + int(cells.amax(dim=2).argmax()) * each
        own = slice(surest, surest + each)
        found.append(
            best(
                f"map {number}",
                f"{rows} x {columns} cells, {step:g} pixels wide: how likely any of the {each} default boxes "
                "of each holds an object, and those of the surest cell.",
                output.boxes[own],
                likely[own],
                heat=Heat(cells.amax(dim=2).float().cpu(), (rows * step, columns * step)),
            )
        )
        start = stop
    caption = f"The best of all {len(likely)} default boxes, as they stand."
    return (*found, best("likely boxes", caption, output.boxes, likely, most=FEW))


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
    """What a region proposal network does on a map of this (rows, columns)."""
    objectness = rpn.logits[0].softmax(dim=1)[:, 0]
    cells = objectness.view(*shape, -1)
    strongest = int(cells.amax(dim=2).argmax())
    own = slice(strongest * cells.shape[2], (strongest + 1) * cells.shape[2])
    heat = Heat(cells.amax(dim=2).float().cpu(), (shape[0] * stride, shape[1] * stride))
    count = len(rpn.anchors)
    return (
        best(
            "anchors",
            f"The {cells.shape[2]} anchors of one of {shape[0]} x {shape[1]} cells, and where an object is "
            "likely: the best score of each cell.",
            rpn.anchors[own],
            objectness[own],
            heat=heat,
        ),
        best("likely anchors", f"The best of all {count} anchors, as they stand.", rpn.anchors, objectness),
        _regions(rpn.proposals[0], "The same, moved by their offsets and suppressed: the proposals."),
    )


def _regions(proposals: Proposals, caption: str) -> Stage:
    """Proposals as a stage; scores of no fixed range are spread from the worst to the best."""
    scores = proposals.scores
    if len(scores) and (scores.amin() < 0 or scores.amax() > 1):
        scores = (scores - scores.amin()) / (scores.amax() - scores.amin()).clamp(min=1e-12)
    return best("regions", caption, proposals.boxes, scores)
