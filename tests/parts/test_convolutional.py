"""A classifier as a convolutional network: the same answers, at every place of a larger picture."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from neocog.errors import UsageError
from neocog.models.classifier import Classifier, ClassifierOptions
from neocog.ops.arithmetic import Field
from neocog.parts.convolutional import convolutionalized
from neocog.types import Batch, Task, blank_batch
from neocog.zoo import MODELS, create

CLASSIFIERS = [name for name, entry in MODELS.items() if entry.task == Task.CLASSIFY]
SIDES = {"alexnet": 96, "vgg16": 64, "resnet50": 64, "resnet101": 64, "darknet": 64, "compact": 96}


def batch_of(images: torch.Tensor) -> Batch:
    size = (images.shape[-2], images.shape[-1])
    blank = blank_batch(size)
    return replace(blank, images=images, sizes=(size,) * len(images), frames=blank.frames * len(images))


def small(name: str, side: int | None = None) -> Any:
    """The classifier with narrow dense layers, so that it is quickly made."""
    torch.manual_seed(0)
    options = MODELS[name].options(name, side or MODELS[name].side)
    if len(options.hidden) == 2:
        options = replace(options, hidden=(12, 9))
    model: Any = create(name, 7, name, options)
    for part in model.modules():
        if (
            isinstance(part, nn.BatchNorm2d)
            and part.running_mean is not None
            and part.running_var is not None
        ):
            nn.init.normal_(part.running_mean, std=0.1)
            nn.init.uniform_(part.running_var, 0.5, 2.0)
    nn.init.normal_(model.head.linear[-1].weight)
    return model.eval()


@pytest.mark.parametrize("name", CLASSIFIERS)
@torch.inference_mode()
def test_on_its_own_size_it_is_the_classifier(name: str) -> None:
    side = SIDES.get(name) or {"notes-digit": 28, "notes-pattern": 64, "lenet5": 32}.get(name, 64)
    model = small(name, side)
    images = torch.rand(2, 3, side, side)
    expected = model(batch_of(images)).logits
    found = convolutionalized(model)(images)
    assert found.shape == (2, 7, 1, 1)
    assert expected.std() > 1e-3
    torch.testing.assert_close(found[..., 0, 0], expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("name", ["notes-digit", "lenet5"])
@torch.inference_mode()
def test_without_padding_every_cell_is_the_classifier_on_a_window(name: str) -> None:
    model = small(name, {"notes-digit": 28, "lenet5": 32}[name])
    network, side = convolutionalized(model), model.options.side
    images = torch.rand(1, 3, side + 2 * network.stride, side + 3 * network.stride)
    found = network(images)
    assert found.shape[-2:] == (3, 4)
    for row in range(3):
        for column in range(4):
            top, left = row * network.stride, column * network.stride
            window = images[:, :, top : top + side, left : left + side]
            expected = model(batch_of(window.contiguous())).logits
            torch.testing.assert_close(found[..., row, column], expected, rtol=1e-4, atol=1e-5)
    assert network.offset == side / 2  # the centre of the first window


@pytest.mark.parametrize(
    ("name", "side", "field"),
    [
        ("alexnet", 224, Field(355, 32, 111)),
        ("vgg16", 224, Field(404, 32, 111.5)),
        ("resnet18", 224, Field(435 + 6 * 32, 32, 96)),
        ("notes-digit", 28, Field(28, 4, 13.5)),
    ],
)
def test_cells_have_the_published_stride_and_offset(name: str, side: int, field: Field) -> None:
    with torch.device("meta"):
        network = convolutionalized(create(name, 3, name, side=side))  # type: ignore[arg-type]
    assert network.field == field
    assert (network.stride, network.offset) == (field.jump, field.start + 0.5)


def test_alexnet_gives_eight_by_eight_cells_for_twice_its_size() -> None:
    """Caffe's example has 8 x 8 cells at 451 pixels, for 227: seven strides of 32 more."""
    with torch.device("meta"):
        network = convolutionalized(create("alexnet", 3, side=224))  # type: ignore[arg-type]
        assert network(torch.empty(1, 3, 224 + 7 * 32, 224 + 7 * 32)).shape == (1, 3, 8, 8)


def test_it_shares_the_weights_and_has_no_dropout() -> None:
    model = small("vgg16", 224)
    network = convolutionalized(model)
    shared = {weight.data_ptr() for weight in model.head.parameters()}
    assert {weight.data_ptr() for weight in network.layers.parameters()} == shared
    assert not any(isinstance(part, nn.Dropout) for part in network.modules())
    assert not network.training


@pytest.mark.parametrize("pool", [2, 3, 4, 5])
@torch.inference_mode()
def test_averaged_cells_become_part_of_the_filters(pool: int) -> None:
    """Whether the cells divide the map of 4 x 4 or not, or are more."""
    torch.manual_seed(0)
    model: Any = create("compact", 3, None, ClassifierOptions("c4", 64, pool=pool)).eval()
    nn.init.normal_(model.head.linear[-1].weight)
    images = torch.rand(2, 3, 64, 64)
    seen = model.backbone(images).maps["c4"]
    assert seen.shape[-2:] == (4, 4)
    expected = model.head.linear[-1](F.adaptive_avg_pool2d(seen, pool).flatten(1))
    torch.testing.assert_close(convolutionalized(model)(images)[..., 0, 0], expected, rtol=1e-4, atol=1e-4)


@torch.inference_mode()
def test_class_activations_have_the_classifier_as_their_mean() -> None:
    model = small("compact", 64)
    images = torch.rand(2, 3, 64, 64)
    cells = convolutionalized(model, averaged=False)(images)
    assert cells.shape == (2, 7, 4, 4)
    torch.testing.assert_close(cells.mean(dim=(2, 3)), model(batch_of(images)).logits, rtol=1e-5, atol=1e-5)


def test_smaller_pictures_and_unshared_layers_are_refused() -> None:
    network = convolutionalized(small("notes-digit", 28))
    with pytest.raises(UsageError, match="27 x 40 px has no window of 28 px a side"):
        network(torch.rand(1, 3, 40, 27))
    options = replace(MODELS["notes-digit"].options("notes-digit", 28), first="local")
    model = create("notes-digit", 3, options=options)
    assert isinstance(model, Classifier)
    with pytest.raises(UsageError, match="first=local sees pictures of one size"):
        convolutionalized(model)
