"""Grad-CAM: which cells of a map raise a score.

Selvaraju et al. 2017, arXiv:1610.02391. With y the score (`neocog.explain.scores` says which) and A_k channel
k of a map, its weight is the mean over the cells of dy / dA_k, and the map shown is ReLU(sum_k weight_k A_k).
Guided Grad-CAM multiplies it, at every pixel, with what guided back-propagation makes of y.
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from neocog.errors import UsageError
from neocog.explain.backward import Rectifiers
from neocog.explain.receptive import Field, field_of, over_pixels
from neocog.explain.scores import Finding, Look, look
from neocog.explain.subject import Choices, Shown, Subject, chosen_level, margin_of
from neocog.pictures.maps import heated, signed_rgb


def grad_cam(score: Tensor, cells: Tensor) -> Tensor:
    """The map (h, w), 0 and above, of a scalar score computed from cells (1, C, h, w)."""
    (slopes,) = torch.autograd.grad(score, cells, retain_graph=True)
    weights = slopes.mean(dim=(2, 3), keepdim=True)
    return F.relu((weights * cells.detach()).sum(dim=1))[0]


def gradcam(subject: Subject, choices: Choices) -> list[Shown]:
    """For each finding the picture, tinted where the map is high, and Guided Grad-CAM beside it.

    A detector has up to three findings, its best detections; others have one. The map is the chosen one, or
    the last that the score depends on and that is no pooling.
    """
    found = look(subject, choices.label, conf=choices.conf)
    with Rectifiers("guided"):
        again = look(subject, choices.label, conf=choices.conf)
    shown = []
    for number, finding in enumerate(found.findings):
        level = _level(subject, found, finding, choices.level)
        field = field_of(subject.backbone, level, subject.batch.sizes[0], margin_of(subject.model))
        cells = grad_cam(finding.score, found.maps[level])
        highest = float(cells.max())
        cells = cells / highest if highest > 0 else cells
        shown += [
            _overlay(subject, found, finding, level, field, cells),
            _guided(subject, again, again.findings[number], level, field, cells),
        ]
    return shown


def _level(subject: Subject, found: Look, finding: Finding, level: str | None) -> str:
    """The map to look at. Raises UsageError for one that the score does not depend on."""
    names = list(found.maps)
    slopes = torch.autograd.grad(
        finding.score, list(found.maps.values()), retain_graph=True, allow_unused=True
    )
    used = [name for name, one in zip(names, slopes, strict=True) if one is not None and bool(one.any())]
    if level is not None and level in names and level not in used:
        raise UsageError(f"the score does not depend on '{level}': give one of {', '.join(used)}")
    if not used:
        raise UsageError("the score depends on no map of the backbone")
    return chosen_level(subject.backbone, level, used)


def _overlay(
    subject: Subject, found: Look, finding: Finding, level: str, field: Field, cells: Tensor
) -> Shown:
    name, x, y = _named(subject, finding), *_peak(found, field, cells)
    heat = _over_input(subject, found, field, cells)
    tint = subject.frame.sample_original(heat[None])[0].clamp(0, 1).cpu().numpy()
    picture = heated(subject.pixels, tint, f"Grad-CAM of {level} for {name}, 1 is its maximum")
    caption = (
        f"Where {level} raises the score of {name}: {cells.shape[0]} x {cells.shape[1]} cells, bilinear "
        "between their centres."
    )
    record = {
        "class": subject.classes[finding.label],
        "probability": finding.probability,
        "score": float(finding.score.detach()),
        "level": level,
        "peak": subject.frame.from_input(torch.tensor([[x, y, x, y]]))[0, :2].tolist(),
    }
    if finding.box is not None:
        record["box"] = subject.frame.to_original(finding.box[None].cpu())[0].tolist()
    return Shown(f"{subject.classes[finding.label]}", caption, picture, record)


def _peak(found: Look, field: Field, cells: Tensor) -> tuple[float, float]:
    """The centre of the highest cell, x and y in pixels of the network's input."""
    row, column = divmod(int(cells.argmax()), cells.shape[1])
    strides, offsets = _laid(found, field)
    return offsets[1] + column * strides[1], offsets[0] + row * strides[0]


def _laid(found: Look, field: Field) -> tuple[tuple[float, float], tuple[float, float]]:
    """Strides and offsets (down, across) of a map's cells in pixels of the network's input."""
    x0, y0, x1, y1 = found.extent
    height, width = found.images.shape[-2:]
    down, across = (y1 - y0) / height, (x1 - x0) / width
    return (field.stride * down, field.stride * across), (
        y0 + field.offset * down,
        x0 + field.offset * across,
    )


def _over_input(subject: Subject, found: Look, field: Field, cells: Tensor) -> Tensor:
    """A map at every pixel of the network's input (h, w) without its padding; 0 where it does not reach."""
    height, width = subject.batch.sizes[0]
    strides, offsets = _laid(found, field)
    heat = over_pixels(cells[None], strides, offsets, (height, width))[0]
    x0, y0, x1, y1 = found.extent
    y = torch.arange(height, device=heat.device)[:, None] + 0.5
    x = torch.arange(width, device=heat.device) + 0.5
    return heat * ((x >= x0) & (x < x1) & (y >= y0) & (y < y1))


def _guided(
    subject: Subject, found: Look, finding: Finding, level: str, field: Field, cells: Tensor
) -> Shown:
    (back,) = torch.autograd.grad(finding.score, found.images, retain_graph=True)
    height, width = found.images.shape[-2:]
    heat = over_pixels(cells[None], (field.stride,) * 2, (field.offset,) * 2, (height, width))
    product = (back[0] * heat).float()
    if found.extent == (0.0, 0.0, float(width), float(height)):
        product = product[:, : subject.batch.sizes[0][0], : subject.batch.sizes[0][1]]
    pixels = signed_rgb(product.permute(1, 2, 0).cpu().numpy())
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    scale = max(1, 384 // min(picture.size))
    picture = picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)
    caption = (
        f"Guided Grad-CAM of {_named(subject, finding)}: guided back-propagation of the score times the map "
        f"of {level}, in pixels of the network's input; grey is 0."
    )
    return Shown(f"{subject.classes[finding.label]} guided", caption, picture)


def _named(subject: Subject, finding: Finding) -> str:
    return f"'{subject.classes[finding.label]}' ({finding.probability:.2f})"
