"""The twelve COCO numbers against pycocotools, and against cases worked by hand."""

from __future__ import annotations

import contextlib
import io
import json
from typing import Any

import numpy as np
import pytest
import torch
from tests.references.worlds import random_world

from neocog.metrics.coco import coco_average_precision
from neocog.types import Detections, Objects

CLASSES = ("car", "bus", "dog", "ship", "cat")


def pycocotools_stats(
    truths: list[Objects], predictions: list[Detections], areas: list[np.ndarray] | None = None
) -> tuple[list[float | None], list[float | None]]:
    """The twelve numbers and the AP of each class, from the COCO API itself."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    annotations: list[dict[str, Any]] = []
    for image, item in enumerate(truths):
        for j in range(len(item)):
            x0, y0, x1, y1 = item.boxes[j].tolist()
            area = (x1 - x0) * (y1 - y0) if areas is None else float(areas[image][j])
            annotations.append(
                {
                    "id": 100 + len(annotations),
                    "image_id": 7 + image,
                    "category_id": 10 + 3 * int(item.labels[j]),
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "area": area,
                    "iscrowd": int(item.ignore[j]),
                }
            )
    results = [
        {
            "image_id": 7 + image,
            "category_id": 10 + 3 * int(label),
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "score": score,
        }
        for image, item in enumerate(predictions)
        for (x0, y0, x1, y1), label, score in zip(
            item.boxes.tolist(), item.labels.tolist(), item.scores.tolist(), strict=True
        )
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "images": [{"id": 7 + image} for image in range(len(truths))],
            "categories": [{"id": 10 + 3 * k} for k in range(len(CLASSES))],
            "annotations": annotations,
            "info": {},
        }
        truth.createIndex()
        found = truth.loadRes(results) if results else COCO()
        judge = COCOeval(truth, found, "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    per_class = []
    for k in range(len(CLASSES)):
        values = judge.eval["precision"][:, :, k, 0, 2]
        per_class.append(float(values[values > -1].mean()) if (values > -1).any() else None)
    return [None if value == -1 else float(value) for value in judge.stats], per_class


def assert_equals_pycocotools(
    truths: list[Objects], predictions: list[Detections], areas: list[np.ndarray] | None = None
) -> None:
    result = coco_average_precision(truths, predictions, CLASSES, areas)
    stats, per_class = pycocotools_stats(truths, predictions, areas)
    assert len(result.metrics()) == 12
    for value, want in zip(result.metrics().values(), stats, strict=True):
        assert value == (want if want is None else pytest.approx(want, abs=1e-9))
    for item, want in zip(result.classes, per_class, strict=True):
        assert item.coco_ap == (want if want is None else pytest.approx(want, abs=1e-9))


@pytest.mark.parametrize("block", range(10))
def test_equals_pycocotools_on_random_worlds(block: int) -> None:
    for seed in range(10 * block, 10 * block + 10):
        assert_equals_pycocotools(
            *random_world(seed, images=1 + seed % 5, max_detections=(8, 40, 300)[seed % 3])
        )


@pytest.mark.slow
@pytest.mark.parametrize("block", range(20))
def test_equals_pycocotools_on_a_thousand_worlds(block: int) -> None:
    """Sixteenths of a pixel, 1 to 12 images, up to 400 detections an image, own areas in a third."""
    for seed in range(1000 + 50 * block, 1050 + 50 * block):
        limit = (8, 40, 120, 400)[seed % 4]
        truths, predictions = random_world(seed, 1 + seed % 12, max_detections=limit, grid=(1, 16)[seed % 2])
        areas = None
        if seed % 3 == 0:
            draw = np.random.default_rng(seed)
            areas = [draw.uniform(1, 12_000, len(item)) for item in truths]
        assert_equals_pycocotools(truths, predictions, areas)


def test_more_than_a_hundred_detections_of_one_class() -> None:
    truths, predictions = random_world(5, images=3, max_detections=300)
    truths = [Objects(item.boxes, torch.zeros_like(item.labels), item.ignore) for item in truths]
    predictions = [Detections(item.boxes, item.scores, torch.zeros_like(item.labels)) for item in predictions]
    assert max(len(item) for item in predictions) > 100
    assert_equals_pycocotools(truths, predictions)


def test_given_areas_decide_the_size() -> None:
    truths, predictions = random_world(8, images=6)
    areas = [(item.boxes[:, 2:] - item.boxes[:, :2]).prod(dim=1).numpy() * 0.4 for item in truths]
    assert_equals_pycocotools(truths, predictions, areas)
    assert coco_average_precision(truths, predictions, CLASSES, areas) != coco_average_precision(
        truths, predictions, CLASSES
    )
    with pytest.raises(ValueError, match="areas"):
        coco_average_precision(truths, predictions, CLASSES, areas[:-1])


def one(box: list[float], ignore: bool = False) -> Objects:
    return Objects(torch.tensor([box]), torch.zeros(1, dtype=torch.int64), torch.tensor([ignore]))


def hit(box: list[float]) -> Detections:
    return Detections(torch.tensor([box]), torch.ones(1), torch.zeros(1, dtype=torch.int64))


def test_first_object_of_the_first_image_can_be_found() -> None:
    """The fault of annotation id 0: the only object, perfectly found, scored 0."""
    result = coco_average_precision([one([0.0, 0, 10, 10])], [hit([0.0, 0, 10, 10])], ["box"])
    assert (result.coco_ap, result.coco_ap50, result.coco_ar_100) == (1.0, 1.0, 1.0)


def test_overlap_of_0_8_passes_seven_of_ten_thresholds() -> None:
    result = coco_average_precision([one([0.0, 0, 10, 10])], [hit([0.0, 0, 10, 8])], ["box"])
    assert result.coco_ap == pytest.approx(0.7)
    assert (result.coco_ap50, result.coco_ap75) == (1.0, 1.0)
    assert (result.coco_ap_small, result.coco_ap_medium, result.coco_ap_large) == (
        pytest.approx(0.7),
        None,
        None,
    )


def test_crowd_neither_rewards_nor_punishes() -> None:
    crowd = one([0.0, 0, 100, 100], ignore=True)
    truths = [Objects(*(torch.cat(pair) for pair in _columns(crowd, one([200.0, 0, 210, 10]))))]
    boxes = torch.tensor([[5.0, 5, 30, 30], [40.0, 40, 60, 60], [200.0, 0, 210, 10]])
    predictions = [Detections(boxes, torch.tensor([0.9, 0.8, 0.7]), torch.zeros(3, dtype=torch.int64))]
    assert coco_average_precision(truths, predictions, ["box"]).coco_ap == 1.0


def _columns(*items: Objects) -> list[list[torch.Tensor]]:
    return [[item.boxes for item in items], [item.labels for item in items], [item.ignore for item in items]]


def test_nothing_found_is_zero_and_nothing_to_find_is_absent() -> None:
    missed = coco_average_precision([one([0.0, 0, 10, 10])], [Detections.empty()], ["box"])
    assert (missed.coco_ap, missed.coco_ar_100, missed.coco_ap_large) == (0.0, 0.0, None)
    for truths, predictions, classes in (
        ([Objects.empty()], [hit([0.0, 0, 1, 1])], ["box"]),
        ([Objects.empty()], [Detections.empty()], ["box"]),
        ([], [], ["box"]),
        ([Objects.empty()], [Detections.empty()], []),
    ):
        empty = coco_average_precision(truths, predictions, classes)
        assert set(empty.metrics().values()) == {None}
        assert json.loads(json.dumps(empty.metrics(), allow_nan=False)) == empty.metrics()
        assert len(empty.classes) == len(classes)


def test_perfect_predictions_give_exactly_one() -> None:
    truths, _ = random_world(21, images=20)
    predictions = [Detections(item.boxes, torch.ones(len(item)), item.labels) for item in truths]
    result = coco_average_precision(truths, predictions, CLASSES)
    assert (result.coco_ap, result.coco_ap50, result.coco_ap75, result.coco_ar_100) == (1.0, 1.0, 1.0, 1.0)


def test_order_of_images_does_not_matter() -> None:
    truths, predictions = random_world(33, images=10)
    rng = np.random.default_rng(0)
    predictions = [
        Detections(
            item.boxes,
            torch.tensor(np.sort(rng.random(len(item)))[::-1].copy(), dtype=torch.float32),
            item.labels,
        )
        for item in predictions
    ]
    before = coco_average_precision(truths, predictions, CLASSES)
    after = coco_average_precision(truths[::-1], predictions[::-1], CLASSES)
    assert before.metrics() == pytest.approx(after.metrics(), abs=1e-12)
    assert before.coco_ap is not None and 0 < before.coco_ap < 1


def test_it_is_silent(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    coco_average_precision(*random_world(2), CLASSES)
    captured = capfd.readouterr()
    assert (captured.out, captured.err, caplog.text) == ("", "", "")
