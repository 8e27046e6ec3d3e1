"""What counts as the same answer, and what does not."""

from __future__ import annotations

import pytest
import torch

from neocog.export.check import Comparison, _differ
from neocog.export.samples import varied
from neocog.types import Classification, Detections, Localization, Segmentation, Task

OURS = Detections(
    torch.tensor([[10.0, 10.0, 110.0, 60.0], [0.0, 0.0, 40.0, 40.0], [5.0, 5.0, 5.0, 30.0]]),
    torch.tensor([0.9, 0.5, 0.4]),
    torch.tensor([1, 0, 0]),
)


def differ(ours: object, theirs: object) -> str:
    return _differ(ours, theirs, Comparison(Task.DETECT))


def changed(box: float = 0.0, score: float = 0.0, label: int = 0) -> Detections:
    boxes, scores, labels = OURS.boxes.clone(), OURS.scores.clone(), OURS.labels.clone()
    boxes[0, 2] += box
    scores[1] += score
    labels[2] += label
    return Detections(boxes, scores, labels)


def test_detections_are_matched_whatever_their_order() -> None:
    order = torch.tensor([1, 2, 0])
    seen = Comparison(Task.DETECT)
    assert _differ(OURS, changed(0.05, 9e-5)[order], seen) == ""
    assert 0.999 < seen.overlap < 1 and 8e-5 < seen.score < 1e-4


@pytest.mark.parametrize(
    "theirs",
    [changed(box=0.2), changed(score=2e-4), changed(label=1), OURS[torch.arange(2)], Detections.empty()],
    ids=["moved", "scored", "named", "lost", "none"],
)
def test_other_detections_differ(theirs: Detections) -> None:
    assert differ(OURS, theirs) and differ(theirs, OURS)


def test_one_box_does_not_stand_for_two() -> None:
    twice = torch.tensor([0, 0])
    assert differ(OURS[twice], OURS[torch.tensor([0, 1])])


def test_masks_may_differ_in_one_pixel_of_ten_thousand() -> None:
    scores = torch.full((2, 100, 200), 0.5)
    scores[0] += 1e-5
    for flipped, same in ((2, True), (3, False)):
        theirs = scores.clone()
        theirs[1, 0, :flipped] += 5e-5
        assert (differ(Segmentation(scores), Segmentation(theirs)) == "") is same


def test_scores_and_boxes_of_whole_pictures() -> None:
    scores, box = torch.tensor([0.3, 0.7]), OURS.boxes[0]
    assert differ(Classification(scores), Classification(scores + 5e-5)) == ""
    assert differ(Classification(scores), Classification(scores + 2e-4))
    assert differ(Classification(scores), Classification(scores * torch.nan))
    assert differ(Localization(scores, box), Localization(scores, box)) == ""
    assert differ(Localization(scores, box), Localization(scores, changed(box=0.2).boxes[0]))


def test_pictures_to_compare_on_are_of_many_sizes_and_the_same_every_time() -> None:
    first, again = varied(None, 9), varied(None, 9)
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert len({image.shape for image in first}) >= 6
    assert float(first[7].std()) < 10  # noise on one colour
