"""Torchvision's Faster R-CNN on ResNet-50 and a feature pyramid, as weights and options of ours.

Its numbers are its own: anchors, RoIAlign without half-pixel centres, thresholds. Only names and the order of
numbers within tensors change, so that the same pixels give the same detections.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from neocog.errors import CheckpointError
from neocog.models.fpn import FPNOptions
from neocog.parts.regions import RegionOptions

OPTIONS = FPNOptions(anchors="corner", aligned=False, regions=RegionOptions(samples=512, nms=0.5))

EPS = 1e-5
"""Of every BatchNorm of ours."""

_NAMES = (
    # The files of 2019 lack the ".0" that later versions put into these names.
    (r"backbone\.fpn\.inner_blocks\.(\d)(\.0)?\.", r"pyramid.lateral.\1."),
    (r"backbone\.fpn\.layer_blocks\.(\d)(\.0)?\.", r"pyramid.smooth.\1."),
    (r"backbone\.body\.", "backbone."),
    (r"rpn\.head\.conv(\.0\.0)?\.", "rpn.shared.conv."),
    (r"rpn\.head\.cls_logits\.", "rpn.shared.logits."),
    (r"rpn\.head\.bbox_pred\.", "rpn.shared.deltas."),
    (r"roi_heads\.box_head\.(fc[67])\.", r"head.\1."),
    (r"roi_heads\.box_predictor\.cls_score\.", "head.logits."),
    (r"roi_heads\.box_predictor\.bbox_pred\.", "head.deltas."),
)
"""Theirs, at the beginning of a name: ours."""


def fasterrcnn_from_torchvision(
    state: Mapping[str, Tensor], classes: Sequence[int] | None = None, eps: float = 0.0
) -> tuple[FPNOptions, dict[str, Tensor]]:
    """The options and the state dict of an `FPN` on resnet50 that detects what theirs does.

    `state`: of `fasterrcnn_resnet50_fpn`, in the names of any version. `classes`: which of its labels ours
    knows, in this order; None for all but the background, which is their label 0 and our last column. `eps`: of
    its BatchNorm, 0 in the published file (`overwrite_eps`), else 1e-5.

    Raises CheckpointError for a tensor that such a network does not have, or that is absent or of another
    shape.
    """
    named = {_renamed(name): value for name, value in state.items()}
    try:
        scores, columns = named["head.logits.weight"], list(range(1, len(named["head.logits.weight"])))
        columns = columns if classes is None else list(classes)
        order = torch.tensor([*columns, 0])
        for part in ("weight", "bias"):
            named[f"head.logits.{part}"] = named[f"head.logits.{part}"][order]
            deltas = named[f"head.deltas.{part}"]
            each = deltas.view(len(scores), 4, *deltas.shape[1:])  # four offsets a class, background first
            named[f"head.deltas.{part}"] = each[order[:-1]].flatten(0, 1)
            named[f"rpn.shared.logits.{part}"] = _with_zero(named[f"rpn.shared.logits.{part}"])
        named["head.fc6.weight"] = _cells_first(named["head.fc6.weight"], OPTIONS.channels)
        for name in [name for name in named if name.endswith(".running_var")]:
            _change_eps(named, name.removesuffix("running_var"), eps)
    except (KeyError, IndexError, RuntimeError) as error:
        reason = f"lacks {error}" if isinstance(error, KeyError) else "has a tensor of another shape"
        raise CheckpointError(f"not a fasterrcnn_resnet50_fpn of torchvision: it {reason}") from error
    return replace(OPTIONS), named


def _renamed(name: str) -> str:
    for theirs, ours in _NAMES:
        found = re.match(theirs, name)
        if found is not None:
            return found.expand(ours) + name[found.end() :]
    raise CheckpointError(f"not a fasterrcnn_resnet50_fpn of torchvision: it has {name[:80]!r}")


def _with_zero(logits: Tensor) -> Tensor:
    """One logit an anchor (A, ...) as two columns (2A, ...): sigmoid(x) is the softmax of x and 0."""
    return torch.stack([logits, torch.zeros_like(logits)], dim=1).flatten(0, 1)


def _cells_first(weight: Tensor, channels: int) -> Tensor:
    """Weights of a region's channels, then cells, as those of its cells, then channels (`TwoLayerHead`)."""
    rows = len(weight)
    return weight.view(rows, channels, -1).transpose(1, 2).reshape(rows, -1)


def _change_eps(named: dict[str, Tensor], prefix: str, eps: float) -> None:
    """The same normalisation with our eps in place of theirs: its scale takes up the difference.

    It also gets the counter that a frozen one does not have.
    """
    variance = named[f"{prefix}running_var"].double()
    factor = ((variance + EPS) / (variance + eps)).sqrt()
    named[f"{prefix}weight"] = (named[f"{prefix}weight"].double() * factor).float()
    named.setdefault(f"{prefix}num_batches_tracked", torch.tensor(0))
