"""Torchvision's Faster R-CNN on ResNet-50 and a feature pyramid, as weights and options of ours.

Its numbers are its own: anchors, RoIAlign without half-pixel centres, thresholds. Only names and the order of
numbers within tensors change, so that the same pixels give the same detections.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from neocog.models.fpn import FPNOptions

OPTIONS = FPNOptions(anchors="corner", aligned=False, shorter=True)

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
    state: Mapping[str, Tensor], eps: float = 0.0
) -> tuple[FPNOptions, dict[str, Tensor]]:
    """Options and state dict of an `FPN` on resnet50, from torchvision's `fasterrcnn_resnet50_fpn`.

    Any number of classes will do, and the names of any version. Background, their first class, becomes the
    last column. `eps` is that of their BatchNorm: 0 for the published file, else 1e-5. Raises ValueError
    where a key is missing or unknown, or a tensor has another shape.
    """
    converted = dict(_renamed(name, value) for name, value in state.items())
    try:
        for name in [name for name in converted if name.endswith(".running_var")]:
            _change_eps(converted, name.removesuffix("running_var"), eps)
        for part in ("weight", "bias"):
            scores, deltas = converted[f"head.logits.{part}"], converted[f"head.deltas.{part}"]
            converted[f"head.logits.{part}"] = scores.roll(-1, dims=0)
            converted[f"head.deltas.{part}"] = deltas.view(len(scores), 4, -1)[1:].reshape(
                -1, *deltas.shape[1:]
            )
            converted[f"rpn.shared.logits.{part}"] = _with_zero(converted[f"rpn.shared.logits.{part}"])
        converted["head.fc6.weight"] = _cells_first(converted["head.fc6.weight"])
    except KeyError as error:
        raise ValueError(f"{error} is missing: not a fasterrcnn_resnet50_fpn") from None
    except (RuntimeError, TypeError, IndexError) as error:
        raise ValueError("a tensor has another shape: not a fasterrcnn_resnet50_fpn") from error
    return OPTIONS, converted


def _renamed(name: str, value: Tensor) -> tuple[str, Tensor]:
    for theirs, ours in _NAMES:
        found = re.match(theirs, name)
        if found is not None:
            return found.expand(ours) + name[found.end() :], value
    raise ValueError(f"{name[:80]!r} is unknown: not a fasterrcnn_resnet50_fpn")


def _with_zero(logits: Tensor) -> Tensor:
    """One logit an anchor (A, ...) as two columns (2A, ...): sigmoid(x) is the softmax of x and 0."""
    return torch.stack([logits, torch.zeros_like(logits)], dim=1).flatten(0, 1)


def _cells_first(weight: Tensor) -> Tensor:
    """Weights of a region's channels, then cells, as those of its cells, then channels (`TwoLayerHead`)."""
    return weight.view(len(weight), OPTIONS.channels, -1).transpose(1, 2).flatten(1)


def _change_eps(converted: dict[str, Tensor], prefix: str, eps: float) -> None:
    """The same normalisation with our eps in place of theirs: its scale takes up the difference.

    It also gets the counter that a frozen one does not have.
    """
    variance, scale = converted[f"{prefix}running_var"].double(), converted[f"{prefix}weight"]
    factor = ((variance + EPS) / (variance + eps)).sqrt()
    converted[f"{prefix}weight"] = (scale.double() * factor).float()
    converted.setdefault(f"{prefix}num_batches_tracked", torch.tensor(0))
