"""R-FCN: the contract, the published counts, the vote, and that it learns."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from neocog.defaults import BACKBONES
from neocog.models.rfcn import RFCN, RFCNOptions
from neocog.parts.regions import Regions
from neocog.testing import FULL, check_detector, check_learns, make_batch
from neocog.types import blank_batch
from neocog.zoo import MODELS, create


def options(**changes: Any) -> RFCNOptions:
    chosen: RFCNOptions = replace(MODELS["r-fcn"].options("compact", 96), **changes)
    return chosen


@pytest.mark.parametrize("changes", [{}, {"bins": 7, "align": False, "channels": 0}])
@pytest.mark.parametrize("hard", [False, True])
def test_contract(changes: dict[str, Any], hard: bool) -> None:
    torch.manual_seed(0)
    chosen = options(**changes)
    chosen = replace(chosen, regions=replace(chosen.regions, hard=hard))
    check_detector(create("r-fcn", 3, "compact", chosen))


def test_contract_on_a_residual_network() -> None:
    torch.manual_seed(0)
    check_detector(create("r-fcn", 2, "resnet18"))


def test_parameters_of_the_paper() -> None:
    """ResNet-101, 21 classes with background, k = 7: the authors' layers but for half of their box maps.

    They have 8 k^2 of these, of which 4 k^2 belong to the background and learn nothing.
    """
    with torch.device("meta"):
        model = create("r-fcn", 20, "resnet101")
    assert isinstance(model, RFCN)

    def count(*modules: torch.nn.Module) -> int:
        return sum(p.numel() for module in modules for p in module.parameters())

    assert count(model.backbone) == 44_549_160 - 2_049_000
    assert count(model.rpn) == 4_746_806
    assert count(model.reduce) == 2_098_176
    assert count(model.scores) == 1_054_725
    assert count(model.offsets) == 200_900


def test_maps_of_the_paper() -> None:
    """49 bins of 21 scores and of 4 offsets, at stride 16, from the last stage; the vote is their mean."""
    torch.manual_seed(0)
    model: Any = create("r-fcn", 20, "resnet18").eval()
    with torch.inference_mode():
        output = model(blank_batch((96, 128)))
    assert output.score_maps.shape == (1, 49 * 21, 6, 8)
    assert output.box_maps.shape == (1, 49 * 4, 6, 8)
    assert output.features.maps["layer4"].shape == (1, 512, 6, 8)
    regions = len(output.regions)
    assert regions > 0 and output.votes.shape == (regions, 21, 7, 7)
    assert output.logits.shape == (regions, 21) and output.deltas.shape == (regions, 4)
    torch.testing.assert_close(output.logits, output.votes.mean(dim=(2, 3)))


def test_dilation_keeps_the_weights_of_a_resnet() -> None:
    torch.manual_seed(0)
    plain, model = BACKBONES["resnet18"].build(), create("r-fcn", 2, "resnet18")
    assert isinstance(model, RFCN)
    assert plain.strides["layer4"] == 32 and model.backbone.strides["layer4"] == model.stride == 16
    model.backbone.load_state_dict(plain.state_dict())  # the same names and shapes, or it raises
    images = torch.rand(1, 3, 64, 96)
    before, after = plain.eval()(images).maps, model.backbone.eval()(images).maps
    assert torch.equal(before["layer3"], after["layer3"])
    assert before["layer4"].shape[2:] == (2, 3) and after["layer4"].shape[2:] == (4, 6)


@pytest.mark.parametrize("align", [False, True])
def test_bins_vote(align: bool) -> None:
    """A map for "class 1, left, middle row" that shines in one place is heard there and nowhere else."""
    model: Any = create("r-fcn", 2, "compact", options(bins=3, align=align))
    stride = model.stride
    maps = torch.zeros(1, 9 * 3, 12, 12)
    channel = (1 * 3 + 0) * 3 + 1  # row 1, column 0 of 3 x 3 bins of 3 scores
    maps[0, channel, 3:6, 0:3] = 1
    boxes = torch.tensor([[0.0, 0, 9, 9], [-3, -3, 6, 6], [0, 3, 9, 12]]) * stride
    if not align:
        boxes[:, 2:] -= 1  # the last pixel of the last cell
    votes = model.read(maps, Regions(boxes, torch.zeros(3, dtype=torch.int64)))
    wanted = torch.zeros(3, 3, 3, 3)
    wanted[0, 1, 1, 0] = 1  # its own left bin lies there; the others have theirs elsewhere
    if align:  # samples at a bin's edge reach half a cell; the average takes whole cells
        assert votes[0, 1, 1, 0] > 0.8
        votes[0, 1, 1, 0] = 1
    torch.testing.assert_close(votes, wanted)
    assert float(votes.mean(dim=(2, 3))[0, 1]) == pytest.approx(1 / 9)


def test_a_step_runs_all_regions_and_learns_from_the_hardest() -> None:
    torch.manual_seed(0)
    chosen = options()
    model: Any = create("r-fcn", 2, "compact", replace(chosen, regions=replace(chosen.regions, hard=True)))
    batch = make_batch([FULL, FULL])
    output = model.train()(batch)
    proposals = sum(len(found) for found in output.rpn.proposals) + 2 * len(FULL)
    assert len(output.regions) == proposals > 2 * chosen.regions.samples
    output.logits.retain_grad()
    model.loss(output, batch)["classes"].backward()
    learning = output.logits.grad.abs().sum(dim=1) > 0
    assert learning.sum() == 2 * chosen.regions.samples


def test_no_gradient_flows_through_proposals() -> None:
    torch.manual_seed(0)
    model: Any = create("r-fcn", 2)
    output = model(make_batch([FULL]))
    assert not output.regions.boxes.requires_grad
    assert not output.rpn.proposals[0].boxes.requires_grad


def test_learns_one_batch_by_heart() -> None:
    torch.manual_seed(0)
    check_learns(create("r-fcn", 2))
