"""Recall@K and its two means by loops over images, objects and detections: slow and obvious."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tests.references.recall import overlap

Row = tuple[Sequence[float], int, float]  # box, label, and score; of an object 1 if it is ignored


def slow_recall_at(
    objects: Sequence[Sequence[Row]], found: Sequence[Sequence[Row]], chosen: Collection[int], most: int = 100
) -> tuple[float, float] | None:
    """(over all objects, mean over the classes) of the chosen classes; None without an object."""
    hits: dict[int, list[bool]] = {}
    for truth, detections in zip(objects, found, strict=True):
        best = sorted(detections, key=lambda row: -row[2])[:most]
        for box, label, ignored in truth:
            if label in chosen and not ignored:
                hit = any(label == other and overlap(box, at) >= 0.5 for at, other, _ in best)
                hits.setdefault(label, []).append(hit)
    if not hits:
        return None
    pooled = [hit for own in hits.values() for hit in own]
    means = [sum(own) / len(own) for own in hits.values()]
    return sum(pooled) / len(pooled), sum(means) / len(means)
