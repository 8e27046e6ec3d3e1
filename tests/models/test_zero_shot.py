"""Zero-shot detection: the contract, what is learnt from, and what the vectors decide."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from neocog.data.label_vectors import LabelVectors, pair_vectors
from neocog.errors import DataError, UsageError
from neocog.models.zero_shot import ZeroShotOptions, with_vectors
from neocog.ops.boxes import coverage
from neocog.parts.regions import box_losses
from neocog.predict import Predictor
from neocog.testing import FULL, check_detector, check_learns, make_batch
from neocog.zoo import MODELS, create

VECTORS = ((1.0, 0.0, 0.5), (0.0, 2.0, 0.5), (1.0, 1.0, 0.0))
WORDS = ((0.0, 0.0, 1.0), (-1.0, 0.0, 0.2))


def options(**changes: Any) -> ZeroShotOptions:
    return replace(MODELS["zero-shot"].options("compact", 96), **changes)


def build(classes: int = 3, **changes: Any) -> Any:
    torch.manual_seed(0)
    return create("zero-shot", classes, "compact", options(vectors=VECTORS[:classes], **changes))


@pytest.mark.parametrize("loss", ["margin", "softmax"])
@pytest.mark.parametrize("background", ["static", "latent"])
def test_contract(loss: str, background: str) -> None:
    check_detector(build(loss=loss, background=background, vocabulary=WORDS, unseen_labels=(2,)))


def test_contract_without_vectors_and_on_a_resnet() -> None:
    torch.manual_seed(0)
    check_detector(create("zero-shot", 2, "resnet18"))


@pytest.mark.parametrize("loss", ["margin", "softmax"])
@pytest.mark.parametrize("background", ["static", "latent"])
def test_learns_one_batch_by_heart(loss: str, background: str) -> None:
    check_learns(build(2, loss=loss, background=background, vocabulary=WORDS, reconstruction=1e-3))


def test_words_have_unit_length_and_the_background_an_axis_of_its_own() -> None:
    words = build().words
    assert words.shape == (4, 4)
    torch.testing.assert_close(words.norm(dim=1), torch.ones(4))
    assert words[3].tolist() == [0, 0, 0, 1] and (words[:3] @ words[3]).abs().max() == 0
    latent = build(background="latent", vocabulary=WORDS).words
    torch.testing.assert_close(latent, F.normalize(torch.tensor(VECTORS + WORDS), dim=1))


def test_the_loss_is_the_papers() -> None:
    """Sum over the other classes of max(0, m - own + other), by loops; unseen classes are no others."""
    model = build(margin=0.3, unseen_labels=(1,))
    cosines = torch.rand(6, 4, generator=torch.Generator().manual_seed(1)) * 2 - 1
    labels = torch.tensor([0, 2, 3, 3, 0, 2])  # 3: background
    expected = 0.0
    for row, own in zip(cosines.tolist(), labels.tolist(), strict=True):
        expected += sum(max(0.0, 0.3 - row[own] + row[other]) for other in (0, 2, 3) if other != own)
    assert model._class_loss(cosines, labels).item() == pytest.approx(expected, abs=1e-5)


def test_background_is_learnt_towards_its_nearest_word() -> None:
    model = build(background="latent", vocabulary=WORDS, loss="softmax", temperature=1.0)
    cosines = torch.tensor([[0.1, 0.2, 0.3, 0.4, 0.9], [0.1, 0.2, 0.3, 0.8, -0.5]])
    background = torch.tensor([3, 3])
    expected = F.cross_entropy(cosines, torch.tensor([4, 3]), reduction="sum")
    assert model._class_loss(cosines, background).item() == pytest.approx(expected.item(), abs=1e-6)


@pytest.mark.parametrize("loss", ["margin", "softmax"])
def test_the_vector_of_an_unseen_class_changes_nothing_in_training(loss: str) -> None:
    batch = make_batch([FULL])
    losses = []
    for last in ((1.0, 1.0, 0.0), (-3.0, 1.0, 2.0)):
        model = build(loss=loss, unseen_labels=(2,))
        model.words[2] = F.normalize(torch.tensor([*last, 0.0]), dim=0)
        found = model.loss(model(batch), batch)
        losses.append({name: value.item() for name, value in found.items()})
    assert losses[0] == losses[1]


def test_unseen_objects_must_be_ignored_and_then_are_neither() -> None:
    """No anchor and no region upon an ignored object is background, and none is the object."""
    model = build(unseen_labels=(1,))
    batch = make_batch([FULL])
    with pytest.raises(ValueError, match="unseen class was to be learnt from"):
        model.loss(model(batch), batch)
    (objects,) = batch.targets or ()
    batch = replace(batch, targets=(replace(objects, ignore=objects.labels == 1),))
    output = model(batch)
    assert all(torch.isfinite(value) for value in model.loss(output, batch).values())
    labels, boxes = output.regions.labels, output.regions.boxes
    assert set(labels.tolist()) <= {0, 3}
    assert coverage(boxes[labels == 3], objects.boxes[1:]).max() < 0.5


def test_anchors_upon_an_unseen_object_are_no_background_for_the_rpn() -> None:
    model = build(unseen_labels=(1,))
    batch = make_batch([FULL])
    (objects,) = batch.targets or ()
    ignored = replace(batch, targets=(replace(objects, ignore=objects.labels == 1),))
    output = model(ignored)
    upon = coverage(output.rpn.anchors, objects.boxes[1:])[:, 0] >= 0.5
    apart = coverage(output.rpn.anchors, objects.boxes[:1])[:, 0] == 0
    for there, learnt in ((ignored, False), (batch, True)):
        objectness = model.detector.rpn.loss(output.rpn, there)["rpn_objectness"]
        (slope,) = torch.autograd.grad(objectness, output.rpn.logits, retain_graph=True)
        assert bool(slope[0, upon & apart].abs().sum() > 0) == learnt


def test_cosines_and_scores_are_of_full_precision_under_autocast() -> None:
    model = build(unseen_labels=(1,)).eval()
    batch = make_batch([FULL]).without_targets()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        output = model(batch)
    assert output.cosines.dtype == output.projected.dtype == torch.float32
    expected = F.normalize(output.projected, dim=1) @ model.words.T
    torch.testing.assert_close(output.cosines, expected, rtol=0, atol=1e-6)
    assert all(one.scores.dtype == torch.float32 for one in model.decode(output, batch))


def test_what_can_be_predicted_is_a_matter_of_the_view() -> None:
    detector = options().detector
    regions = replace(detector.regions, score=0.0)  # untrained, nothing need score more
    model = build(unseen_labels=(1,), detector=replace(detector, regions=regions)).eval()
    batch = make_batch([FULL, FULL]).without_targets()
    with torch.inference_mode():
        output = model(batch)
        labels = {
            view: {int(k) for one in model.decode_among(view, output, batch) for k in one.labels}
            for view in ("all", "seen", "unseen")
        }
    assert labels["unseen"] == {1} and labels["seen"] <= {0, 2} and labels["all"] <= {0, 1, 2}
    shares = model.scores(output.cosines, "unseen")
    assert (shares[:, [0, 2]] == 0).all() and (shares[:, 1] > 0).all()


def test_among_fewer_classes_the_unseen_ones_keep_their_names() -> None:
    predictor = Predictor(build(unseen_labels=(0,)), ("a", "b", "c"), (96, 96), precision="f32")
    fewer = predictor.among(("c", "a"))
    assert predictor.unseen == (0,) and fewer.unseen == (1,)
    batch = make_batch([FULL])
    found, _, views = fewer.run_among(batch, ("seen", "unseen"))
    assert set(views["unseen"][0].labels.tolist()) == {1} and set(views["seen"][0].labels.tolist()) <= {0}
    alone, _ = fewer.run(batch)
    assert torch.equal(found[0].boxes, alone[0].boxes) and torch.equal(found[0].labels, alone[0].labels)


def test_calibration_takes_from_seen_classes_where_both_compete() -> None:
    plain, calibrated = build(unseen_labels=(1,)), build(unseen_labels=(1,), calibration=0.2)
    cosines = torch.rand(5, 4, generator=torch.Generator().manual_seed(0))
    lower = cosines - torch.tensor([0.2, 0.0, 0.2, 0.0])
    torch.testing.assert_close(calibrated.scores(cosines, "all"), plain.scores(lower, "all"))
    for view in ("seen", "unseen"):
        torch.testing.assert_close(calibrated.scores(cosines, view), plain.scores(cosines, view))


def test_one_set_of_offsets_serves_every_class() -> None:
    model = build()
    batch = make_batch([FULL])
    output = model(batch)
    assert output.deltas.shape == (len(output.regions), 4)
    coder = model.detector.coder
    once = box_losses(output.regions, output.deltas, 3, coder)
    each = box_losses(output.regions, output.deltas.repeat(1, 3), 3, coder)
    assert once.sum() > 0 and torch.equal(once, each)
    assert not torch.equal(once, box_losses(output.regions, output.deltas.repeat(1, 3) + 1, 3, coder))


def test_reconstruction_gives_the_features_back() -> None:
    model = build(reconstruction=0.5).train()
    batch = make_batch([FULL])
    output = model(batch)
    again = output.hidden @ model.project.weight.T @ model.project.weight
    expected = 0.5 * (output.hidden - again).square().sum() / len(output.regions)
    assert model.loss(output, batch)["reconstruction"].item() == pytest.approx(expected.item(), rel=1e-4)


def data_with(vectors: dict[str, tuple[float, ...]], unseen: tuple[str, ...] = ()) -> Any:
    return SimpleNamespace(name="those", label_vectors=LabelVectors(vectors, unseen))


def test_vectors_come_with_the_data_or_from_a_file(tmp_path: Any) -> None:
    table = {"b": (0.0, 1.0), "word": (1.0, 1.0), "a": (1.0, 0.0)}
    filled = with_vectors(options(), ("a", "b"), data_with(table, ("b",)))
    assert filled.vectors == ((1.0, 0.0), (0.0, 1.0)) and filled.vocabulary == ((1.0, 1.0),)
    assert filled.unseen == ("b",) and filled.unseen_labels == (1,)
    file = tmp_path / "vectors.json"
    file.write_text('{"a": [1, 2, 3], "b": [4, 5, 6]}')
    named = with_vectors(options(embeddings=str(file), unseen="a"), ("a", "b"), SimpleNamespace(name="x"))
    assert named.vectors == ((1, 2, 3), (4, 5, 6)) and named.unseen_labels == (0,) and not named.embeddings
    assert with_vectors(named, ("a", "b"), None) == named


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({}, UsageError, "brings none: give --set embeddings=FILE"),
        ({"unseen": "c"}, UsageError, "no class 'c'"),
        ({"unseen": ("a", "b")}, UsageError, "nothing is left to learn from"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(changes: Any, kind: type[Exception], words: str) -> None:
    data = data_with({"a": (1.0,), "b": (2.0,)}) if changes else SimpleNamespace(name="photos")
    with pytest.raises(kind, match=words) as caught:
        with_vectors(options(**changes), ("a", "b"), data)
    assert "\n" not in str(caught.value)


def test_a_class_without_a_vector_is_named() -> None:
    with pytest.raises(DataError, match="those: no vector of the class 'b'"):
        with_vectors(options(), ("a", "b"), data_with({"a": (1.0,)}))


def test_options_say_what_is_wrong() -> None:
    with pytest.raises(UsageError, match="no class: there are none"):
        build(background="latent")
    with pytest.raises(UsageError, match="3 label vectors for 2 classes"):
        create("zero-shot", 2, "compact", options(vectors=VECTORS))
    for vectors in (((1.0,), (1.0, 2.0)), ((0.0, 0.0),), ((float("inf"),),)):
        with pytest.raises(ValueError, match="of one length, finite and not zero"):
            options(vectors=vectors)
    with pytest.raises(ValueError, match="must be joint"):
        options(detector=replace(options().detector, training="alternating"))


def test_pairs_are_two_attributes() -> None:
    table = pair_vectors().vectors
    words = torch.tensor(list(table.values()))
    torch.testing.assert_close(words.norm(dim=1), torch.ones(len(words)))
    names = list(table)
    for row, first in zip(words @ words.T, names, strict=True):
        for value, second in zip(row.tolist(), names, strict=True):
            shared = sum(a == b for a, b in zip(first.split("-"), second.split("-"), strict=True))
            assert value == pytest.approx(shared / 2, abs=1e-6)
