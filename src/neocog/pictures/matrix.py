"""A confusion matrix as a picture: which class is taken for which."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from neocog.pictures.axes import SIZE, STYLE, heading, label_room
from neocog.pictures.charts import WIDTH
from neocog.pictures.svg import document, rect, text, tip

MOST_WRITTEN = 16
"""Classes up to which every share is written into its cell."""


def confusion_chart(
    title: str, confusion: NDArray[np.int64], classes: Sequence[str], of: str = "pictures"
) -> str:
    """A row a true class, a column an answer: the share of the row, darker for more.

    `confusion` (K, K) counts of what `of` names. The diagonal, what is right, has the accent; rows of nothing
    stay blank.
    """
    count = len(classes)
    left = min(label_room(list(classes)), WIDTH * 0.3) + 12
    cell = min((WIDTH - left - 8) / max(count, 1), 56.0)
    top, size = 64.0, cell * count
    parts = heading(WIDTH, top + size + 24, title)
    parts.append(text(left, 52, "answer, in the order of the rows", class_="muted"))
    font = min(SIZE, cell / 2.6)
    for row, name in enumerate(classes):
        total = int(confusion[row].sum())
        middle = top + cell * (row + 0.5)
        short = name if len(name) <= 24 else name[:23] + "…"
        parts.append(text(left - 8, middle + font / 3, short, text_anchor="end", font_size=min(SIZE, cell)))
        for column in range(count):
            share = int(confusion[row, column]) / total if total else 0.0
            colour = "var(--accent)" if row == column else "var(--series-1)"
            box = rect(
                left + cell * column + 0.5,
                top + cell * row + 0.5,
                cell - 1,
                cell - 1,
                style=f"fill:{colour}",
                fill_opacity=round(share, 3) if total else 0.0,
                stroke="var(--grid)",
            )
            told = f"{name} taken for {classes[column]}: {int(confusion[row, column])} of {total}"
            parts.append(tip(box, told))
            if total and count <= MOST_WRITTEN and confusion[row, column]:
                ink = "var(--surface)" if share > 0.5 else "var(--ink)"
                centre = left + cell * (column + 0.5)
                shown = f"{100 * share:.0f}"
                parts.append(
                    text(
                        centre,
                        middle + font / 3,
                        shown,
                        text_anchor="middle",
                        font_size=font,
                        style=f"fill:{ink}",
                    )
                )
    parts.append(text(left, top + size + 20, f"per cent of a row's {of}", class_="muted"))
    return document(WIDTH, top + size + 32, parts, label=title, style=STYLE, class_="chart")
