"""The score that an explanation asks about: one number a finding, with its gradient.

    classifier, localizer  the logit of the class, before softmax
    segmenter              the mean logit of the class over the pixels that it is given
    detector               of a detection, the log odds ln p / (1 - p) of its score p as `candidates` computes
                           it: of a sigmoid what went in, of a softmax the logit less the log-sum-exp of the
                           others. So in R-CNN and its followers (the class of a region), SSD (of a default
                           box), zero-shot (cosines over a temperature) and YOLO with `loss=giou` or anchors
                           (confidence times class). Version 1 of YOLO has no sigmoid: its score itself.

Of detectors the score is computed once more in float64 from the logits: near 1 the softmax in float32 has no
odds left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from neocog.errors import UsageError
from neocog.explain.subject import Subject, with_images
from neocog.models.rcnn import RCNN
from neocog.models.yolo import YOLO
from neocog.nested import map_tensors
from neocog.ops.boxes import iou
from neocog.parts.candidates import Candidates
from neocog.types import Batch, Task
from neocog.zoo import known

SCORED = (Task.CLASSIFY, Task.LOCALIZE, Task.SEGMENT, Task.DETECT)
"""Tasks whose answers have scores."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a model says of a picture, and the score that it says it with."""

    label: int
    probability: float  # in [0, 1], as the answer has it
    score: Tensor  # scalar, differentiable: the module's docstring says which
    box: Tensor | None = None  # (4,) pixels of the network's input, for a detection


@dataclass(frozen=True, slots=True)
class Look:
    """What a network computed on the way to its findings, still with gradients."""

    images: Tensor  # (1, 3, H, W) what it saw; a leaf
    extent: tuple[float, float, float, float]  # x0 y0 x1 y1 that they cover, pixels of the network's input
    maps: Mapping[str, Tensor]  # each (1, C, h, w)
    findings: tuple[Finding, ...]  # the best first


def look(subject: Subject, label: str | None = None, *, most: int = 3, conf: float = 0.0) -> Look:
    """Run the network on the picture with gradients. `label`: findings of this class alone.

    A classifier, a localizer and a segmenter have one finding: the class with the highest score, or for a
    segmenter that with the most pixels beside class 0. A detector has its `most` best detections of at least
    the score `conf`, and the best one in any case. R-CNN looks at one crop at a time: its best detection's.
    Raises UsageError for a class that is not known or not found, and for a model without scores.
    """
    model, batch = subject.model, subject.batch
    wanted = None if label is None else subject.classes.index(known(label, subject.classes, "class"))
    if model.task not in SCORED:
        raise UsageError(f"a model of the task '{model.task.value}' has no scores to explain")
    if isinstance(model, RCNN):
        return _look_at_crop(model, batch, wanted)
    images = batch.images.detach().clone().requires_grad_()
    with torch.enable_grad():
        output = model(with_images(batch, images))
        if model.task is Task.DETECT:
            findings = _detections(model, output, batch, wanted, most, conf)
        elif model.task is Task.SEGMENT:
            findings = (_pixels(output.logits[0], batch.sizes[0], wanted),)
        else:
            findings = (_class(output.logits[0], wanted),)
    height, width = images.shape[-2:]
    return Look(images, (0.0, 0.0, float(width), float(height)), output.features.maps, findings)


def _class(logits: Tensor, wanted: int | None) -> Finding:
    """Of logits (K,)."""
    label = int(logits.argmax()) if wanted is None else wanted
    return Finding(label, float(logits.detach().softmax(dim=0)[label]), logits[label])


def _pixels(logits: Tensor, size: tuple[int, int], wanted: int | None) -> Finding:
    """Of logits (K, H, W). Where no pixel is given the class, all of them count."""
    logits = logits[:, : size[0], : size[1]]
    labels = logits.argmax(dim=0)
    counts = labels.flatten().bincount(minlength=len(logits))
    if wanted is None:
        wanted = 1 + int(counts[1:].argmax()) if counts[1:].any() else 0
    own = labels == wanted if counts[wanted] else torch.ones_like(labels, dtype=torch.bool)
    probability = float(logits.detach().softmax(dim=0)[wanted][own].mean())
    return Finding(wanted, probability, logits[wanted][own].mean())


def _detections(
    model: Any, output: Any, batch: Batch, wanted: int | None, most: int, conf: float
) -> tuple[Finding, ...]:
    with torch.no_grad():
        found = model.decode(output, batch)[0]
    if wanted is not None:
        found = found[found.labels == wanted]
    kept = found[found.scores >= conf][:most]
    if not len(kept):
        kept = found[:1]
    if not len(kept):
        what = "nothing" if wanted is None else "nothing of this class"
        raise UsageError(f"the model found {what} in the picture, so there is no score to explain")
    candidates = model.candidates(map_tensors(_doubled, output), batch)
    findings = []
    for box, score, label in zip(kept.boxes, kept.scores.tolist(), kept.labels.tolist(), strict=True):
        away = (candidates.boxes - box).abs().sum(dim=1) + (candidates.scores - score).abs()
        own = int(away.detach().masked_fill(candidates.labels != label, torch.inf).argmin())
        findings.append(Finding(label, score, _log_odds(model, candidates.scores[own]), box))
    return tuple(findings)


def _log_odds(model: Any, score: Tensor) -> Tensor:
    if isinstance(model, YOLO) and not len(model.priors):
        return score
    return torch.logit(score, eps=1e-15)


def _doubled(one: Tensor) -> Tensor:
    """In float64 where it has a gradient."""
    return one.double() if one.requires_grad and one.is_floating_point() else one


def _look_at_crop(model: RCNN, batch: Batch, wanted: int | None) -> Look:
    """R-CNN's best region, of all or of one class: the crop of it through the network once more."""
    with torch.no_grad():
        output = model(batch)
    scores = _crop_scores(model, output.logits)
    by_region = scores.amax(dim=1) if wanted is None else scores[:, wanted]
    best = int(by_region.argmax())
    label = int(scores[best].argmax()) if wanted is None else wanted
    box, index = output.regions.boxes[best : best + 1], output.regions.images[best : best + 1]
    images = model.crops(batch.images, box, index).detach().clone().requires_grad_()
    level, options = model.options.level, model.options
    with torch.enable_grad():
        features = model.backbone(images, until=level)
        vectors = model.head.features(features.maps[level])
        logits, _ = model.head.outputs(vectors)
        if model.linear is not None and model.linear.fitted:
            logits, _ = model.linear(vectors, features.maps[level])
        score = torch.logit(_crop_scores(model, logits.double())[0, label], eps=1e-15)
    probability = float(scores[best, label])
    extent = _enlarged(box[0].tolist(), options.crop / (options.crop - 2 * options.context))
    return Look(images, extent, features.maps, (Finding(label, probability, score, box[0]),))


def _crop_scores(model: RCNN, logits: Tensor) -> Tensor:
    """(R, K) as R-CNN's `candidates` has them: of SVMs the logistic function, else the softmax."""
    return logits.sigmoid() if logits.shape[1] == model.classes else logits.softmax(dim=1)[:, :-1]


def _enlarged(box: list[float], scale: float) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = box
    across, down = (x1 - x0) * (scale - 1) / 2, (y1 - y0) * (scale - 1) / 2
    return x0 - across, y0 - down, x1 + across, y1 + down


def probability_of(subject: Subject, finding: Finding) -> Callable[[Tensor], Tensor]:
    """A function from other pixels (N, 3, H, W) of the picture to how probable the finding still is (N,).

    Of a classifier or localizer the softmax of its class; of a segmenter its mean over the pixels that had
    the class; of a detector the highest score among candidates of its class whose IoU with the detection is
    0.5 or more, 0 where there are none. Regions from outside stay those of the whole picture.
    """
    model, batch, label = subject.model, subject.batch, finding.label
    if model.task is Task.SEGMENT:
        with torch.inference_mode():
            first = model(batch).logits[0].softmax(dim=0)
        inside = torch.zeros_like(first[0], dtype=torch.bool)
        inside[: batch.sizes[0][0], : batch.sizes[0][1]] = True
        own = (first.argmax(dim=0) == label) & inside
        own = own if own.any() else inside

    def probability(images: Tensor) -> Tensor:
        many = with_images(batch, images)
        output = model(many)
        if model.task is Task.DETECT:
            return _best_near(model.candidates(output, many), finding, len(images))
        shares: Tensor = output.logits.float().softmax(dim=1)[:, label]
        return shares[:, own].mean(dim=1) if model.task is Task.SEGMENT else shares

    return torch.inference_mode()(probability)


def _best_near(found: Candidates, finding: Finding, count: int) -> Tensor:
    assert finding.box is not None
    near = (iou(found.boxes, finding.box[None])[:, 0] >= 0.5) & (found.labels == finding.label)
    best = found.scores.new_zeros(count)
    return best.scatter_reduce(0, found.images[near], found.scores[near], "amax").clamp(max=1)
