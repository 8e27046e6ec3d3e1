"""What trained models are asked over HTTP is what the library says of the same picture."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.lab.labs import Trained, served
from tests.lab.raw import ask

from neocog.data.digits import Digits
from neocog.data.scenes import Scenes
from neocog.lab.app import create_app
from neocog.lab.quick import train_digits
from neocog.lab.runs import MOST_LINES, Runs
from neocog.ops.nms import batched_nms_torch
from neocog.pictures.encode import png_bytes
from neocog.types import Task

SCENE = Scenes("std", "test")[1].image
PICTURE = png_bytes(Image.fromarray(SCENE))


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def of_address(address: str) -> np.ndarray:
    return pixels(base64.b64decode(address.partition(",")[2]))


def test_the_pictures_are_those_of_the_test_splits(lab: str) -> None:
    listed = {one["id"]: one for one in ask(lab, "/api/v1/pictures").json}
    assert len(listed) >= 12
    for id, expected in (
        ("scene-2", SCENE),
        ("crowded-1", Scenes("hard", "test")[0].image),
        ("digit-3", Digits("test")[2].image),
    ):
        answer = ask(lab, f"/api/v1/pictures/{id}")
        assert answer.headers["content-type"] == "image/png" and (pixels(answer.body) == expected).all()
    real = Scenes("std", "test", task=Task.SEGMENT)
    assert (pixels(ask(lab, "/api/v1/pictures/scene-2/truth").body) == real[1].mask).all()
    assert listed["scene-2"]["classes"] == list(real.classes) and listed["digit-3"]["classes"] == []
    assert ask(lab, "/api/v1/pictures/digit-3/truth").status == 404


def test_runs_are_known_by_ids_that_tell_nothing(trained: Trained) -> None:
    listed = ask(trained.address, "/api/v1/runs").json
    assert [one["model"] for one in listed] == ["fcn-8s", "faster-rcnn", "ssd", "fcn-32s", "lenet5"]
    assert [one["here"] for one in listed] == [False] * 4 + [True]
    assert all(len(one["id"]) == 16 and one["id"] not in one["name"] for one in listed)
    assert str(trained.comparison.parent) not in json.dumps(listed)


@pytest.mark.parametrize("model", ["faster-rcnn", "ssd"])
def test_stages_hold_all_that_the_thresholds_need(trained: Trained, model: str) -> None:
    run = trained.run(model)
    found = ask(trained.address, f"/api/v1/stages/{run.id}", "POST", PICTURE).json
    said = ask(trained.address, f"/api/v1/predict/{run.id}", "POST", PICTURE).json["answer"]["detections"]
    expected = trained.predictor(run.model).predict(SCENE)
    assert said == expected.to_dict()["detections"] and len(said) > 0
    candidates = found["candidates"]
    boxes, scores, labels = (torch.tensor(candidates[one]) for one in ("boxes", "scores", "labels"))
    kept = batched_nms_torch(boxes, scores, labels, found["nms"])[: found["most"]]
    assert boxes[kept].tolist() == found["detections"]["boxes"]
    assert scores[kept].tolist() == found["detections"]["scores"] == expected.scores.tolist()
    a, b, c, d, e, f = found["to_picture"]
    x, y = (torch.tensor(found["detections"]["boxes"])[:, axis::2] for axis in (0, 1))
    mapped = torch.stack([a * x + b * y + c, d * x + e * y + f], dim=-1).flatten(1)
    height, width = found["size"]
    limits = torch.tensor([width, height, width, height])
    torch.testing.assert_close(torch.minimum(mapped.clamp(min=0), limits), torch.from_numpy(expected.boxes))
    for threshold in (0.1, 0.5, 0.9):
        given = {**candidates, "nms": threshold}
        body = json.dumps(given).encode()
        answer = ask(trained.address, "/api/v1/suppress", "POST", body, content_type="application/json")
        assert answer.json["kept"] == batched_nms_torch(boxes, scores, labels, threshold).tolist()
    names = [step["name"] for step in found["steps"]]
    assert names[0] == "map 1" and "likely boxes" in names
    heat = np.array(found["steps"][0]["heat"])
    assert heat.min() >= 0 and heat.max() <= 1
    assert all(value >= 0 for value in found["ms"].values()) and found["ms"]["network"] > 0


@pytest.mark.parametrize("model", ["fcn-8s", "fcn-32s"])
def test_a_mask_is_a_picture_whose_values_are_the_classes(trained: Trained, model: str) -> None:
    run = trained.run(model)
    found = ask(trained.address, f"/api/v1/predict/{run.id}", "POST", PICTURE).json
    expected = trained.predictor(run.model).predict(SCENE)
    assert (of_address(found["mask"]) == expected.mask).all() and found["answer"] == expected.to_dict()


def test_the_digit_net_learns_in_a_moment_and_its_maps_are_known(lab: str) -> None:
    (run,) = ask(lab, "/api/v1/runs").json
    layers = ask(lab, f"/api/v1/runs/{run['id']}/layers").json
    assert layers["maps"] == {"conv1": 6, "pool1": 6, "conv2": 16, "pool2": 16}
    assert layers["size"] == [28, 28]
    data, predictor = Digits("test"), train_digits()
    right = [predictor.predict(data[i].image).label == data[i].label for i in range(len(data))]
    assert np.mean(right) > 0.95


@pytest.mark.parametrize("method", ["features", "filters", "heatmap", "deconvnet", "gradcam"])
def test_explanations_are_pictures_with_captions(lab: str, method: str) -> None:
    (run,) = ask(lab, "/api/v1/runs").json
    target = f"/api/v1/explain/{run['id']}?method={method}"
    shown = ask(lab, target, "POST", png_bytes(Image.fromarray(Digits("test")[0].image))).json
    assert shown and all(one["caption"] and of_address(one["picture"]).size for one in shown)


def test_a_unit_of_a_map_is_projected(lab: str) -> None:
    (run,) = ask(lab, "/api/v1/runs").json
    digit = png_bytes(Image.fromarray(Digits("test")[0].image))
    target = f"/api/v1/explain/{run['id']}?method=deconvnet&level=conv1&unit="
    units = [ask(lab, f"{target}{unit}", "POST", digit).json for unit in range(6)]
    records = [shown[1]["record"]["units"] for shown in units if isinstance(shown, list)]
    assert records and all(len({one["channel"] for one in record}) == 1 for record in records)


@pytest.mark.parametrize(
    ("target", "status", "says"),
    [
        ("explain/{run}?method=stages", 422, "does not suit"),
        ("explain/{run}?method=magic", 422, "one of"),
        ("explain/{run}", 422, "method"),
        ("explain/{run}?method=features&level=conv9", 422, "conv9"),
        ("explain/{run}?method=deconvnet&level=conv1&unit=99", 422, "no channel 99"),
        ("explain/{run}?method=gradcam&label=cat", 422, "cat"),
        ("explain/{run}?method=features&unit=-1", 422, "unit"),
        ("stages/{run}", 422, "task 'classify'"),
        ("predict/0123456789abcdef", 404, "no such run"),
        ("suppress", 422, "dictionary"),
    ],
)
def test_what_cannot_be_is_one_line(lab: str, target: str, status: int, says: str) -> None:
    (run,) = ask(lab, "/api/v1/runs").json
    digit = png_bytes(Image.fromarray(Digits("test")[0].image))
    answer = ask(lab, "/api/v1/" + target.replace("{run}", run["id"]), "POST", digit)
    assert answer.status == status and says in answer.json["error"] and "\n" not in answer.json["error"]


def test_records_are_those_of_the_folder(trained: Trained) -> None:
    run = trained.run("fcn-8s")
    assert run.folder is not None
    at = f"/api/v1/runs/{run.id}"
    assert ask(trained.address, f"{at}/evaluation").json == run.document("evaluation.json")
    pictures = sorted((run.folder / "samples").glob("*.png"))
    (known,) = [one for one in ask(trained.address, "/api/v1/runs").json if one["id"] == run.id]
    assert known["samples"] == len(pictures)
    for number, path in enumerate(pictures):
        assert ask(trained.address, f"{at}/samples/{number}").body == path.read_bytes()
    assert ask(trained.address, f"{at}/samples/{len(pictures)}").status == 404
    assert ask(trained.address, f"{at}/samples/-1").status == 422
    (compared,) = ask(trained.address, "/api/v1/comparisons").json
    assert compared["rows"] == json.loads((trained.comparison / "compare.json").read_text())["rows"]
    assert compared["columns"][0] == ["mean_iou", "mean IoU"]


def written(folder: Path, lines: list[dict[str, Any]]) -> None:
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture
def growing(tmp_path: Path) -> Path:
    """The folder of a run that has begun and has no model yet."""
    description = {"options": {"model": "ssd"}, "task": "detect", "classes": ["a"]}
    (tmp_path / "run.json").write_text(json.dumps(description))
    return tmp_path


def test_curves_grow_with_a_run_and_begin_again_where_it_was_taken_up(growing: Path) -> None:
    lines = [{"step": step, "losses": {"boxes": 1 / step}, "lr": 1e-3} for step in range(1, 6)]
    with served(create_app(Runs([growing]))) as lab:
        run = ask(lab, "/api/v1/runs").json[0]["id"]
        assert ask(lab, f"/api/v1/runs/{run}/curves").json == {"lines": [], "next": 0, "whole": True}
        written(growing, lines[:3])
        first = ask(lab, f"/api/v1/runs/{run}/curves").json
        assert first == {"lines": lines[:3], "next": 3, "whole": True}
        validation = {"step": 3, "validation": {"coco_ap": 0.5}}  # of a step that was given before
        written(growing, [*lines[:3], validation, lines[3]])
        with (growing / "metrics.jsonl").open("a") as log:
            log.write('{"step": 5, "los')  # the run is writing
        more = ask(lab, f"/api/v1/runs/{run}/curves?after=3").json
        assert more == {"lines": [validation, lines[3]], "next": 5, "whole": False}
        written(growing, lines[:2])
        again = ask(lab, f"/api/v1/runs/{run}/curves?after=5").json
        assert again == {"lines": lines[:2], "next": 2, "whole": True}


def test_of_many_losses_some_are_given_and_of_validations_all(growing: Path) -> None:
    losses = [{"step": step, "losses": {"boxes": 0.5}, "lr": 1e-3} for step in range(3 * MOST_LINES)]
    checks = [{"step": step, "validation": {"coco_ap": 0.5}} for step in range(40)]
    written(growing, [*losses, *checks])
    with served(create_app(Runs([growing]))) as lab:
        found = ask(lab, f"/api/v1/runs/{ask(lab, '/api/v1/runs').json[0]['id']}/curves").json
    assert found["next"] == len(losses) + len(checks)
    assert [line for line in found["lines"] if "validation" in line] == checks
    assert MOST_LINES / 2 < len(found["lines"]) - len(checks) <= MOST_LINES


def test_a_run_without_a_model_says_so_by_its_name_alone(growing: Path) -> None:
    with served(create_app(Runs([growing]))) as lab:
        run = ask(lab, "/api/v1/runs").json[0]["id"]
        answer = ask(lab, f"/api/v1/predict/{run}", "POST", PICTURE)
    assert answer.status == 409 and answer.json["error"].startswith(growing.name)
    assert str(growing.parent) not in answer.json["error"]
