"""R-CNN and Fast R-CNN: the contract, the published counts, and that they learn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from neocog.models.rcnn import RCNN
from neocog.ops.boxes import iou
from neocog.parts.regions import RegionOptions
from neocog.testing import FULL, check_detector, check_learns, make_batch
from neocog.types import Batch, Proposals
from neocog.zoo import MODELS, create

LINE = ["r-cnn", "fast-rcnn"]


@pytest.mark.parametrize("name", LINE)
def test_contract(name: str) -> None:
    torch.manual_seed(0)
    check_detector(create(name, 3))


@pytest.mark.parametrize("name", LINE)
def test_contract_on_a_resnet(name: str) -> None:
    torch.manual_seed(0)
    options = MODELS[name].options("resnet18", 96)
    if name == "r-cnn":
        options = replace(options, crop=64, context=4, regions=RegionOptions(samples=8))
    check_detector(create(name, 2, "resnet18", options))


@pytest.mark.parametrize("name", LINE)
def test_parameters_of_the_paper(name: str) -> None:
    """VGG-16, 21 classes with background: 134,690,729, with offsets for the background that ours has not."""
    with torch.device("meta"):
        model = create(name, 20, "vgg16")
    assert sum(p.numel() for p in model.parameters()) == 134_690_729 - 4 * 4097


def test_faster_rcnn_on_resnet101_reads_regions_with_stage_5() -> None:
    """He et al. 2016: the detector has the backbone's layers and an RPN; no fully connected ones but two."""
    with torch.device("meta"):
        model: Any = create("faster-rcnn", 20, "resnet101")
    counts = {name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()}
    assert counts["backbone"] == 44_549_160 - 2048 * 1000 - 1000
    assert counts["head"] == 2049 * (21 + 80)


@pytest.mark.parametrize("name", LINE)
def test_regions_come_with_the_batch(name: str) -> None:
    torch.manual_seed(0)
    model: Any = create(name, 2).eval()
    batch = make_batch([FULL]).without_targets()
    assert batch.proposals is not None
    with torch.inference_mode():
        assert torch.equal(model(batch).regions.boxes, batch.proposals[0].boxes)
        with pytest.raises(ValueError, match="takes its regions from outside"):
            model(replace(batch, proposals=None))


@pytest.mark.parametrize("name", LINE)
def test_a_picture_in_which_nothing_was_proposed(name: str) -> None:
    torch.manual_seed(0)
    model: Any = create(name, 2)
    batch = replace(make_batch([FULL]), proposals=(Proposals(torch.zeros(0, 4), torch.zeros(0)),))
    losses = model.loss(model(batch), batch)
    assert all(torch.isfinite(loss) for loss in losses.values())
    with torch.inference_mode():
        regions = model.eval()(batch.without_targets()).regions
    assert regions.boxes.tolist() == [[0, 0, 96, 96], [24, 24, 72, 72]]


def test_fast_rcnn_leaves_easy_background_out() -> None:
    """[0.1, 0.5) with the nearest object is background; what overlaps nothing is not learnt from."""
    torch.manual_seed(0)
    model: Any = create("fast-rcnn", 2)
    model.options = replace(model.options, regions=RegionOptions(samples=64, background=0.1))
    batch = make_batch([[(10.0, 10.0, 50.0, 50.0, 0)]])
    near = torch.tensor([[10.0, 10.0, 50.0, 60.0], [30.0, 30.0, 70.0, 70.0], [60.0, 60.0, 90.0, 90.0]])
    batch = replace(batch, proposals=(Proposals(near, torch.zeros(3)),))
    regions = model(batch).regions
    assert sorted(regions.boxes[regions.labels == 2].tolist()) == [[30, 30, 70, 70]]
    assert len(regions) == 3  # the object itself, the box upon it, the one beside it


def test_rcnn_gives_the_same_however_many_crops_at_once() -> None:
    torch.manual_seed(0)
    options = MODELS["r-cnn"].options("compact", 96)
    model: Any = create("r-cnn", 2, "compact", options).eval()
    batch = make_batch([FULL, FULL]).without_targets()
    with torch.inference_mode():
        whole = model(batch)
        model.options = replace(options, at_once=7)
        parts = model(batch)
    torch.testing.assert_close(whole.logits, parts.logits, rtol=0, atol=1e-5)
    torch.testing.assert_close(whole.deltas, parts.deltas, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", LINE)
def test_learns_one_batch_by_heart(name: str) -> None:
    torch.manual_seed(0)
    check_learns(create(name, 2))


def test_svms_replace_the_softmax_once_fitted() -> None:
    torch.manual_seed(0)
    options = replace(MODELS["r-cnn"].options("compact", 96), scorer="svm")
    model: Any = create("r-cnn", 2, "compact", options).eval()
    pictures = [make_batch([FULL], seed=seed) for seed in range(4)]
    batch = pictures[0].without_targets()
    with torch.inference_mode():
        assert model(batch).logits.shape[1] == 3
        changed = model.complete(lambda: pictures, seed=0)
        output = model(batch)
        found = model.decode(output, batch)[0]
    assert set(changed) == {
        f"linear.{name}" for name in ("svm_weight", "svm_bias", "ridge_weight", "ridge_bias", "is_fitted")
    }
    assert output.logits.shape[1] == 2
    assert (found.scores[1:] <= found.scores[:-1]).all()
    assert ((found.scores >= 0) & (found.scores <= 1)).all()


def test_the_svms_are_those_of_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    """With every negative kept, mining ends in the SVM of all examples."""
    from sklearn.svm import LinearSVC

    from neocog.parts import svm

    monkeypatch.setattr(svm, "HARD", -np.inf)
    monkeypatch.setattr(svm, "EASY", -np.inf)
    rng = np.random.default_rng(0)
    positives, negatives = rng.normal(1, 1, (30, 6)), rng.normal(0, 1, (90, 6))
    own = svm._ClassSVM(positives)
    for part in np.array_split(negatives, 5):
        own.mine(part, seed=0)
    own.learn(seed=0)
    solver = LinearSVC(
        loss="hinge", C=0.001, class_weight={1: 2}, intercept_scaling=10, max_iter=10_000, random_state=0
    )
    solver.fit(np.concatenate([positives, negatives]), [1] * 30 + [0] * 90)
    np.testing.assert_allclose(own.weight, solver.coef_[0], atol=1e-6)
    assert own.bias == pytest.approx(float(solver.intercept_[0]), abs=1e-6)


def test_easy_negatives_are_dropped_and_hard_ones_kept() -> None:
    from neocog.parts import svm

    rng = np.random.default_rng(0)
    own = svm._ClassSVM(rng.normal(8, 0.1, (40, 4)))
    own.mine(rng.normal(-8, 0.1, (60, 4)), seed=0)
    assert own.weight is not None
    kept = sum(map(len, own.negatives))
    own.mine(np.full((5, 4), -9.0), seed=0)  # far on the right side
    assert sum(map(len, own.negatives)) == kept
    own.mine(np.full((5, 4), 8.0), seed=0)  # on the wrong side
    assert sum(map(len, own.negatives)) == kept + 5


def test_box_regression_moves_boxes_towards_their_objects() -> None:
    """Features that are the offsets themselves: ridge regression must find them."""
    from neocog.ops.coder import BoxCoder
    from neocog.parts.svm import fit_scorer

    coder, truth = BoxCoder(), torch.tensor([[20.0, 20.0, 60.0, 70.0]])

    def look(images: torch.Tensor, boxes: torch.Tensor, index: torch.Tensor) -> tuple[Any, Any]:
        offsets = coder.encode(truth.expand(len(boxes), 4), boxes)
        return offsets, offsets * 100

    def pictures() -> list[Batch]:
        return [_noisy(truth, seed) for seed in range(6)]

    fit = fit_scorer(pictures, look, 1, coder)
    boxes = _noisy(truth, 99).proposals[0].boxes  # type: ignore[index]
    near = boxes[iou(boxes, truth)[:, 0] > 0.6]
    rows = look(truth, near, truth)[1].numpy()
    moved = coder.decode(torch.from_numpy(rows @ fit.ridge_weight.T + fit.ridge_bias), near)
    assert len(near) > 5
    assert iou(moved, truth).min() > 0.9 > iou(near, truth).mean()


def _noisy(truth: torch.Tensor, seed: int) -> Batch:
    batch = make_batch([[(*truth[0].tolist(), 0)]], seed=seed)
    moved = truth + 24 * torch.rand(40, 4, generator=torch.Generator().manual_seed(seed)) - 12
    return replace(batch, proposals=(Proposals(moved, torch.zeros(40)),))


def test_options_say_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="leaves nothing of a crop"):
        replace(MODELS["r-cnn"].options("compact", 96), context=32)
    assert isinstance(create("r-cnn", 2), RCNN)
