"""What an output of a convolution sees of its input."""

from __future__ import annotations

import numpy as np

from neocog.ops.arithmetic import Field, effective_kernel
from neocog.ops.filter import filter_image
from neocog.pictures.figure import Still
from neocog.pictures.shapes import cells, note, window
from neocog.pictures.svg import Element, circle, path, text

_WIDTH = 720.0
_STACK = (1, 2, 4)


def dilation() -> Still:
    """A 3x3 kernel spread to every, every second and every third cell; and what three such layers see."""
    side, count, pitch = 22.0, 9, 260.0
    impulse = np.zeros((count, count))
    impulse[count // 2, count // 2] = 1
    seen, spans = [], []
    children: list[Element] = []
    for i, spread in enumerate((1, 2, 3)):
        # What one output sees is where an impulse there is spread to by the mirrored kernel.
        mask = filter_image(impulse, np.ones((3, 3)), dilation=spread, padding="zero")
        span = effective_kernel(3, spread)
        x, first = 1 + i * pitch, (count - span) / 2 * side
        children += [
            text(x, 16, f"dilation {spread}", class_="title"),
            cells(mask, x, 28, side=side, limit=1.4, numbers=False),
            window(x + first, 28 + first, span, span, side=side),
            note(x, 28 + count * side + 20, f"9 weights reach over {span} x {span}"),
        ]
        seen.append(mask)
        spans.append(span)
    fields = [Field()]
    for spread in _STACK:
        fields.append(fields[-1].then(3, dilation=spread))
    children += _tree(fields, 300)
    sizes = [field.size for field in fields]
    alt = (
        "Three grids show the nine cells that one output sees at dilation 1, 2 and 3, over "
        f"{', '.join(f'{span} by {span}' for span in spans)} cells. Below, three layers with dilations 1, 2 "
        f"and 4: an output sees {sizes[1]} cells after the first, {sizes[2]} after two, {sizes[3]} after all."
    )
    values = {"seen": np.stack(seen), "spans": np.array(spans), "sizes": np.array(sizes)}
    return Still("dilation", alt, _WIDTH, 536, children, values)


def _tree(fields: list[Field], y: float) -> list[Element]:
    """Layers of three taps along one axis: which cells the middle one of the last layer sees."""
    cells_shown, pitch, rise, left = 19, 24.0, 62.0, 12.0
    floor = y + 40 + rise * len(_STACK)
    parts: list[Element] = [text(0, y, "Stacked, with dilations 1, 2 and 4", class_="title")]
    lines, dots = [], []
    active = {cells_shown // 2}
    for level in range(len(_STACK), -1, -1):
        at = floor - level * rise
        for i in range(cells_shown):
            colour = "var(--accent)" if i in active else "var(--grid)"
            dots.append(circle((left + i * pitch, at), 6, style=f"fill:{colour}"))
        name = f"layer {level}, dilation {_STACK[level - 1]}" if level else "input"
        told = f"sees {fields[level].size} cells" if level else ""
        parts += [note(left + cells_shown * pitch + 10, at + 4, name, class_=None)]
        parts += [note(left + cells_shown * pitch + 150, at + 4, told)] if told else []
        if level:
            below = set()
            for i in active:
                for tap in (-1, 0, 1):
                    other = i + tap * _STACK[level - 1]
                    below.add(other)
                    ends = (left + i * pitch, at), (left + other * pitch, at + rise)
                    lines.append(ends)
            active = below
    return [*parts, path(lines, style="stroke:var(--accent);fill:none", opacity=0.5), *dots]
