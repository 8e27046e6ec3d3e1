"""SSD's matching and its choice of hard negatives (`bbox_util.cpp`) as plain loops: slow, and obvious."""

from __future__ import annotations

from collections.abc import Sequence

from tests.references.assignment import Box, overlap


def match(boxes: Sequence[Box], objects: Sequence[Box], usable: Sequence[bool], positive: float) -> list[int]:
    """The object of each box, -1 for background, -2 for a box that is not usable."""
    result = [-1 if use else -2 for use in usable]
    lonely = set(range(len(objects)))
    while True:
        pairs = [
            (overlap(box, objects[n]), -n, -a)
            for a, box in enumerate(boxes)
            if result[a] == -1
            for n in lonely
        ]
        best = max(pairs, default=(0.0, 0, 0))
        if best[0] <= 1e-6:
            break
        result[-best[2]] = -best[1]
        lonely.remove(-best[1])
    for a, box in enumerate(boxes):
        overlaps = [overlap(box, one) for one in objects]
        if result[a] == -1 and overlaps and max(overlaps) >= positive:
            result[a] = overlaps.index(max(overlaps))
    return result


def hard_negatives(
    loss: Sequence[float], positive: Sequence[bool], negative: Sequence[bool], ratio: int
) -> set[int]:
    """The background boxes of one image that a step learns from."""
    order = sorted((n for n, is_one in enumerate(negative) if is_one), key=lambda n: -loss[n])
    return set(order[: ratio * sum(positive)])
