"""FCN: published counts, offsets and sizes, the contract, stages, and that it learns."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from neocog.backbones.vgg import vgg16
from neocog.errors import UsageError
from neocog.models.fcn import EXTRA, FCN, FCNOptions, fcn_stages
from neocog.parts.convolved import ConvolvedDense
from neocog.parts.stages import Course
from neocog.parts.upsample import bilinear_weight
from neocog.testing import check_segmenter, check_segmenter_learns, make_masked_batch
from neocog.types import blank_batch
from neocog.zoo import MODELS, create

NAMES = ("fcn-32s", "fcn-16s", "fcn-8s")


def count(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


COUNTS = {"fcn-32s": 134_346_581, "fcn-16s": 134_357_354, "fcn-8s": 134_362_751}


@pytest.mark.parametrize(("name", "parameters"), list(COUNTS.items()))
def test_parameters_of_the_paper(name: str, parameters: int) -> None:
    """VGG-16 with 21 classes, without up-sampling."""
    with torch.device("meta"):
        assert count(create(name, 21, "vgg16")) == parameters


def test_learned_upsampling_joins_all_classes_but_in_the_last_step() -> None:
    options = replace(MODELS["fcn-8s"].options("vgg16", 500), learn_upsampling=True)
    with torch.device("meta"):
        assert count(create("fcn-8s", 21, "vgg16", options)) == 134_362_751 + 2 * 21 * 21 * 16
    options = replace(MODELS["fcn-8s"].options("compact", 96), learn_upsampling=True)
    model: Any = create("fcn-8s", 3, "compact", options)
    step = model.steps[0]
    assert torch.equal(step.start + step.change, bilinear_weight(3, 3))


@pytest.mark.parametrize(
    ("name", "backbone"),
    [*((name, "compact") for name in NAMES), ("fcn-32s", "thin"), ("fcn-8s", "thin"), ("fcn-8s", "resnet18")],
)
def test_contract(name: str, backbone: str) -> None:
    torch.manual_seed(0)
    check_segmenter(create(name, 3, backbone))


@pytest.mark.parametrize("change", [{"learn_upsampling": True}, {"dense": 32}, {"dense": 32, "pad": 100}])
def test_contract_with_other_options(change: dict[str, Any]) -> None:
    torch.manual_seed(0)
    check_segmenter(create("fcn-8s", 3, "thin", replace(MODELS["fcn-8s"].options("thin", 96), **change)))


def test_padded_by_100_pixels_maps_have_the_sizes_and_offsets_of_the_authors() -> None:
    """Their example of 500 pixels: scores of 16 cells, 34, 70; crops at 5 and 9; the last at 19, 27, 31."""
    options = replace(MODELS["fcn-8s"].options("vgg16", 500), pad=100)
    with torch.device("meta"):
        model: Any = create("fcn-8s", 21, "vgg16", options)
        output = model(blank_batch((500, 500)))
    assert model.places == [5, 9] and model.corners == [19, 27, 31]
    sides = {name: value.shape[-1] for name, value in output.features.maps.items()}
    assert [sides[f"pool{block}"] for block in range(1, 6)] == [349, 175, 88, 44, 22]
    assert output.deepest.shape == (1, 4096, 16, 16)
    assert [output.scores[level].shape[-1] for level in ("pool5", "pool4", "pool3")] == [16, 44, 88]
    assert [output.fused[level].shape[-1] for level in ("pool5", "pool4", "pool3")] == [16, 34, 70]
    assert output.logits.shape == (1, 21, 500, 500)
    enlarged = [
        model.lasts[k](torch.zeros(1, 21, side, side)).shape[-1] for k, side in enumerate((16, 34, 70))
    ]
    assert enlarged == [544, 560, 568]


@pytest.mark.parametrize("backbone", ["vgg16", "thin", "compact", "resnet18"])
def test_without_padding_maps_lie_on_each_other_from_the_first_cell(backbone: str) -> None:
    with torch.device("meta"):
        model: Any = create("fcn-8s", 21, backbone)
        output = model(blank_batch((150, 101)))
    assert model.places == [0, 0] and model.corners == [0, 0, 0] and model.strides == (32, 16, 8)
    assert [tuple(value.shape[2:]) for value in output.fused.values()] == [(5, 4), (10, 7), (19, 13)]
    assert output.logits.shape == (1, 21, 150, 101)


@pytest.mark.parametrize("backbone", ["thin", "compact", "resnet18"])
def test_each_cell_is_put_where_it_looks(backbone: str) -> None:
    """The gradient of a cell of the last map, all weights being positive, is centred where its scores go.

    Averages stand in for maxima, which choose one of the pixels.
    """
    torch.manual_seed(0)
    model: Any = create("fcn-32s", 2, backbone).double().eval()
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, torch.nn.MaxPool2d):
                setattr(parent, name, torch.nn.AvgPool2d(layer.kernel_size, layer.stride, layer.padding))
    for parameter in model.parameters():
        parameter.data.abs_()
    batch = blank_batch((32, 544))
    images = batch.images.double().mul(0).add(model.backbone.mean + 0.1).requires_grad_()
    deepest = model(replace(batch, images=images)).deepest
    cell = deepest.shape[-1] // 2
    deepest[0, :, 0, cell].sum().backward()
    assert images.grad is not None
    seen = images.grad.abs().sum((0, 1, 2))
    centre = float((seen * torch.arange(544)).sum() / seen.sum())
    scores = torch.zeros(1, 2, 1, 17, dtype=torch.float64)
    scores[:, :, 0, cell] = 1
    placed = model.lasts[0](scores)[0, 0].sum(0)
    place = float((placed * torch.arange(len(placed))).sum() / placed.sum())
    assert abs(centre - place) < 0.75, (centre, place)


def test_finer_networks_begin_at_the_answer_of_the_coarser() -> None:
    torch.manual_seed(0)
    coarse, fine = create("fcn-32s", 3).eval(), create("fcn-8s", 3).eval()
    assert isinstance(coarse, FCN) and isinstance(fine, FCN)
    fine.start_from(coarse)
    batch = blank_batch((96, 128))
    torch.testing.assert_close(fine.look(batch, 0).logits, coarse(batch).logits)
    torch.testing.assert_close(fine(batch).fused["c4"], fine.steps[0](coarse(batch).fused[EXTRA]))
    assert (
        fine(batch).logits - coarse(batch).logits
    ).abs().max() < 0.05  # bilinear in three steps, or in one
    with pytest.raises(ValueError, match="does not fit"):
        coarse.start_from(fine)


def test_staged_training_adds_one_map_at_a_time() -> None:
    torch.manual_seed(0)
    options = replace(MODELS["fcn-8s"].options("compact", 96), stages="staged", learn_upsampling=True)
    model: Any = create("fcn-8s", 3, "compact", options)
    stages, aside = fcn_stages(model)
    course = Course(model, stages, aside).train()
    assert [stage.name for stage in stages] == ["32s", "16s", "8s"]
    assert [stage.share for stage in stages] == [0.5, 0.25, 0.25]
    batch = make_masked_batch(2, 3)
    skips = []
    for number in range(3):
        course.enter(number)
        model.zero_grad(set_to_none=True)
        torch.stack(list(course.loss(course(batch), batch).values())).sum().backward()  # type: ignore[no-untyped-call]
        parts = (*model.scores[1:], *model.steps)
        skips.append([next(part.parameters()).grad is not None for part in parts])
        assert model.scores[0].weight.grad is not None
    assert skips == [[False] * 4, [True, False, True, False], [True] * 4]


def test_at_once_is_one_stage() -> None:
    stages, aside = MODELS["fcn-8s"].stages(create("fcn-8s", 3))
    assert len(stages) == 1 and not aside


def test_scales_are_those_of_the_skips() -> None:
    torch.manual_seed(0)
    options = MODELS["fcn-8s"].options("thin", 96)
    plain: Any = create("fcn-8s", 3, "thin", options).eval()
    scaled: Any = create("fcn-8s", 3, "thin", replace(options, scales=(0.01, 0.0001))).eval()
    torch.nn.init.normal_(plain.scores[1].weight)
    scaled.load_state_dict(plain.state_dict())
    batch = blank_batch((64, 64))
    torch.testing.assert_close(scaled(batch).scores["pool4"], 0.01 * plain(batch).scores["pool4"])


def test_fc6_and_fc7_are_the_dense_layers_of_vgg() -> None:
    """On a map of 7 x 7 cells the one cell without padding is what the classifier computes."""
    torch.manual_seed(0)
    channels, width = 4, 6
    linear = [torch.nn.Linear(channels * 49, width), torch.nn.Linear(width, width)]
    state = {
        f"classifier.{place}.{name}": value
        for place, layer in zip((0, 3), linear, strict=True)
        for name, value in layer.state_dict().items()
    }
    dense = ConvolvedDense(channels, width, 0.5, 0).eval()
    assert dense.start_from(state)
    maps = torch.randn(2, channels, 7, 7)
    expected = F.relu(linear[1](F.relu(linear[0](maps.flatten(1)))))
    torch.testing.assert_close(dense(maps)[:, :, 0, 0], expected)
    assert not ConvolvedDense(channels, 5, 0.5, 0).start_from(state)
    assert not dense.start_from({})
    assert not dense.start_from(state | {"classifier.0.bias": torch.full((width,), torch.nan)})


def test_poolings_round_up_on_vgg() -> None:
    with torch.device("meta"):
        model = FCN(vgg16(), 3, FCNOptions(dense=8))
        assert model(blank_batch((37, 65))).features.maps["pool5"].shape[2:] == (2, 3)


@pytest.mark.parametrize(("name", "share"), [("fcn-32s", 0.75), ("fcn-8s", 0.85)])
def test_learns_one_batch_by_heart(name: str, share: float) -> None:
    """Coarse cells cannot follow all edges."""
    torch.manual_seed(0)
    check_segmenter_learns(create(name, 3), share=share)


def test_options_that_do_not_fit_are_named() -> None:
    for wrong, words in (
        ({"dense": -1}, "dense"),
        ({"dropout": 1.0}, "dropout"),
        ({"scales": (0.1,)}, "scales"),
        ({"stages": "twice"}, "stages"),
        ({"pad": 100, "dense": 0}, "pad"),
    ):
        with pytest.raises(ValueError, match=words):
            FCNOptions(**wrong)
    make = partial(FCN, vgg16(), 3)
    with torch.device("meta"), pytest.raises(ValueError, match="coarse to fine"):
        make(FCNOptions(dense=8, skips=("pool3", "pool4")))
    with torch.device("meta"), pytest.raises(UsageError, match="pool6"):
        make(FCNOptions(dense=8, skips=("pool6",)))
