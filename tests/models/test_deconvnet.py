"""DeconvNet: the paper's table, switches, the contract, its stages, regions, and that it learns."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from neocog.backbones.vgg import thin
from neocog.errors import UsageError
from neocog.models.deconvnet import SHARES, DeconvNet, DeconvNetOptions
from neocog.parts.stages import Course
from neocog.testing import check_segmenter, check_segmenter_learns, make_masked_batch
from neocog.types import Proposals, blank_batch
from neocog.zoo import MODELS, create


def small(**settings: Any) -> Any:
    torch.manual_seed(0)
    options = replace(MODELS["deconvnet"].options("thin", 96), **({"dense": 64, "side": 96} | settings))
    return create("deconvnet", 3, "thin", options)


@pytest.fixture(scope="module")
def published() -> Any:
    with torch.device("meta"):
        return create("deconvnet", 21, "vgg16")


def test_parameters_of_the_paper(published: nn.Module) -> None:
    norms = [module for module in published.modules() if isinstance(module, nn.BatchNorm2d)]
    affine = sum(parameter.numel() for norm in norms for parameter in norm.parameters())
    whole = sum(parameter.numel() for parameter in published.parameters())
    assert (len(norms), affine, whole - affine) == (29, 33_408, 251_772_245)


def test_layers_of_the_paper(published: Any) -> None:
    with torch.device("meta"):
        output = published(blank_batch((224, 224)))
    maps = {name: tuple(value.shape[1:3]) for name, value in output.features.maps.items()}
    assert [maps[f"pool{block}"] for block in range(1, 6)] == [
        (64, 112),
        (128, 56),
        (256, 28),
        (512, 14),
        (512, 7),
    ]
    assert output.code.shape == (1, 4096, 1, 1)
    decoded = {name: tuple(value.shape[1:3]) for name, value in output.decoded.items()}
    assert decoded == {
        "deconv_fc6": (512, 7),
        "unpool5": (512, 14),
        "deconv5": (512, 14),
        "unpool4": (512, 28),
        "deconv4": (256, 28),
        "unpool3": (256, 56),
        "deconv3": (128, 56),
        "unpool2": (128, 112),
        "deconv2": (64, 112),
        "unpool1": (64, 224),
        "deconv1": (64, 224),
    }
    widths = [[layer.conv.out_channels for layer in block] for block in reversed(published.blocks)]
    assert widths == [[512] * 3, [512, 512, 256], [256, 256, 128], [128, 64], [64, 64]]
    assert output.logits.shape == (1, 21, 224, 224)


def test_values_return_to_where_they_were_pooled_from() -> None:
    model = small().eval()
    output = model(make_masked_batch(2, 3).without_targets())
    before = {"deconv5": "unpool4", "deconv2": "unpool1", "deconv_fc6": "unpool5"}
    for source, unpooled in before.items():
        block = unpooled[-1]
        expected = F.max_unpool2d(output.decoded[source], output.features.switches[f"pool{block}"], [2, 2])
        assert torch.equal(output.decoded[unpooled], expected)


def test_contract() -> None:
    check_segmenter(small())


def test_contract_with_regions() -> None:
    check_segmenter(small(proposals=5, at_once=3))


def test_larger_pictures_have_several_cells() -> None:
    model = small().eval()
    output = model(blank_batch((150, 96)))
    assert output.code.shape[2:] == (3, 1) and output.logits.shape == (1, 3, 150, 96)


def test_a_single_cell_is_learnt_from_too() -> None:
    """BatchNorm in fc6 has no variance to go by: its statistics so far serve, and stay."""
    model = small().train()
    batch = make_masked_batch(1, 3)
    before = model.fc6.norm.running_mean.clone()
    model.loss(model(batch), batch)["pixels"].backward()
    assert torch.equal(model.fc6.norm.running_mean, before)
    assert model.fc6.conv.weight.grad.isfinite().all()
    assert model.backbone.features[0].weight.grad.abs().sum() > 0


def test_regions_add_their_scores_where_they_are_higher() -> None:
    model = small(proposals=2, enlarge=1.0).eval()
    batch = make_masked_batch(1, 3).without_targets()
    boxes = torch.tensor([[16.0, 16.0, 80.0, 64.0], [0.0, 0.0, 4.0, 90.0], [40.0, 0.0, 96.0, 96.0]])
    batch = replace(batch, proposals=(Proposals(boxes, torch.tensor([1.0, 0.9, 0.8])),))
    with torch.no_grad():
        output = model(batch)
    assert torch.equal(output.regions, boxes[[0, 2]])  # the second is too narrow
    assert output.region_scores.shape == (2, 3, 96, 96)
    expected = output.whole.clone()
    for box, scores in zip(output.regions.int().tolist(), output.region_scores, strict=True):
        x0, y0, x1, y1 = box
        large = F.interpolate(scores[None], (y1 - y0, x1 - x0), mode="bilinear")[0]
        expected[0, :, y0:y1, x0:x1] = torch.maximum(expected[0, :, y0:y1, x0:x1], large)
    assert torch.equal(output.logits, expected) and not torch.equal(output.logits, output.whole)


def test_a_region_that_leaves_the_picture_is_cut() -> None:
    model = small(proposals=1, enlarge=2.0).eval()
    batch = make_masked_batch(1, 3).without_targets()
    whole = Proposals(torch.tensor([[0.0, 0.0, 96.0, 96.0]]), torch.ones(1))
    with torch.no_grad():
        output = model(replace(batch, proposals=(whole,)))
    assert output.regions.tolist() == [[-48, -48, 144, 144]]
    large = F.interpolate(output.region_scores, (192, 192), mode="bilinear")[:, :, 48:144, 48:144]
    assert torch.equal(output.logits, torch.maximum(output.whole, large))


def test_regions_need_proposals() -> None:
    model = small(proposals=1).eval()
    assert model.search is not None and small().search is None
    with pytest.raises(ValueError, match="proposals"):
        model(replace(blank_batch((96, 96)), proposals=None))


@pytest.mark.parametrize(("proposals", "names"), [(0, ["objects", "segment"]), (4, ["objects", "regions"])])
def test_two_stages_learn_from_crops_of_objects_first(proposals: int, names: list[str]) -> None:
    model = small(proposals=proposals, crops=2)
    stages, aside = MODELS["deconvnet"].stages(model)
    course = Course(model, stages, aside).train()
    assert [stage.name for stage in stages] == names
    assert [stage.share for stage in stages] == list(SHARES)
    batch = make_masked_batch(2, 3)
    for number in range(2):
        course.enter(number)
        output = course(batch)
        losses = course.loss(output, batch)
        torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
        assert losses["pixels"].isfinite() and losses["pixels"] > 0
        if number == 0:
            assert output.crops.images.shape == (4, 3, 96, 96)
    assert len(MODELS["deconvnet"].stages(small(stages="pictures"))[0]) == 1


def test_learns_one_batch_by_heart() -> None:
    """Of 58 % background. With cells of 32 pixels: one cell for all takes much longer."""
    check_segmenter_learns(small(side=32), steps=80, share=0.7, lr=4e-3)


def test_only_a_backbone_with_switches_will_do() -> None:
    with torch.device("meta"), pytest.raises(UsageError, match="switches"):
        DeconvNet(thin(), 3)


def test_options_that_do_not_fit_are_named() -> None:
    for wrong, words in (
        ({"side": 100}, "multiple of 32"),
        ({"enlarge": 0.5}, "enlarge"),
        ({"crops": 0}, "crops"),
        ({"stages": "three"}, "stages"),
    ):
        with pytest.raises(ValueError, match=words):
            DeconvNetOptions(**wrong)
