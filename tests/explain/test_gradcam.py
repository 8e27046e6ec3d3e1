"""Grad-CAM by hand, and the scores that explanations ask about, for every task and detector."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from tests.references.small_classifier import Plain, SmallClassifier, subject_of
from torch.nn import functional as F

from neocog.backbones.compact import compact
from neocog.backbones.resnet import resnet18
from neocog.errors import UsageError
from neocog.explain.backward import Rectifiers
from neocog.explain.deconvnet import strongest_units
from neocog.explain.gradcam import grad_cam, gradcam
from neocog.explain.scores import look, probability_of
from neocog.explain.subject import Choices, Subject, margin_of
from neocog.models.rcnn import RCNN
from neocog.testing import FULL, make_batch
from neocog.types import Batch, Task
from neocog.zoo import MODELS, create

DETECTORS = [name for name, entry in MODELS.items() if entry.task == Task.DETECT]
NOISE = np.random.default_rng(0).integers(0, 256, (64, 48, 3), np.uint8)


def two_layers() -> SmallClassifier:
    """Two channels: red less a half, and green; two classes: 2 a - b and b, from their means."""
    weight = torch.zeros(2, 3, 1, 1)
    weight[0, 0], weight[1, 1] = 1, 1
    model = SmallClassifier(Plain(weight, torch.tensor([-0.5, 0.0])), 2)
    model.scores.weight.data = torch.tensor([[2.0, -1.0], [0.0, 1.0]])[..., None, None]
    model.scores.bias = torch.nn.Parameter(torch.tensor([0.3, 0.0]))
    return model


PIXELS = np.zeros((2, 2, 3), np.uint8)
PIXELS[..., 0] = [[255, 0], [51, 204]]  # red 1, 0, 0.2, 0.8; so channel 0 is 0.5, 0, 0, 0.3
PIXELS[..., 1] = [[102, 51], [0, 0]]  # channel 1: green 0.4, 0.2, 0, 0


def test_two_layers_by_hand() -> None:
    found = look(subject_of(two_layers(), PIXELS, 2), "class 0")
    (finding,) = found.findings
    assert finding.score.item() == pytest.approx(2 * 0.8 / 4 - 0.6 / 4 + 0.3)
    cells = found.maps["conv"]
    slopes = torch.autograd.grad(finding.score, cells, retain_graph=True)[0]
    torch.testing.assert_close(slopes[0].mean(dim=(1, 2)), torch.tensor([2 / 4, -1 / 4]))
    # 0.5 A_0 - 0.25 A_1, and nothing below 0
    wanted = torch.tensor([[0.25 - 0.1, 0.0], [0.0, 0.15]])
    torch.testing.assert_close(grad_cam(finding.score, cells), wanted)


def test_the_score_is_the_logit_before_softmax() -> None:
    subject = subject_of(two_layers(), PIXELS, 2)
    logits = subject.model(subject.batch).logits[0]
    best = look(subject).findings[0]
    assert best.label == int(logits.argmax()) and best.score == logits.max()
    assert best.probability == pytest.approx(float(logits.softmax(0).max()))
    other = look(subject, "class 1").findings[0]
    assert other.label == 1 and other.score == logits[1]


class Margined(SmallClassifier):
    """It puts 6 pixels of grey around its pictures first, as FCN puts 100."""

    def forward(self, batch: Batch) -> Any:
        return super().forward(replace(batch, images=F.pad(batch.images, (6, 6, 6, 6), value=0.5)))


margin_of.register(Margined, lambda model: 6)


def test_a_margin_moves_the_cells() -> None:
    """The brightest pixel is where the map is highest, in pixels of the picture without its margin."""
    plain = two_layers()
    model = Margined(plain.backbone, 2)
    model.scores = plain.scores
    pixels = np.zeros((20, 30, 3), np.uint8)
    pixels[4, 21] = (255, 0, 0)
    shown = gradcam(subject_of(model, pixels, 2), Choices(label="class 0"))
    assert shown[0].record["peak"] == [21.5, 4.5]
    units = strongest_units(model(subject_of(model, pixels, 2).batch).features.maps["conv"][0])
    assert (units[0].row, units[0].column) == (10, 27)


def test_with_a_mean_over_the_map_it_is_the_class_activation_map() -> None:
    """Zhou et al. 2016: sum_k w_k^c f_k; Grad-CAM is it over the number of cells, where it is above 0."""
    torch.manual_seed(0)
    model = SmallClassifier(resnet18(), 3)
    found = look(subject_of(model, NOISE), "class 2")
    cells = found.maps["layer4"]
    cam = (model.scores.weight[2] * cells[0]).sum(dim=0).detach()
    wanted = F.relu(cam) / cam.numel()
    torch.testing.assert_close(grad_cam(found.findings[0].score, cells), wanted)


def test_a_segmenters_score_is_the_mean_over_the_pixels_of_the_class() -> None:
    torch.manual_seed(0)
    subject = subject_of(SmallClassifier(compact(), 3, Task.SEGMENT), NOISE)
    logits = subject.model(subject.batch).logits[0]
    labels = logits.argmax(dim=0)
    for label in range(3):
        own = labels == label if (labels == label).any() else torch.ones_like(labels, dtype=torch.bool)
        finding = look(subject, f"class {label}").findings[0]
        torch.testing.assert_close(finding.score, logits[label][own].mean())
    counts = labels.flatten().bincount(minlength=3)
    best = look(subject).findings[0].label
    assert best == (1 + int(counts[1:].argmax()) if counts[1:].any() else 0)


def detector(name: str) -> Any:
    torch.manual_seed(0)
    options: Any = MODELS[name].options("compact", 96)
    if name == "yolo":
        options = replace(options, loss="giou", score=0.001)
    return create(name, 2, "compact", options).eval().requires_grad_(False)


def detected(name: str, model: Any = None) -> Subject:
    batch = make_batch([FULL]).without_targets()
    pixels = (batch.images[0].permute(1, 2, 0) * 255).byte().numpy()
    return Subject(model or detector(name), batch, pixels, ("a", "b"))


@pytest.mark.parametrize("name", DETECTORS)
def test_a_detections_score_is_its_log_odds(name: str) -> None:
    subject = detected(name)
    model, batch = subject.model, subject.batch
    found = look(subject)
    with torch.no_grad():
        answer = model.decode(model(batch), batch)[0]
    count = 1 if isinstance(model, RCNN) else min(3, len(answer))
    assert len(found.findings) == count > 0
    for finding, score, label in zip(found.findings, answer.scores, answer.labels, strict=False):
        assert finding.label == label and finding.probability == pytest.approx(float(score), abs=1e-5)
        assert finding.score.sigmoid().item() == pytest.approx(float(score), abs=1e-5)
        assert finding.score.isfinite()
    first = found.findings[0]
    slopes = torch.autograd.grad(first.score, list(found.maps.values()), allow_unused=True, retain_graph=True)
    assert any(one is not None and one.any() for one in slopes)
    assert torch.autograd.grad(first.score, found.images)[0].any()


def test_in_ssd_it_is_the_logit_less_those_of_the_others() -> None:
    subject = detected("ssd")
    found = look(subject, most=1)
    logits = subject.model(subject.batch).logits[0]
    odds = logits[:, :2] - torch.stack([logits[:, [1, 2]], logits[:, [0, 2]]], dim=1).logsumexp(dim=2)
    assert found.findings[0].score.item() == pytest.approx(odds.amax().item(), abs=1e-5)


def test_a_score_near_1_still_has_a_gradient() -> None:
    """In float32 the softmax of 25 against 0 is 1: its odds are infinite, their gradient nothing."""
    model = detector("ssd")
    for layer in model.logits:
        layer.bias.data = (torch.arange(len(layer.bias)) % 3 == 1) * 25.0
    found = look(detected("ssd", model), most=1)
    assert float(torch.tensor(found.findings[0].probability)) == 1.0
    assert 20 < found.findings[0].score.item() < 30
    assert torch.autograd.grad(found.findings[0].score, found.images)[0].any()


def test_scores_of_squared_errors_are_taken_as_they_are() -> None:
    torch.manual_seed(0)
    options: Any = replace(MODELS["yolo"].options("compact", 96), loss="squared", score=0.0)
    model = create("yolo", 2, "compact", options).eval().requires_grad_(False)
    for module in model.modules():
        if isinstance(module, torch.nn.Linear | torch.nn.Conv2d) and module.bias is not None:
            module.bias.data += 0.5  # confidences and classes above 0
    found = look(detected("yolo", model), most=1)
    assert found.findings[0].score.item() == pytest.approx(found.findings[0].probability, abs=1e-5)


@pytest.mark.parametrize("name", ["faster-rcnn", "ssd", "r-cnn", "zero-shot"])
def test_pictures_of_a_detection_and_its_record(name: str) -> None:
    shown = gradcam(detected(name), Choices(conf=0.0))
    assert len(shown) == (2 if name == "r-cnn" else 6)
    record = shown[0].record
    assert record["class"] in ("a", "b") and 0 <= record["probability"] <= 1
    assert len(record["box"]) == 4 and len(record["peak"]) == 2
    assert record["level"] in compact().channels


def test_the_guided_score_is_the_same_score() -> None:
    subject = detected("r-fcn")
    plain = look(subject)
    with Rectifiers("guided"):
        guided = look(subject)
    assert [one.score.item() for one in plain.findings] == [one.score.item() for one in guided.findings]


def test_the_crop_of_rcnn_is_where_its_pixels_came_from() -> None:
    """Compared with the crop itself: the middle of the extent is the middle of the box."""
    found = look(detected("r-cnn"))
    box, (x0, y0, x1, y1) = found.findings[0].box, found.extent
    assert box is not None
    middle = ((box[:2] + box[2:]) / 2).tolist()
    assert [(x0 + x1) / 2, (y0 + y1) / 2] == pytest.approx(middle)
    options = MODELS["r-cnn"].options("compact", 96)
    assert (x1 - x0) * (1 - 2 * options.context / options.crop) == pytest.approx(float(box[2] - box[0]))


def test_levels_that_the_score_does_not_depend_on_are_refused() -> None:
    subject = detected("faster-rcnn")
    with pytest.raises(UsageError, match="unknown feature map 'x9'"):
        gradcam(subject, Choices(level="x9"))
    with pytest.raises(UsageError, match="unknown class 'c'"):
        gradcam(subject, Choices(label="c"))


def test_a_detector_that_finds_nothing_is_an_error() -> None:
    model = detector("ssd")
    for layer in model.logits:
        layer.bias.data = (torch.arange(len(layer.bias)) % 3 == 2) * 30.0  # all is background
    with pytest.raises(UsageError, match="found nothing"):
        look(detected("ssd", model))


@pytest.mark.parametrize("name", DETECTORS)
def test_probability_of_the_picture_itself_is_the_findings(name: str) -> None:
    subject = detected(name)
    finding = look(subject, most=1).findings[0]
    images = subject.batch.images
    found = probability_of(subject, finding)(torch.cat([images, images * 0]))
    assert found.shape == (2,) and float(found[0]) == pytest.approx(finding.probability, abs=1e-4)
    assert found[0] != found[1]
