"""Every method on every backbone and for every task that it suits, and the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.references.small_classifier import SmallClassifier, subject_of

from neocog.backbones.backbone import Backbone
from neocog.backbones.compact import compact
from neocog.backbones.darknet import Darknet
from neocog.backbones.resnet import resnet18
from neocog.backbones.vgg import vgg16
from neocog.cli import explain as command
from neocog.cli import main
from neocog.errors import UsageError
from neocog.explain.methods import METHODS, explained
from neocog.explain.subject import Choices, Subject
from neocog.explain.subject import subject_of as subject_from
from neocog.predict import Predictor
from neocog.testing import FULL, make_batch
from neocog.types import Task
from neocog.zoo import MODELS, create

NOISE = np.random.default_rng(0).integers(0, 256, (64, 48, 3), np.uint8)
BACKBONES: dict[str, Any] = {
    "vgg16": vgg16,
    "resnet18": resnet18,
    "compact": compact,
    "darknet": lambda: Darknet(((3, 8, 2), None, (3, 12, 1), None, (3, 12, 2))),
}
EVERYWHERE = [name for name in METHODS if name not in ("stages", "heatmap", "occlusion", "units")]
DETECTORS = [name for name, entry in MODELS.items() if entry.task == Task.DETECT]


def built(name: str) -> Backbone:
    torch.manual_seed(0)
    network: Backbone = BACKBONES[name]()
    return network


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("method", EVERYWHERE)
def test_every_method_on_every_backbone(backbone: str, method: str) -> None:
    subject = subject_of(SmallClassifier(built(backbone), 3), NOISE)
    check(explained(subject, method, Choices()))


def test_poolings_that_return_switches() -> None:
    torch.manual_seed(0)
    subject = subject_of(SmallClassifier(vgg16(ceil_mode=True, switches=True), 3), NOISE)
    check(explained(subject, "guided", Choices()))


@pytest.mark.parametrize("task", [Task.LOCALIZE, Task.SEGMENT])
@pytest.mark.parametrize("method", ["gradcam", "occlusion"])
def test_scores_of_other_tasks(task: Task, method: str) -> None:
    check(explained(subject_of(SmallClassifier(built("compact"), 3, task), NOISE), method, Choices()))


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize("method", ["features", "filters", "deconvnet", "invariance"])
def test_the_backbone_of_every_detector(name: str, method: str) -> None:
    torch.manual_seed(0)
    model = create(name, 2, "compact", MODELS[name].options("compact", 96)).eval().requires_grad_(False)
    batch = make_batch([FULL]).without_targets()
    pixels = (batch.images[0].permute(1, 2, 0) * 255).byte().numpy()
    check(explained(Subject(model, batch, pixels, ("a", "b")), method, Choices()))


def check(shown: list[Any]) -> None:
    assert shown and len({one.name for one in shown}) >= 1
    for one in shown:
        assert one.caption.endswith(".") and one.caption[0] != " "
        json.dumps(dict(one.record))
        if not isinstance(one.picture, str):
            assert one.picture.mode == "RGB" and len(one.picture.getcolors(1 << 24)) > 1


def test_a_predictor_that_has_answered_can_be_explained() -> None:
    """Whatever it keeps from inference must not stand in the way of gradients."""
    torch.manual_seed(0)
    model = create("faster-rcnn", 2, "compact", MODELS["faster-rcnn"].options("compact", 96))
    predictor = Predictor(model, ("a", "b"), (96, 96), precision="f32")
    predictor.predict(NOISE)
    check(explained(subject_from(predictor, NOISE), "gradcam", Choices(conf=0.0)))
    assert all(not one.requires_grad and one.grad is None for one in predictor.model.parameters())


@pytest.mark.parametrize(
    ("method", "task", "suits"),
    [
        ("heatmap", Task.DETECT, "stages, features, filters"),
        ("stages", Task.CLASSIFY, "heatmap"),
        ("stages", Task.SEGMENT, "occlusion, invariance would"),
        ("gradcam", Task.RECONSTRUCT, "features, filters, deconvnet, guided, invariance, units would"),
    ],
)
def test_a_method_that_does_not_suit_says_what_would(method: str, task: Task, suits: str) -> None:
    model = SmallClassifier(compact(), 3, task)
    with pytest.raises(UsageError, match=f"--method {method} does not suit .*'{task.value}'.*{suits}"):
        explained(subject_of(model, NOISE), method, Choices())


def test_the_command_knows_every_method() -> None:
    assert set(command.METHODS) == set(METHODS)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    words = ["train", "faster-rcnn", "--data", "scenes", "--size", "64", "--steps", "2", "--workers", "0"]
    assert main([*words, "--val-split", "none", "--out", str(out)]) == 0
    return out


def test_the_command(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "wide.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (80, 160, 3), np.uint8)).save(picture)
    for method in ("deconvnet", "gradcam", "invariance"):
        out = tmp_path / method
        words = ["explain", str(run), str(picture), "--method", method, "--out", str(out)]
        assert main(words) == 0
        document = json.loads((out / "explanation.json").read_text())
        assert document["method"] == method
        page = (out / "index.html").read_text()
        for one in document["pictures"]:
            assert (out / one["drawn"]).is_file() and one["drawn"][:2].isdigit()
            assert one["name"] in page
        assert "index.html has all" in capsys.readouterr().out
        assert main([*words, "--overwrite"]) == 0


def test_errors_of_the_command(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture, out = tmp_path / "grey.png", tmp_path / "out"
    Image.new("RGB", (64, 64), "grey").save(picture)
    words = ["explain", str(run), str(picture), "--out", str(out)]
    for more, wanted in (
        (["--method", "heatmap"], "does not suit a model of the task 'detect': stages"),
        (["--method", "features", "--level", "c5"], "unknown feature map 'c5': there are c2, c3"),
        (["--method", "deconvnet", "--unit", "9999"], "no channel 9999"),
        (["--method", "gradcam", "--label", "ring1"], "unknown class 'ring1': did you mean 'ring'"),
    ):
        assert main([*words, *more]) == 2
        error = capsys.readouterr().err.strip()
        assert wanted in error and "\n" not in error
    assert not out.exists()
