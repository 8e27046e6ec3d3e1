"""The 4-step training of Faster R-CNN, after which its two halves share one backbone.

Ren et al. 2015, arXiv:1506.01497, section 3.2: (1) train an RPN; (2) train a detector, with a backbone of its
own, on that RPN's proposals; (3) train a new RPN on the detector's backbone, which stays fixed; (4) fit the
detector's own layers, and nothing else, to the new RPN's proposals.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from neocog.backbones.backbone import Backbone
from neocog.models.faster_rcnn import FasterRCNN, FasterRCNNOutput
from neocog.parts.rpn import RPN, RPNOutput
from neocog.parts.stages import Stage
from neocog.types import Batch

SHARES = (0.3, 0.3, 0.2, 0.2)
"""Of the budget, for the four steps."""


class Proposer(nn.Module):
    """An RPN with a backbone: half of a Faster R-CNN."""

    def __init__(self, backbone: Backbone, rpn: RPN, level: str) -> None:
        super().__init__()
        self.backbone, self.rpn, self.level = backbone, rpn, level

    def forward(self, batch: Batch) -> RPNOutput:
        proposed: RPNOutput = self.rpn(self.backbone(batch.images, until=self.level).maps[self.level], batch)
        return proposed

    def loss(self, output: RPNOutput, batch: Batch) -> dict[str, Tensor]:
        return self.rpn.loss(output, batch)


@dataclass(frozen=True)
class _Second:
    """Step 2: the detector's own backbone, and another network's proposals."""

    proposer: Proposer
    model: FasterRCNN

    def forward(self, batch: Batch) -> FasterRCNNOutput:
        with torch.no_grad():
            rpn = self.proposer(batch)
        return self.model.look(self.model.backbone(batch.images, until=self.model.last), rpn, batch)


def alternating_stages(model: FasterRCNN) -> tuple[tuple[Stage, ...], dict[str, nn.Module]]:
    """The four stages, and the network that proposes in the first two, which is no part of the result."""
    first = Proposer(copy.deepcopy(model.backbone), copy.deepcopy(model.rpn), model.options.level)
    # One backbone, two names: not a part of the course, so that its tensors are not counted twice.
    shared = Proposer(model.backbone, model.rpn, model.options.level)
    second = _Second(first, model)
    start = ("model.backbone.", "aside.proposer.backbone.")
    stages = (
        Stage("rpn", SHARES[0], first.forward, first.loss, (first,), takes=(start,)),
        Stage("detector", SHARES[1], second.forward, model.head_loss, (model.backbone, model.head)),
        Stage("shared rpn", SHARES[2], shared.forward, shared.loss, (model.rpn,)),
        Stage("shared detector", SHARES[3], model.forward, model.head_loss, (model.head,)),
    )
    return stages, {"proposer": first}
