"""Maps and filters: what is shown is what is strongest, and what the model really runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.references.small_classifier import Plain, SmallClassifier, subject_of
from torch import nn

from neocog.backbones.compact import compact
from neocog.backbones.resnet import resnet18
from neocog.errors import UsageError
from neocog.explain.features import features, filters, normalised, strongest
from neocog.explain.subject import Choices, Subject
from neocog.testing import FULL, make_batch
from neocog.zoo import MODELS, create

PIXELS = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)


def subject() -> Subject:
    torch.manual_seed(0)
    return subject_of(SmallClassifier(compact(), 3), PIXELS)


def test_the_strongest_channels_come_first() -> None:
    cells = torch.tensor([0.0, -3.0, 1.0, 2.0])[:, None, None].expand(4, 2, 2)
    assert strongest(cells, 3).tolist() == [1, 3, 2]


def test_a_sheet_for_every_map() -> None:
    shown = features(subject(), Choices())
    assert [one.name for one in shown] == ["c2", "c3", "c4", "p3", "p2"]
    one = shown[2]
    assert isinstance(one.picture, Image.Image) and "4 x 4 cells, one every 16 pixels" in one.caption
    maps = subject().backbone(subject().batch.images).maps["c4"][0]
    means = maps.abs().mean(dim=(1, 2))
    assert one.record["channels"] == means.argsort(descending=True, stable=True)[:32].tolist()


def test_one_map_and_one_channel_of_it() -> None:
    (only,) = features(subject(), Choices(level="c3", unit=7))
    assert only.record["channels"] == [7] and only.record["level"] == "c3"
    with pytest.raises(UsageError, match="no channel 96"):
        features(subject(), Choices(level="c3", unit=96))


def test_signed_maps_have_signed_colours() -> None:
    """A map below 0 is orange where one above 0 is blue."""

    class Unrectified(Plain):
        def forward(self, images: torch.Tensor, until: str | None = None) -> Any:
            found = super().forward(images, until)
            return type(found)({"conv": found.maps["conv"] - 0.5})

    weight = torch.ones(1, 3, 1, 1)
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:4] = 255
    (one,) = features(subject_of(SmallClassifier(Unrectified(weight, torch.zeros(1)), 2), pixels), Choices())
    shades = np.asarray(one.picture).astype(int)[30:110, 10:90]
    assert (shades[:20, :, 2] > shades[:20, :, 0]).all() and (shades[60:, :, 2] < shades[60:, :, 0]).all()


def test_filters_have_one_root_mean_square() -> None:
    weight = torch.randn(5, 3, 7, 7) * torch.tensor([1.0, 10, 0.1, 3, 0])[:, None, None, None]
    rms = normalised(weight).square().mean(dim=(1, 2, 3)).sqrt()
    torch.testing.assert_close(rms, torch.tensor([1.0, 1, 1, 1, 0]))


def test_filters_of_the_first_layer_and_of_deeper_ones() -> None:
    torch.manual_seed(0)
    shown = filters(subject_of(SmallClassifier(resnet18(), 3), PIXELS), Choices())
    assert [one.record["layer"] for one in shown][:2] == ["conv1", "layer1.0.conv1"]
    assert len(shown) == 5 and shown[0].record["filters"] == 64
    assert shown[-1].record["layer"] == "layer4.1.conv2"


def test_filters_that_the_model_does_not_run_are_left_out() -> None:
    """R-FCN on compact reads p3: p2 was never trained."""
    torch.manual_seed(0)
    options: Any = MODELS["r-fcn"].options("compact", 96)
    model = create("r-fcn", 2, "compact", options).eval()
    batch = make_batch([FULL]).without_targets()
    shown = filters(Subject(model, batch, PIXELS, ("a", "b")), Choices())
    assert all(not one.record["layer"].startswith("p2") for one in shown)
    assert any(one.record["layer"].startswith("p3") for one in shown)
    assert [one.name for one in features(Subject(model, batch, PIXELS, ("a", "b")), Choices())][-1] == "p3"


def test_a_network_of_1x1_convolutions_has_no_filters_to_show() -> None:
    model = SmallClassifier(Plain(torch.ones(2, 3, 1, 1), torch.zeros(2)), 2)
    assert isinstance(model.backbone, nn.Module)
    with pytest.raises(UsageError, match="no convolution larger than 1x1"):
        filters(subject_of(model, PIXELS, 2), Choices())
