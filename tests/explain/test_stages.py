"""The stages of every detector: what is shown is what was computed, and ends in the answer."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from neocog.cli import main
from neocog.explain.stages import Stage, best, stages
from neocog.parts.candidates import suppress
from neocog.pictures.stages import draw_boxes
from neocog.testing import FULL, make_batch
from neocog.types import Task
from neocog.zoo import MODELS, create

DETECTORS = [name for name, entry in MODELS.items() if entry.task == Task.DETECT]
RPN = ["map 1", "likely boxes", "regions"]
FIRST = {
    "r-cnn": ["regions"],
    "fast-rcnn": ["regions"],
    "faster-rcnn": RPN,
    "faster-rcnn-fpn": ["map 1", "map 2", "map 3", "map 4", "likely boxes", "regions"],
    "r-fcn": RPN,
    "ssd": ["map 1", "map 2", "map 3", "map 4", "likely boxes"],
    "yolo": ["cells", "boxes"],
    "zero-shot": RPN,
}


def detector(name: str) -> Any:
    torch.manual_seed(0)
    options: Any = MODELS[name].options("compact", 96)
    if name == "yolo":  # squared errors begin with confidences about 0, of which none is reported
        options = replace(options, loss="giou", score=0.001)
    return create(name, 2, "compact", options).eval()


@pytest.mark.parametrize("name", DETECTORS)
def test_stages_end_in_the_answer(name: str) -> None:
    model, batch = detector(name), make_batch([FULL])
    found = stages(model, batch, conf=0.0)
    assert [stage.name for stage in found] == [*FIRST[name], "candidates", "detections"]
    with torch.inference_mode():
        answer = model.decode(model(batch.without_targets()), batch)[0]
    assert found[-1].total == len(answer) > 0
    assert torch.equal(found[-1].boxes, answer.boxes[: len(found[-1].boxes)])
    assert found[-2].total >= found[-1].total
    for stage in found:
        assert stage.caption.endswith(".") and 0 < len(stage.boxes) <= stage.total
        assert (stage.scores[1:] <= stage.scores[:-1]).all()
        assert stage.scores.min() >= 0 and stage.scores.max() <= 1


@pytest.mark.parametrize("name", DETECTORS)
def test_candidates_suppressed_are_the_answer(name: str) -> None:
    """With a threshold of 1 nothing is suppressed, so the two differ by suppression alone."""
    model, batch = detector(name), make_batch([FULL, []]).without_targets()
    with torch.inference_mode():
        output = model(batch)
        found, answer = model.candidates(output, batch), model.decode(output, batch)
    whole = suppress(found, 2, 2, 1.0, None)
    assert sum(len(one) for one in whole) == len(found)
    for index, (one, kept) in enumerate(zip(whole, answer, strict=True)):
        assert len(one) == int((found.images == index).sum()) and len(kept) <= len(one)
        rows = {tuple(row) for row in one.boxes.tolist()}
        assert {tuple(row) for row in kept.boxes.tolist()} <= rows


def test_heat_of_an_rpn_is_its_objectness() -> None:
    model, batch = detector("faster-rcnn"), make_batch([FULL]).without_targets()
    anchors = stages(model, batch)[0]
    with torch.inference_mode():
        rpn = model(batch).rpn
    objectness = rpn.logits[0].softmax(1)[:, 0]
    assert anchors.heat is not None and anchors.heat.extent == (96, 96)
    assert anchors.heat.values.shape == (12, 12)
    assert anchors.heat.values.max() == objectness.max()
    centre = (anchors.boxes[:, :2] + anchors.boxes[:, 2:]) / 2
    assert torch.allclose(centre, centre[:1].expand_as(centre))  # all of one cell: the strongest
    assert anchors.scores[0] == objectness.max()


def test_several_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match="one picture"):
        stages(detector("faster-rcnn"), make_batch([FULL, FULL]))


def test_best_keeps_the_best_in_order() -> None:
    scores = torch.tensor([0.2, 0.9, 0.5, 0.7])
    stage = best("a", "b.", torch.arange(16.0).view(4, 4), scores, least=0.4, most=2)
    assert stage.total == 3 and stage.boxes[:, 0].tolist() == [4.0, 12.0]
    assert isinstance(stage, Stage) and stage.labels is None


def test_drawn_boxes_lie_on_their_pixels_and_heat_tints() -> None:
    image = np.full((400, 400, 3), 128, np.uint8)
    drawn = np.asarray(draw_boxes(image, np.array([[100.0, 50, 300, 250]]), np.array([1.0])))
    changed = np.argwhere((drawn != 128).any(axis=2))
    assert changed.min(axis=0).tolist() == [50, 100] and changed.max(axis=0).tolist() == [249, 299]
    heat = np.zeros((2, 2))
    heat[0, 1] = 1
    drawn = np.asarray(
        draw_boxes(image, np.zeros((0, 4)), np.zeros(0), heat=heat, extent=(0, 0, 400, 400))
    ).astype(int)
    blue = drawn[..., 2] - drawn[..., 0]
    assert (blue[:200, 200:] > 50).all() and (blue[:200, :200] == 0).all() and (blue[200:] == 0).all()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    words = ["train", "faster-rcnn", "--data", "scenes", "--size", "64", "--steps", "2", "--workers", "0"]
    assert main([*words, "--val-split", "none", "--out", str(out)]) == 0
    return out


def test_the_command(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "wide.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (80, 160, 3), np.uint8)).save(picture)
    out = tmp_path / "out"
    words = ["explain", str(run), str(picture), "--method", "stages", "--conf", "0", "--out", str(out)]
    assert main(words) == 0
    assert "1 map 1, 12: 4 x 8 cells, 8 pixels wide" in capsys.readouterr().out
    document = json.loads((out / "explanation.json").read_text())
    assert [one["name"] for one in document["stages"]][-2:] == ["candidates", "detections"]
    for stage in document["stages"]:
        with Image.open(out / stage["drawn"]) as drawn:
            assert drawn.width == 2 * drawn.height
    for box in (one["box"] for one in document["stages"][-1]["shown"]):
        assert 0 <= box[0] <= box[2] <= 160 and 0 <= box[1] <= box[3] <= 80
    assert (out / "stages.png").is_file()
    assert main(words) == 2 and "exists already" in capsys.readouterr().err
    assert main([*words, "--overwrite"]) == 0


def test_a_method_that_does_not_exist(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["explain", str(run), "x.png", "--method", "stage", "--out", str(out)]) == 2
    assert "did you mean 'stages'" in capsys.readouterr().err
    assert main(["explain", str(run), str(tmp_path / "no.png"), "--out", str(out)]) == 3
    assert not out.exists()
