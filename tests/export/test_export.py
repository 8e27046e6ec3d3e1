"""Models of every family as files that give the same answers, on pictures of many sizes."""

from __future__ import annotations

import json
import re
import runpy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from neocog.errors import CheckpointError, UsageError
from neocog.export import model as exporting
from neocog.export.check import compare
from neocog.export.model import SUFFIXES, export_model
from neocog.export.reader import Exported
from neocog.export.samples import varied
from neocog.models.classifier import ClassifierOptions
from neocog.models.ssd import SSDOptions
from neocog.predict import Predictor
from neocog.types import Task
from neocog.zoo import MODELS, create

CLASSES = ("disc", "square", "star")

SMALL_SSD = SSDOptions(
    levels=("p3", "c4"),
    normalise=False,
    dense=0,
    extras=(),
    side=128,
    scales=(0.2, 0.4, 0.7),
    ratios=((2,), (2,)),
    stretch=False,
)

Options = Callable[[Any], Any]


def as_they_are(options: Any) -> Any:
    return options


CASES: dict[str, tuple[str, str | None, int, Options]] = {
    "classifier": ("compact", "compact", 64, as_they_are),
    "local": ("lenet5", "lenet5", 32, lambda options: replace(options, first="local")),
    "localizer": ("localizer", "compact", 96, as_they_are),
    "ssd": ("ssd", "compact", 128, lambda options: SMALL_SSD),
    "yolo": ("yolo", "compact", 96, lambda options: replace(options, score=0.0)),
    "faster-rcnn": ("faster-rcnn", "compact", 96, as_they_are),
    "fcn-8s": ("fcn-8s", "compact", 96, as_they_are),
    "dc-ign": ("dc-ign", None, 64, as_they_are),
}

LONG: dict[str, tuple[str, str | None, int, Options]] = {
    "alexnet": ("alexnet", "alexnet", 96, as_they_are),
    "resnet18": ("resnet18", "resnet18", 64, as_they_are),
    "per class": ("localizer", "compact", 96, lambda options: replace(options, per_class=True)),
    "all levels": ("ssd", "compact", 128, as_they_are),
    "stretched": ("ssd", "compact", 128, lambda options: replace(SMALL_SSD, stretch=True)),
    "giou": ("yolo", "compact", 96, lambda options: replace(options, loss="giou")),
    "anchors": (
        "yolo",
        "compact",
        96,
        lambda options: replace(options, anchors=((20.0, 20.0), (40.0, 30.0)), passthrough="c2"),
    ),
    "connected": ("yolo", "compact", 96, lambda options: replace(options, hidden=64, score=0.0)),
    "max-pooled": ("faster-rcnn", "compact", 96, lambda options: replace(options, align=False)),
    "last stage": ("faster-rcnn", "resnet18", 128, as_they_are),
    "pyramid": ("faster-rcnn-fpn", "compact", 96, as_they_are),
    "torchvision's": (
        "faster-rcnn-fpn",
        "compact",
        96,
        lambda options: replace(options, anchors="corner", aligned=False, shorter=True),
    ),
    "r-fcn": ("r-fcn", "compact", 96, as_they_are),
    "averaged": ("r-fcn", "compact", 96, lambda options: replace(options, align=False)),
    "zero-shot": ("zero-shot", "compact", 96, lambda options: replace(options, temperature=0.5)),
    "fast-rcnn": ("fast-rcnn", "compact", 96, as_they_are),
    "fcn-32s": ("fcn-32s", "compact", 96, as_they_are),
    "fcn-16s": ("fcn-16s", "thin", 96, lambda options: replace(options, learn_upsampling=True)),
    "deconvnet": ("deconvnet", "thin", 64, as_they_are),
}


def predictor_of(case: tuple[str, str | None, int, Options], images: list[np.ndarray]) -> Predictor:
    """A model of weights of one seed, whose answers differ from place to place.

    A detector reports nothing in about half of the pictures.
    """
    name, backbone, side, change = case
    torch.manual_seed(0)
    entry = MODELS[name]
    options = change(entry.options(backbone or entry.backbones[0], side))
    model: Any = create(name, len(CLASSES), backbone, options)
    with torch.no_grad():
        for path, layer in model.named_modules():
            if (
                isinstance(layer, nn.Conv2d | nn.Linear)
                and layer.weight.std() < 0.03
                and "backbone" not in path
            ):
                layer.weight.normal_(std=(2 / layer.weight[0].numel()) ** 0.5)
    predictor = Predictor(model, CLASSES, (side, side), precision="f32")
    if predictor.task is Task.DETECT:
        highest = sorted(float(max(predictor.predict(image).scores, default=0)) for image in images)
        middle = (highest[len(highest) // 2 - 1] + highest[len(highest) // 2]) / 2
        predictor.model.options = with_score(predictor.model.options, middle)
        if hasattr(predictor.model, "detector"):
            predictor.model.detector.options = predictor.model.options.detector
    return predictor


def with_score(options: Any, least: float) -> Any:
    if hasattr(options, "detector"):
        return replace(options, detector=with_score(options.detector, least))
    if hasattr(options, "regions"):
        return replace(options, regions=replace(options.regions, score=least))
    return replace(options, score=least)


def exported(case: tuple[str, str | None, int, Options], format: str, folder: Path) -> Predictor:
    images = varied(None, 12)
    predictor = predictor_of(case, images)
    out = folder / f"model{SUFFIXES[format]}"
    compared = export_model(predictor, out, images, format=format, threads=1)
    assert compared.pictures == 12 and len(compared.sizes) > 4
    if predictor.task is Task.DETECT:
        assert 2 <= compared.empty <= 10 and compared.found >= 12 - compared.empty - len(compared.undecided)
    names = {"onnx": ["model.json", "model.onnx"], "openvino": ["model.bin", "model.json", "model.xml"]}
    assert sorted(path.name for path in folder.iterdir()) == names[format]
    described = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    assert described["classes"] == list(CLASSES) and described["task"] == predictor.task.value
    file = Exported(out, threads=1)
    assert file.description == described
    seen, own = file.predict(images[0]), predictor.predict(images[0])
    assert type(seen) is type(own) and seen.line() == own.line()
    return predictor


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("local", "onnx"),
        ("localizer", "openvino"),
        ("ssd", "openvino"),
        ("yolo", "onnx"),
        ("fcn-8s", "onnx"),
    ],
)
def test_a_file_answers_as_its_model(name: str, format: str, tmp_path: Path) -> None:
    exported(CASES[name], format, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("format", SUFFIXES)
@pytest.mark.parametrize("name", [*CASES, *LONG])
def test_every_family_in_every_format(name: str, format: str, tmp_path: Path) -> None:
    exported((CASES | LONG)[name], format, tmp_path)


EXAMPLE = re.compile(r"```python\n(import json\n.*?)```", re.DOTALL)


def test_a_detector_and_the_example_of_the_documentation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The example needs ONNX Runtime, NumPy and Pillow alone, and prints the model's own boxes."""
    predictor = exported(CASES["faster-rcnn"], "onnx", tmp_path)
    Image.fromarray(varied(None, 1)[0]).save(tmp_path / "photo.jpg")
    (tmp_path / "model.onnx").rename(tmp_path / "first.onnx")
    page = Path(__file__).parents[2] / "docs" / "export.md"
    found = EXAMPLE.search(page.read_text(encoding="utf-8"))
    assert found is not None and "neocog." not in found[1]
    script = tmp_path / "example.py"
    script.write_text(found[1], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(script))
    own = predictor.predict(tmp_path / "photo.jpg")
    printed = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert len(printed) == len(own) > 0
    assert [line[0] for line in printed] == own.names
    np.testing.assert_allclose([float(line[1]) for line in printed], own.scores, atol=1e-3)
    np.testing.assert_allclose([[float(word) for word in line[2:]] for line in printed], own.boxes, atol=0.1)


@pytest.fixture(scope="module")
def classifier() -> Predictor:
    torch.manual_seed(0)
    options = ClassifierOptions("conv2", pool=2, side=28)
    return Predictor(create("notes-digit", 3, options=options), CLASSES, (28, 28), precision="f32")


@pytest.mark.parametrize("format", SUFFIXES)
def test_a_file_that_answers_otherwise_is_not_left(
    format: str, classifier: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnx

    right: Any = exporting.__dict__["write_onnx"]

    def spoilt(model: Any, room: Any, description: Any, file: Path, **options: Any) -> None:
        right(model, room, description, file, **options)
        written = onnx.load(file)
        weight = next(one for one in written.graph.initializer if len(one.dims) == 2)
        values = onnx.numpy_helper.to_array(weight).copy()
        values[0, 0] += 0.5
        weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
        onnx.save(written, file)

    monkeypatch.setattr(exporting, "write_onnx", spoilt)
    out = tmp_path / f"model{SUFFIXES[format]}"
    with pytest.raises(CheckpointError, match=r"does not answer as the model: picture \d .* scores differ"):
        export_model(classifier, out, varied(None, 4), format=format)
    assert list(tmp_path.iterdir()) == []


def test_a_classifier_takes_other_sizes_than_its_own(classifier: Predictor, tmp_path: Path) -> None:
    out = tmp_path / "model.onnx"
    export_model(classifier, out, varied(None, 2))
    other = Predictor(classifier.model, CLASSES, (41, 57), precision="f32")
    file = Exported(out)
    file.transform = other.transform
    assert compare(other, file, varied(None, 4)).pictures == 4


def test_what_cannot_be_exported_says_so(classifier: Predictor, tmp_path: Path) -> None:
    regions = Predictor(create("r-cnn", 3, "compact"), CLASSES, (64, 64), precision="f32")
    with pytest.raises(UsageError, match="r-cnn cannot be exported: it crops"):
        export_model(regions, tmp_path / "model.onnx", varied(None, 1))
    with pytest.raises(UsageError, match=r"ends in \.xml"):
        export_model(classifier, tmp_path / "model.onnx", varied(None, 1), format="openvino")
    with pytest.raises(UsageError, match="give onnx or openvino"):
        export_model(classifier, tmp_path / "model.onnx", varied(None, 1), format="tflite")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["model.onnx", "model.xml"])
def test_a_file_of_others_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match=f"{name}: not an exported model") as caught:
        Exported(tmp_path / name)
    assert "\n" not in str(caught.value)
