"""SSD: the contract, the paper's boxes and counts, its loss, and that it learns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from neocog.backbones.vgg import vgg16
from neocog.errors import CheckpointError, UsageError
from neocog.models.faster_rcnn import FasterRCNNOptions
from neocog.models.ssd import SSD, SSDOptions
from neocog.models.torchvision_ssd import ssd300_from_torchvision
from neocog.ops.assign import NEGATIVE, UNUSED
from neocog.parts.extras import DilatedDense, L2Norm
from neocog.published import read_model
from neocog.testing import FULL, check_detector, check_learns, make_batch
from neocog.transforms.recipes import evaluation_recipe
from neocog.types import Frame, Objects, Sample, blank_batch
from neocog.zoo import MODELS, create, resized, usual_side


def paper(classes: int = 20) -> Any:
    """SSD300 on VGG-16, without memory for its weights."""
    with torch.device("meta"):
        return create("ssd", classes, "vgg16", SSDOptions())


def test_contract() -> None:
    torch.manual_seed(0)
    check_detector(create("ssd", 3, "compact", MODELS["ssd"].options("compact", 96)))


def test_contract_of_the_papers_network() -> None:
    """Its layers, thinner; pictures of 96 px leave its unpadded layers less than the 5 cells they are for."""
    torch.manual_seed(0)
    check_detector(create("ssd", 2, "vgg16", replace(SSDOptions(), dense=32, extras=(32, 16, 16, 16))))


def test_contract_on_another_backbone() -> None:
    torch.manual_seed(0)
    check_detector(create("ssd", 2, "resnet18"))


def test_learns_one_batch_by_heart() -> None:
    torch.manual_seed(0)
    check_learns(create("ssd", 2, "compact", MODELS["ssd"].options("compact", 96)))


def test_parameters_of_the_paper() -> None:
    """20 classes: the parts add up to 26,285,486; 80: 34,305,206."""
    model = paper()
    counts = {name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()}
    assert counts["backbone"] + counts["dense"] == 20_483_904
    assert [counts[name] for name in ("extras", "logits", "deltas")] == [2_459_520, 2_806_902, 534_648]
    assert counts["l2"] == 512
    assert sum(counts.values()) == 26_285_486
    assert sum(p.numel() for p in paper(80).parameters()) == 34_305_206


def test_boxes_of_the_paper() -> None:
    """8,732: the first 30 x 30 px about (4, 4), the last 264 / sqrt 2 by 264 sqrt 2 about (150, 150)."""
    model: Any = create("ssd", 2, "vgg16", replace(SSDOptions(), dense=8, extras=(8, 8, 8, 8)))
    with torch.inference_mode():
        output = model.eval()(blank_batch((300, 300)))
    assert [tuple(one.shape[2:]) for one in output.maps] == [(n, n) for n in (38, 19, 10, 5, 3, 1)]
    assert output.boxes.shape == (8732, 4) and output.logits.shape == (1, 8732, 3)
    first, last = output.boxes[0].tolist(), output.boxes[-1].tolist()
    assert first == [-11, -11, 19, 19]
    assert last == pytest.approx([150 - 93.338, 150 - 186.676, 150 + 93.338, 150 + 186.676], abs=1e-2)
    counts = [5776, 2166, 600, 150, 36, 4]
    corners = torch.stack([part[0] for part in output.boxes.split(counts)])
    sides, centres = (
        corners[:, 2:] - corners[:, :2],
        (corners[:, :2] + corners[:, 2:])[:, 0] / 2,
    )
    assert sides[:, 0].tolist() == pytest.approx([30, 60, 111, 162, 213, 264], abs=1e-3)
    assert centres.tolist() == pytest.approx([4, 8, 16, 32, 50, 150], abs=1e-3)


def test_ssd512_has_seven_maps() -> None:
    assert usual_side("ssd", "vgg16") == 512 and usual_side("ssd", "compact") == 320
    options = MODELS["ssd"].options("vgg16", 512)
    assert options.scales == (0.07, 0.15, 0.3, 0.45, 0.6, 0.75, 0.9, 1.05)
    with torch.device("meta"):
        model: Any = create("ssd", 20, "vgg16", options)
    assert model.steps == (8, 16, 32, 64, 128, 256, 512)
    assert len(options.extras) == 5


@pytest.mark.parametrize("backbone", ["compact", "vgg16", "resnet18"])
@pytest.mark.parametrize("side", [32, 64, 128, 300, 320, 1000])
def test_every_side_ends_in_one_cell(backbone: str, side: int) -> None:
    options = MODELS["ssd"].options(backbone, side)
    with torch.device("meta"):
        model: Any = create("ssd", 1, backbone, options)
    assert len(model.steps) == len(options.ratios)
    assert list(options.scales) == sorted(options.scales)
    assert model.steps[-1] >= side or not options.extras


def test_first_map_has_the_length_of_its_scale() -> None:
    cells = torch.rand(2, 8, 3, 3)
    torch.testing.assert_close(L2Norm(8)(cells).norm(dim=1), torch.full((2, 3, 3), 20.0))


def test_dense_layers_are_decimated() -> None:
    """Every fourth output of fc6, its cells 0, 3 and 6; every fourth input and output of fc7."""
    layer = DilatedDense(3, 5)
    first, second = torch.rand(20, 3, 7, 7), torch.rand(20, 20)
    dense = {
        "classifier.0.weight": first.flatten(1),
        "classifier.0.bias": torch.arange(20.0),
        "classifier.3.weight": second,
        "classifier.3.bias": torch.arange(20.0) + 1,
    }
    assert layer.start_from(dense)
    assert layer.fc6.weight[2, 1, 1, 2] == first[8, 1, 3, 6]
    assert layer.fc7.weight[3, 4, 0, 0] == second[12, 16]
    assert layer.fc6.bias.tolist() == [0, 4, 8, 12, 16] and layer.fc7.bias[1] == 5
    before = layer.fc6.weight.clone()
    assert not layer.start_from({})
    assert not layer.start_from(dense | {"classifier.0.bias": torch.full((20,), torch.nan)})
    assert not DilatedDense(3, 4).start_from(dense)
    assert torch.equal(layer.fc6.weight, before)


def small() -> Any:
    torch.manual_seed(0)
    return create("ssd", 2, "compact", MODELS["ssd"].options("compact", 96)).eval()


def test_loss_is_the_papers() -> None:
    """Recomputed image by image: positives, thrice as many negatives, both over the number of positives."""
    model, batch = small(), make_batch([FULL, [], FULL[:1]])
    output = model(batch)
    matched = model.match(output, batch)
    classes, boxes, count = torch.zeros(()), torch.zeros(()), 0
    for image, target in enumerate(batch.targets or ()):
        logits = output.logits[image]
        positive = torch.nonzero(matched[image] >= 0).flatten()
        background = -logits.log_softmax(dim=1)[:, -1]
        negative = torch.nonzero(matched[image] == NEGATIVE).flatten()
        hardest = negative[background[negative].argsort(descending=True)][: 3 * len(positive)]
        which = matched[image, positive]
        classes += F.cross_entropy(logits[positive], target.labels[which], reduction="sum")
        classes += background[hardest].sum()
        wanted = model.coder.encode(target.boxes[which], output.boxes[positive])
        boxes += F.smooth_l1_loss(output.deltas[image, positive], wanted, reduction="sum")
        count += len(positive)
    losses = model.loss(output, batch)
    assert count > 4
    torch.testing.assert_close(losses["classes"], classes / count)
    torch.testing.assert_close(losses["boxes"], boxes / count)


def test_losses_of_shares_add_up() -> None:
    """Two processes with one picture each, told of the positives of both, make the loss of the two."""
    model = small()
    whole, parts = make_batch([FULL, FULL[:1]]), []
    matched = int((model.match(model(whole), whole) >= 0).sum())
    for place in range(2):
        assert whole.targets is not None
        cut = slice(place, place + 1)
        own = replace(
            whole,
            images=whole.images[cut],
            sizes=whole.sizes[cut],
            targets=whole.targets[cut],
            total=lambda _: matched,
        )
        parts.append(model.loss(model(own), own))
    together = model.loss(model(whole), whole)
    for name, value in together.items():
        torch.testing.assert_close(parts[0][name] + parts[1][name], value, rtol=1e-3, atol=1e-4)


def test_an_ignored_object_teaches_nothing() -> None:
    """With its object ignored, an image has no positives, hence no negatives either: the loss is 0."""
    model, batch = small().requires_grad_(False), make_batch([FULL])
    assert batch.targets is not None
    one = batch.targets[0]
    hidden = replace(batch, targets=(Objects(one.boxes, one.labels, torch.ones(2, dtype=torch.bool)),))
    assert sum(float(value) for value in model.loss(model(hidden), hidden).values()) == 0
    assert sum(float(value) for value in model.loss(model(batch), batch).values()) > 0


def test_padding_changes_no_result_where_pictures_are_stretched() -> None:
    """What makes the size of a batch a round number is then not looked at: SSD300 sees 300 px, not 304."""
    torch.manual_seed(0)
    options = replace(MODELS["ssd"].options("compact", 96), stretch=True)
    model: Any = create("ssd", 2, "compact", options).eval()
    batch = make_batch([FULL]).without_targets()
    padded = replace(batch, images=F.pad(batch.images, (0, 32, 0, 16)))
    with torch.inference_mode():
        plain, other = (model.decode(model(one), one)[0] for one in (batch, padded))
    assert len(plain) > 0
    assert torch.equal(plain.boxes, other.boxes) and torch.equal(plain.scores, other.scores)


def test_nothing_is_found_in_what_pads_a_picture() -> None:
    """Default boxes that lie outside of their own picture neither learn nor report."""
    model, batch = small(), make_batch([FULL, FULL])  # the second is 80 px wide
    output = model(batch)
    outside = output.boxes[:, 0] >= 80
    matched = model.match(output, batch)
    assert outside.sum() > 10
    assert (matched[1, outside] == UNUSED).all() and not (matched[0, outside] == UNUSED).any()
    assert (matched[1, ~outside] != UNUSED).all()


def test_decode_reports_each_class_once_a_place() -> None:
    """Two overlapping boxes of a class leave one; another class at the same place stays."""
    model, batch = small(), make_batch([FULL]).without_targets()
    with torch.inference_mode():
        output = model(batch)
    logits = torch.full_like(output.logits, -20)
    logits[..., -1] = 20
    logits[0, 100:102, 0] = torch.tensor([24.0, 22.0])
    logits[0, 101, 1] = 21.0
    boxes = output.boxes.clone()
    boxes[100:102] = torch.tensor([[10.0, 10, 30, 30], [11, 10, 31, 30]])
    deltas = torch.zeros_like(output.deltas)
    found = model.decode(replace(output, logits=logits, boxes=boxes, deltas=deltas), batch)[0]
    assert found.labels.tolist() == [0, 1]
    assert found.boxes.tolist() == [[10, 10, 30, 30], [11, 10, 31, 30]]


@pytest.mark.parametrize(
    "wrong",
    [
        {"scales": (0.1, 0.2)},
        {"ratios": ((2.0,),)},
        {"ratios": ((0.0,),) * 6},
        {"levels": ()},
        {"negatives": 0},
        {"extras": (1, 256, 256, 256)},
        {"positive": 1.5},
    ],
)
def test_options_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SSDOptions(**wrong)


def test_pictures_are_stretched_as_the_options_say() -> None:
    """SSD300 sees a wide picture as a square; an anchor-based detector sees it fitted into one."""
    pixels = np.zeros((60, 120, 3), np.uint8)
    sample = Sample(pixels, None, Frame((60, 120), (60, 120)))
    frames = [
        evaluation_recipe(resized(options, (300, 300)))(sample).frame
        for options in (SSDOptions(), MODELS["ssd"].options("compact", 300), FasterRCNNOptions())
    ]
    assert [frame.size for frame in frames] == [(300, 300), (150, 300), (150, 300)]
    box = torch.tensor([[0.0, 0.0, 300.0, 300.0]])
    assert frames[0].to_original(box).tolist() == [[0, 0, 120, 60]]


def test_an_unknown_map_is_named() -> None:
    with pytest.raises(UsageError, match="did you mean 'conv4_3'"):
        create("ssd", 2, "vgg16", replace(SSDOptions(), levels=("conv4_2", "conv5_3")))


def theirs(classes: int = 91) -> dict[str, torch.Tensor]:
    """A state dict with the keys and shapes of torchvision's SSD300, all numbers different."""
    from neocog.models import torchvision_ssd

    ours = {ours: name for name, ours in torchvision_ssd._names()}
    with torch.device("meta"):
        model = create("ssd", classes - 1, "vgg16", torchvision_ssd.OPTIONS)
    shapes = {ours[name]: value.shape for name, value in model.state_dict().items()}
    return {name: torch.randn(shape) for name, shape in shapes.items()}


def test_torchvisions_background_comes_last() -> None:
    state = theirs(5)
    options, converted = ssd300_from_torchvision(state)
    assert options.scales[0] == 0.07 and options.limit and options.pixels == "caffe"
    given = state["head.classification_head.module_list.1.weight"]
    ours = converted["logits.1.weight"]
    assert torch.equal(ours[5 * 2 + 4], given[5 * 2])  # box 2: background
    assert torch.equal(ours[5 * 2], given[5 * 2 + 1])
    assert torch.equal(converted["deltas.1.bias"], state["head.regression_head.module_list.1.bias"])
    assert state.keys() == theirs(5).keys()  # nothing was taken away
    model = SSD(vgg16(), 4, options)
    model.load_state_dict(converted)
    assert model.backbone.std.flatten().tolist() == pytest.approx([1 / 255] * 3)


def test_torchvisions_file_must_be_whole(tmp_path: Path) -> None:
    state = theirs(5)
    with pytest.raises(ValueError, match=r"'backbone.scale_weight' is missing"):
        ssd300_from_torchvision({k: v for k, v in state.items() if "scale" not in k})
    with pytest.raises(ValueError, match=r"'backbone.extra.9' is unknown"):
        ssd300_from_torchvision(state | {"backbone.extra.9": torch.zeros(1)})
    file = tmp_path / "other.pth"
    torch.save({"fc.weight": torch.zeros(2, 2)}, file)
    with pytest.raises(CheckpointError, match="not an ssd300_vgg16"):
        read_model("ssd300_vgg16", file)
    torch.save(state, file)
    with pytest.raises(CheckpointError, match="the model wants"):
        read_model("ssd300_vgg16", file)
