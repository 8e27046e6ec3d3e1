"""A dilated FCN: the contract, that it learns, where its scores lie, and torchvision's names."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from neocog.models.dilated_fcn import DilatedFCN, DilatedFCNOptions
from neocog.models.torchvision_fcn import OPTIONS, fcn_from_torchvision
from neocog.testing import check_segmenter, check_segmenter_learns, make_masked_batch
from neocog.zoo import MODELS, create


def test_contract() -> None:
    torch.manual_seed(0)
    check_segmenter(create("fcn-dilated", 3, "resnet18"))


def test_learns() -> None:
    torch.manual_seed(0)
    check_segmenter_learns(create("fcn-dilated", 3, "resnet18", DilatedFCNOptions(hidden=32, dropout=0.0)))


def test_scores_lie_on_a_grid_of_eight_pixels() -> None:
    torch.manual_seed(0)
    model: Any = create("fcn-dilated", 3, "resnet18").eval()
    with torch.inference_mode():
        output = model(make_masked_batch(1, 3, 77))
    assert output.scores.shape == (1, 3, 10, 10) and output.logits.shape == (1, 3, 77, 77)
    assert output.hidden.min() == 0


def test_parameters_of_torchvision_without_its_auxiliary_scores() -> None:
    with torch.device("meta"):
        model = create("fcn-dilated", 21, "resnet50")
    auxiliary = 1024 * 256 * 9 + 2 * 256 + 256 * 21 + 21
    assert sum(value.numel() for value in model.parameters()) == 35_322_218 - auxiliary


def test_names_change_and_auxiliary_scores_go() -> None:
    one = torch.zeros(1)
    options, converted = fcn_from_torchvision({"classifier.4.bias": one, "aux_classifier.0.weight": one})
    assert options == OPTIONS and list(converted) == ["scores.bias"]
    with pytest.raises(ValueError, match=r"'fc\.bias' is unknown: not an fcn_resnet50"):
        fcn_from_torchvision({"fc.bias": one})


def test_options_are_checked() -> None:
    assert isinstance(MODELS["fcn-dilated"].options("resnet50", 520), DilatedFCNOptions)
    assert MODELS["fcn-dilated"].build is DilatedFCN
    with pytest.raises(ValueError, match="hidden"):
        DilatedFCNOptions(hidden=0)
