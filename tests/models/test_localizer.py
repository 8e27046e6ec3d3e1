"""The localizer: its contract, its targets and its boxes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from neocog.backbones.compact import compact
from neocog.defaults import BACKBONES
from neocog.models.localizer import CENTRAL, Localizer, LocalizerOptions, main_objects
from neocog.testing import FULL, check_localizer, check_localizer_learns, make_batch
from neocog.transforms.geometry import Resize
from neocog.types import Batch
from neocog.zoo import MODELS, create, resized, usual_side


def localizer(backbone: str = "compact", **changes: Any) -> Any:
    torch.manual_seed(0)
    options = replace(MODELS["localizer"].options(backbone, 96), hidden=32, **changes)
    return create("localizer", 2, backbone, options)


@pytest.mark.parametrize("per_class", [False, True])
def test_it_keeps_the_contract(per_class: bool) -> None:
    check_localizer(localizer(per_class=per_class))


@pytest.mark.parametrize("backbone", ["alexnet", "resnet18", "lenet5"])
def test_it_keeps_the_contract_on_other_backbones(backbone: str) -> None:
    check_localizer(localizer(backbone))


@pytest.mark.parametrize("per_class", [False, True])
def test_it_learns_a_batch_by_heart(per_class: bool) -> None:
    check_localizer_learns(localizer(per_class=per_class))


def test_an_untrained_box_is_the_middle_of_the_picture() -> None:
    model = localizer().eval()
    torch.nn.init.zeros_(model.box.linear[-1].weight)
    batch = make_batch([[]], 96).without_targets()
    (answer,) = model.decode(model(batch), batch)
    torch.testing.assert_close(answer.box, 96 * torch.tensor(CENTRAL))


def output_of(model: Any, batch: Batch, corners: list[list[float]]) -> Any:
    """What the model would say, with these corners."""
    given = torch.tensor(corners).view(len(batch), -1, 4).requires_grad_()
    return replace(model(batch), corners=given)


def test_the_box_loss_is_smooth_l1_in_shares_of_the_picture() -> None:
    model = localizer(beta=0.1, box_weight=3.0)
    batch = make_batch([[(24.0, 0.0, 48.0, 96.0, 1)]])
    output = output_of(model, batch, [[0.25, 0.05, 0.5, 0.5]])
    expected = 3 * (0.5 * 0.05**2 / 0.1 + (0.5 - 0.05))  # off by 0, 0.05, 0 and 0.5
    torch.testing.assert_close(model.loss(output, batch)["boxes"], torch.tensor(expected))


def test_only_the_box_of_the_true_class_learns() -> None:
    model = localizer(per_class=True)
    batch = make_batch([FULL[1:]])
    output = output_of(model, batch, [[0.1, 0.2, 0.3, 0.4, 0.1, 0.2, 0.3, 0.4]])
    model.loss(output, batch)["boxes"].backward()
    assert output.corners.grad[0, 0].abs().sum() == 0
    assert (output.corners.grad[0, 1] != 0).all()


def test_the_box_of_the_best_class_is_answered() -> None:
    model = localizer(per_class=True)
    batch = make_batch([[]])
    output = output_of(model, batch, [[0.0, 0.0, 0.5, 0.5, 0.25, 0.25, 0.75, 1.0]])
    for label, box in ((0, [0, 0, 48, 48]), (1, [24, 24, 72, 96])):
        logits = torch.nn.functional.one_hot(torch.tensor([label]), 2).float()
        (answer,) = model.decode(replace(output, logits=logits), batch)
        assert (answer.label, answer.box.tolist()) == (label, box)


def test_corners_are_put_in_order_and_cut_to_the_picture() -> None:
    model = localizer()
    batch = make_batch([[], []])  # the second is 80 pixels wide
    output = output_of(model, batch, [[0.75, -0.5, 0.25, 0.5], [0.5, 0.25, 1.5, 0.75]])
    boxes = [answer.box.tolist() for answer in model.decode(output, batch)]
    assert boxes == [[24, 0, 72, 48], [48, 24, 80, 72]]


def test_pictures_without_an_object_that_counts_teach_nothing() -> None:
    model = localizer().eval()  # BatchNorm would mix the pictures
    alone, beside = make_batch([FULL[:1]]), make_batch([FULL[:1], [], FULL[1:]])
    assert beside.targets is not None
    last = replace(beside.targets[2], ignore=torch.tensor([True]))
    beside = replace(beside, targets=(*beside.targets[:2], last))
    images = torch.cat([alone.images, beside.images[1:]])
    expected = model.loss(model(alone), alone)
    found = model.loss(model(replace(beside, images=images)), beside)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value)


def test_of_several_objects_the_largest_that_counts_is_the_main_one() -> None:
    batch = make_batch([[(0.0, 0.0, 9.0, 9.0, 0), (5.0, 5.0, 50.0, 50.0, 1), (0.0, 0.0, 90.0, 90.0, 0)], []])
    assert batch.targets is not None
    first = replace(batch.targets[0], ignore=torch.tensor([False, False, True]))
    has, labels, boxes = main_objects(replace(batch, targets=(first, batch.targets[1])))
    assert has.tolist() == [True, False]
    assert labels.tolist() == [1] and boxes.tolist() == [[5, 5, 50, 50]]
    with pytest.raises(ValueError, match="pictures with objects"):
        main_objects(batch.without_targets())


@pytest.mark.parametrize(
    "wrong", [{"pool": 0}, {"hidden": 0}, {"dropout": 1.0}, {"beta": 0.0}, {"box_weight": -1.0}], ids=str
)
def test_options_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        LocalizerOptions(**wrong)


def test_it_runs_on_every_backbone_at_exactly_the_size() -> None:
    assert set(MODELS["localizer"].backbones) == set(BACKBONES) - {"dc-ign"}  # an encoder of its own
    for backbone in MODELS["localizer"].backbones:
        options = MODELS["localizer"].options(backbone, usual_side("localizer", backbone))
        assert resized(options, (64, 48)) == Resize((64, 48))
    assert isinstance(create("localizer", 3), Localizer)  # on compact, unasked


def test_the_class_is_read_from_the_mean_of_the_map() -> None:
    model = Localizer(compact(pyramid=False), 3, LocalizerOptions("c4", pool=4, hidden=8)).eval()
    output = model(make_batch([FULL]))
    seen = output.features.maps["c4"]
    torch.testing.assert_close(output.logits, model.scores(seen.mean(dim=(2, 3))))
    torch.testing.assert_close(output.cells, torch.nn.functional.adaptive_avg_pool2d(seen, 4))
