"""VOC average precision against the kit's rules in plain loops, and against cases worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.references.voc_devkit import KitDetection, KitObject, kit_ap, kit_curve
from tests.references.worlds import random_world

from neocog.metrics.voc import VocResult, voc_average_precision
from neocog.types import Detections, Objects

CLASSES = ("car", "bus", "dog", "ship", "cat")


def truth(
    boxes: list[list[float]], labels: list[int] | None = None, ignore: list[int] | None = None
) -> Objects:
    return Objects(
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.tensor(labels if labels is not None else [0] * len(boxes), dtype=torch.int64),
        torch.tensor(ignore if ignore is not None else [0] * len(boxes), dtype=torch.bool),
    )


def found(boxes: list[list[float]], scores: list[float], labels: list[int] | None = None) -> Detections:
    return Detections(
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.tensor(scores, dtype=torch.float32),
        torch.tensor(labels if labels is not None else [0] * len(boxes), dtype=torch.int64),
    )


def kit_result(
    truths: list[Objects], predictions: list[Detections], threshold: float
) -> list[tuple[float, float] | None]:
    """Per class, through the kit's own coordinates: xmin = x0 + 1, xmax = x1, widths with + 1."""
    results = []
    for label in range(len(CLASSES)):
        objects = [
            [
                KitObject((x0 + 1, y0 + 1, x1, y1), bool(ignore))
                for (x0, y0, x1, y1), k, ignore in zip(
                    item.boxes.tolist(), item.labels.tolist(), item.ignore.tolist(), strict=True
                )
                if k == label
            ]
            for item in truths
        ]
        detections = [
            KitDetection(image, (x0 + 1, y0 + 1, x1, y1), score)
            for image, item in enumerate(predictions)
            for (x0, y0, x1, y1), k, score in zip(
                item.boxes.tolist(), item.labels.tolist(), item.scores.tolist(), strict=True
            )
            if k == label
        ]
        results.append(kit_ap(*kit_curve(objects, detections, threshold)))
    return results


def assert_equals_kit(result: VocResult, expected: list[tuple[float, float] | None]) -> None:
    for item, want in zip(result.classes, expected, strict=True):
        if want is None:
            assert item.voc07_ap is None and item.voc_ap is None
        else:
            assert (item.voc07_ap, item.voc_ap) == pytest.approx(want, abs=1e-9)
    present = [want for want in expected if want is not None]
    if present:
        assert (result.voc07_map, result.voc_map) == pytest.approx(np.mean(present, axis=0), abs=1e-9)
    else:
        assert result.voc07_map is None and result.voc_map is None


@pytest.mark.parametrize("block", range(10))
def test_equals_the_kit_on_random_worlds(block: int) -> None:
    for seed in range(20 * block, 20 * block + 20):
        truths, predictions = random_world(seed)
        threshold = (0.5, 0.3, 0.7)[seed % 3]
        assert_equals_kit(
            voc_average_precision(truths, predictions, CLASSES, threshold),
            kit_result(truths, predictions, threshold),
        )


@pytest.mark.slow
@pytest.mark.parametrize("block", range(20))
def test_equals_the_kit_on_a_thousand_worlds(block: int) -> None:
    """Sixteenths of a pixel, 1 to 12 images, up to 120 detections an image."""
    for seed in range(1000 + 50 * block, 1050 + 50 * block):
        limit, grid = (8, 40, 120)[seed % 3], (1, 16)[seed % 2]
        truths, predictions = random_world(seed, 1 + seed % 12, max_detections=limit, grid=grid)
        threshold = (0.5, 0.3, 0.7, 0.95)[seed % 4]
        assert_equals_kit(
            voc_average_precision(truths, predictions, CLASSES, threshold),
            kit_result(truths, predictions, threshold),
        )


COORDINATE = st.integers(0, 12)
BOX = st.tuples(COORDINATE, COORDINATE, st.integers(1, 8), st.integers(1, 8)).map(
    lambda b: [b[0], b[1], b[0] + b[2], b[1] + b[3]]
)
OBJECT = st.tuples(BOX, st.integers(0, 4), st.booleans())
DETECTION = st.tuples(BOX, st.integers(0, 4), st.sampled_from([0.25, 0.5, 0.75, 1.0]))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.lists(OBJECT, max_size=5), st.lists(DETECTION, max_size=8)), max_size=4))
def test_equals_the_kit_on_any_world(world: list) -> None:
    truths = [
        truth([o[0] for o in objects], [o[1] for o in objects], [o[2] for o in objects])
        for objects, _ in world
    ]
    predictions = []
    for _, detections in world:
        ranked = sorted(detections, key=lambda d: -d[2])
        predictions.append(found([d[0] for d in ranked], [d[2] for d in ranked], [d[1] for d in ranked]))
    assert_equals_kit(
        voc_average_precision(truths, predictions, CLASSES), kit_result(truths, predictions, 0.5)
    )


def test_hit_miss_hit_by_hand() -> None:
    """Two objects; right, wrong, right: precision 1, 1/2, 2/3 at recall 1/2, 1/2, 1."""
    truths = [truth([[0, 0, 10, 10], [20, 0, 30, 10]])]
    predictions = [found([[0, 0, 10, 10], [50, 50, 60, 60], [20, 0, 30, 10]], [0.9, 0.8, 0.7])]
    one = voc_average_precision(truths, predictions, ["box"]).classes[0]
    assert one.precision == pytest.approx([1, 1 / 2, 2 / 3])
    assert one.recall == pytest.approx([1 / 2, 1 / 2, 1])
    assert one.scores == pytest.approx([0.9, 0.8, 0.7])
    assert one.voc07_ap == pytest.approx((6 * 1 + 5 * 2 / 3) / 11)
    assert one.voc_ap == pytest.approx(1 / 2 + 1 / 2 * 2 / 3)
    assert (one.positives, one.detections) == (2, 3)


def test_overlap_of_exactly_one_half_is_enough() -> None:
    result = voc_average_precision([truth([[0, 0, 10, 10]])], [found([[0, 0, 20, 10]], [0.5])], ["box"])
    assert result.voc_map == 1.0
    result = voc_average_precision([truth([[0, 0, 10, 10]])], [found([[0, 0, 21, 10]], [0.5])], ["box"])
    assert result.voc_map == 0.0


def test_one_pixel_box_of_the_kit_has_area_one() -> None:
    """xmin = xmax = 7 in the kit is [6, 7] here."""
    result = voc_average_precision([truth([[6, 6, 7, 7]])], [found([[6, 6, 7, 7]], [1])], ["dot"])
    assert result.voc_map == 1.0


def test_duplicate_is_wrong_even_if_another_object_overlaps() -> None:
    """Both detections overlap the first object most; the second object overlaps by 2/3 too, to no avail."""
    objects = truth([[0, 0, 10, 10], [0, 0, 10, 6]])
    result = voc_average_precision([objects], [found([[0, 0, 10, 10], [0, 0, 10, 9]], [0.9, 0.8])], ["box"])
    assert result.classes[0].recall == pytest.approx([0.5, 0.5])
    assert result.classes[0].precision == pytest.approx([1.0, 0.5])


def test_difficult_object_neither_rewards_nor_punishes() -> None:
    objects = truth([[0, 0, 10, 10], [20, 0, 30, 10]], ignore=[0, 1])
    detections = found([[20, 0, 30, 10], [20, 0, 30, 10], [0, 0, 10, 10]], [0.9, 0.8, 0.7])
    one = voc_average_precision([objects], [detections], ["box"]).classes[0]
    assert (one.voc07_ap, one.voc_ap, one.positives, one.detections) == (1.0, 1.0, 1, 3)
    assert one.precision.tolist() == [1.0]


def test_recall_of_exactly_three_tenths_reaches_its_threshold() -> None:
    boxes = [[20.0 * i, 0, 20.0 * i + 10, 10] for i in range(10)]
    result = voc_average_precision([truth(boxes)], [found(boxes[:3], [0.9, 0.8, 0.7])], ["box"])
    assert result.voc07_map == pytest.approx(4 / 11, abs=1e-15)
    assert result.voc_map == pytest.approx(0.3, abs=1e-15)


def test_class_without_an_object_is_absent_from_the_mean() -> None:
    truths = [truth([[0, 0, 10, 10], [0, 0, 5, 5]], [0, 1], [0, 1])]
    predictions = [found([[0, 0, 10, 10], [40, 0, 50, 10], [60, 0, 70, 10]], [0.9, 0.8, 0.7], [0, 1, 2])]
    result = voc_average_precision(truths, predictions, ["seen", "only difficult", "unseen"])
    assert [item.voc_ap for item in result.classes] == [1.0, None, None]
    assert result.metrics() == {"voc07_map50": 1.0, "voc_map50": 1.0}
    assert voc_average_precision([], [], ["a"]).metrics() == {"voc07_map50": None, "voc_map50": None}


def test_image_without_the_class_still_counts_its_false_positives() -> None:
    truths = [truth([[0, 0, 10, 10]]), Objects.empty()]
    predictions = [found([[0, 0, 10, 10]], [0.5]), found([[0, 0, 10, 10]], [0.9])]
    assert voc_average_precision(truths, predictions, ["box"]).voc_map == 0.5


def test_perfect_predictions_give_exactly_one() -> None:
    truths, _ = random_world(3, images=30)
    distinct = [_without_twins(item) for item in truths]
    predictions = [Detections(item.boxes, torch.ones(len(item)), item.labels) for item in distinct]
    result = voc_average_precision(distinct, predictions, CLASSES)
    assert (result.voc07_map, result.voc_map) == (1.0, 1.0)


def test_order_of_images_and_objects_does_not_matter() -> None:
    truths, predictions = random_world(11, images=12)
    rng = np.random.default_rng(0)
    distinct = []
    for item in predictions:  # equal scores are ordered by position, so here all differ
        scores = torch.tensor(np.sort(rng.random(len(item)))[::-1].copy(), dtype=torch.float32)
        distinct.append(Detections(item.boxes, scores, item.labels))
    truths = [_without_twins(item) for item in truths]
    before = voc_average_precision(truths, distinct, CLASSES)
    order = rng.permutation(len(truths))
    shuffled = [truths[i][torch.tensor(rng.permutation(len(truths[i])), dtype=torch.int64)] for i in order]
    after = voc_average_precision(shuffled, [distinct[i] for i in order], CLASSES)
    assert before.metrics() == pytest.approx(after.metrics(), abs=1e-12)
    assert before.voc_map is not None and 0 < before.voc_map < 1


def _without_twins(item: Objects) -> Objects:
    """At most one of objects with the same class and box, of which one detection each cannot find all."""
    _, first = np.unique(
        np.column_stack([item.boxes.numpy(), item.labels.numpy()]), axis=0, return_index=True
    )
    return item[torch.tensor(np.sort(first), dtype=torch.int64)]


def test_faults_of_the_caller_are_named() -> None:
    with pytest.raises(ValueError, match="1 images of truth but 0 of predictions"):
        voc_average_precision([Objects.empty()], [], ["a"])
    with pytest.raises(ValueError, match=r"labels of predictions span 4\.\.4"):
        voc_average_precision([Objects.empty()], [found([[0, 0, 1, 1]], [1], [4])], ["a", "b"])
    with pytest.raises(ValueError, match="iou_threshold"):
        voc_average_precision([], [], ["a"], iou_threshold=0)
