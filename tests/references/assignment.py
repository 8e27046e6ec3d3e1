"""The rules of `anchor_target_layer.py` as plain loops: slow, and obvious."""

from __future__ import annotations

from collections.abc import Sequence

Box = Sequence[float]


def overlap(a: Box, b: Box) -> float:
    w = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    h = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h
    return w * h / union if union > 0 else 0.0


def assign(
    boxes: Sequence[Box],
    objects: Sequence[Box],
    usable: Sequence[bool],
    positive: float,
    negative: float,
    force_best: bool,
) -> list[int]:
    """The object of each box, -1 for background, -2 for neither."""
    table = [[overlap(box, one) for one in objects] for box in boxes]
    result = []
    for row in table:
        best = max(row, default=0.0)
        if row and best >= positive:
            result.append(row.index(best))
        else:
            result.append(-1 if best < negative else -2)
    if force_best:
        for n in range(len(objects)):
            peak = max((table[a][n] for a in range(len(boxes)) if usable[a]), default=0.0)
            for a in range(len(boxes)):
                if usable[a] and peak > 0 and table[a][n] == peak:
                    result[a] = table[a].index(max(table[a]))
    return [label if use else -2 for label, use in zip(result, usable, strict=True)]
