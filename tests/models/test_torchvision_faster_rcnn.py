"""Torchvision's weights under our names: which tensor becomes which, and what changes inside."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from neocog.models.torchvision_faster_rcnn import OPTIONS, fasterrcnn_from_torchvision
from neocog.parts.heads import TwoLayerHead
from neocog.zoo import create

BODY = "backbone.body"


def theirs(classes: int = 3) -> dict[str, Tensor]:
    """A few of their tensors, small, named as in the published file of 2019; `classes` with background."""
    rng = torch.Generator().manual_seed(0)
    shapes: dict[str, tuple[int, ...]] = {
        f"{BODY}.conv1.weight": (4, 3, 7, 7),
        **{f"{BODY}.bn1.{part}": (4,) for part in ("weight", "bias", "running_mean", "running_var")},
        "backbone.fpn.inner_blocks.0.weight": (8, 4, 1, 1),
        "backbone.fpn.layer_blocks.3.bias": (8,),
        "rpn.head.conv.weight": (8, 8, 3, 3),
        "rpn.head.cls_logits.weight": (3, 8, 1, 1),
        "rpn.head.cls_logits.bias": (3,),
        "rpn.head.bbox_pred.weight": (12, 8, 1, 1),
        "roi_heads.box_head.fc6.weight": (5, OPTIONS.channels * 4),
        "roi_heads.box_head.fc7.weight": (5, 5),
        "roi_heads.box_predictor.cls_score.weight": (classes, 5),
        "roi_heads.box_predictor.cls_score.bias": (classes,),
        "roi_heads.box_predictor.bbox_pred.weight": (4 * classes, 5),
        "roi_heads.box_predictor.bbox_pred.bias": (4 * classes,),
    }
    return {name: torch.rand(shape, generator=rng) for name, shape in shapes.items()}


def converted(**how: Any) -> dict[str, Tensor]:
    return fasterrcnn_from_torchvision(theirs(), **how)[1]


def test_names_of_both_versions_become_ours() -> None:
    later = {
        "backbone.fpn.inner_blocks.0.weight": "backbone.fpn.inner_blocks.0.0.weight",
        "backbone.fpn.layer_blocks.3.bias": "backbone.fpn.layer_blocks.3.0.bias",
        "rpn.head.conv.weight": "rpn.head.conv.0.0.weight",
    }
    old, new = theirs(), {later.get(name, name): value for name, value in theirs().items()}
    first, second = (fasterrcnn_from_torchvision(state)[1] for state in (old, new))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    with torch.device("meta"):
        wanted = create("faster-rcnn-fpn", 2, "resnet50", OPTIONS).state_dict()
    assert set(first) <= set(wanted)
    assert torch.equal(first["pyramid.smooth.3.bias"], old["backbone.fpn.layer_blocks.3.bias"])


def test_background_moves_from_the_first_column_to_the_last() -> None:
    state, ours = theirs(), converted()
    scores, boxes = (state[f"roi_heads.box_predictor.{part}.weight"] for part in ("cls_score", "bbox_pred"))
    assert torch.equal(ours["head.logits.weight"], scores[[1, 2, 0]])
    assert torch.equal(ours["head.deltas.weight"], boxes[4:])
    assert torch.equal(ours["head.deltas.bias"], state["roi_heads.box_predictor.bbox_pred.bias"][4:])


def test_the_first_layer_of_the_head_reads_cells_then_channels() -> None:
    state = theirs()
    head = TwoLayerHead(OPTIONS.channels, 2, 5, 2)
    head.fc6.weight.data, head.fc6.bias.data = converted()["head.fc6.weight"], torch.zeros(5)
    pooled = torch.rand(3, OPTIONS.channels, 2, 2)
    seen: list[Tensor] = []
    head.fc6.register_forward_hook(lambda _, __, out: seen.append(out))
    head.features(pooled)
    expected = pooled.flatten(1) @ state["roi_heads.box_head.fc6.weight"].T
    torch.testing.assert_close(seen[0], expected)


def test_one_logit_an_anchor_becomes_two_with_the_same_probability() -> None:
    state, ours = theirs(), converted()
    hidden = torch.rand(8)
    logits = state["rpn.head.cls_logits.weight"].flatten(1) @ hidden + state["rpn.head.cls_logits.bias"]
    pairs = ours["rpn.shared.logits.weight"].flatten(1) @ hidden + ours["rpn.shared.logits.bias"]
    torch.testing.assert_close(pairs.view(3, 2).softmax(dim=1)[:, 0], logits.sigmoid())


@pytest.mark.parametrize("eps", [0.0, 1e-5])
def test_normalisation_is_theirs_with_their_eps(eps: float) -> None:
    state = theirs()
    state[f"{BODY}.bn1.running_var"] = torch.tensor([1e-9, 1e-6, 1e-3, 1.0])
    ours = fasterrcnn_from_torchvision(state, eps=eps)[1]
    norms = [nn.BatchNorm2d(4, eps=eps).eval(), nn.BatchNorm2d(4).eval()]
    for norm, weights, prefix in zip(norms, (state, ours), (f"{BODY}.bn1.", "backbone.bn1."), strict=True):
        own = {name.removeprefix(prefix): value for name, value in weights.items() if prefix in name}
        norm.load_state_dict({"num_batches_tracked": torch.tensor(0)} | own)
    images = torch.rand(2, 4, 5, 5)
    torch.testing.assert_close(norms[0](images), norms[1](images))


def test_another_network_is_named() -> None:
    for name in theirs():
        state = theirs()
        if name.startswith(("roi_heads.box_predictor", "rpn.head.cls", "roi_heads.box_head.fc6")):
            del state[name]
            with pytest.raises(ValueError, match="is missing: not a fasterrcnn_resnet50_fpn"):
                fasterrcnn_from_torchvision(state)
    with pytest.raises(ValueError, match=r"'backbone\.features\.0\.weight' is unknown"):
        fasterrcnn_from_torchvision(theirs() | {"backbone.features.0.weight": torch.zeros(1)})


@pytest.mark.parametrize("odd", [torch.tensor(1.0), torch.rand(3, 7, 2), torch.rand(0)], ids=str)
def test_odd_shapes_are_refused_here_or_fit_no_network(odd: Tensor) -> None:
    """Whatever a file holds, there is no other error than ValueError; what passes, `check_weights` sees."""
    refused = 0
    for name in theirs():
        try:
            fasterrcnn_from_torchvision(theirs() | {name: odd})
        except ValueError as error:
            assert "not a fasterrcnn_resnet50_fpn" in str(error)
            refused += 1
    assert refused >= 3
