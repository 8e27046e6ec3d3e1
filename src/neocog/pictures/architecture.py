"""A network as a picture: a volume for each layer's output, in the order in which the layers run."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from neocog.ops.summary import Row, Summary
from neocog.ops.tracing import IMAGE, Window
from neocog.pictures import axes
from neocog.pictures.axes import SIZE, heading
from neocog.pictures.svg import Element, Point, document, group, line, path, rect, text, text_width, tip

WIDTH = 1160
"""Pixels after which a network goes on in a new row."""

COLOURS = {
    "convolution": "var(--series-0)",
    "transposed convolution": "var(--series-3)",
    "pooling": "var(--series-1)",
    "fully connected": "var(--series-2)",
    "other": "var(--quiet)",
}
CAPTION = (
    "Height and depth of a volume: the logarithm of its rows and columns. Width: that of its channels. "
    "Below: output as channels × rows × columns, and parameters."
)

STYLE = axes.STYLE + ".chart .kind{font-weight:600}"
"""CSS that the elements of a drawing need, in a document of class `chart`."""

_SMALL, _LINE, _GAP, _LANE, _MARGIN = 11.5, 15.0, 18.0, 7.0, 16.0


@dataclass(frozen=True)
class Block:
    """A layer with the cell-wise ones after it, as a volume with lines of text under it."""

    path: str  # of the module that holds it: `layer1.0`
    name: str  # in that module
    kind: str  # with its kernel
    details: tuple[str, ...]  # stride, padding and dilation that are not plain, cell-wise layers
    parameters: int
    role: str  # a key of COLOURS
    shape: tuple[int, ...]  # of its output, without the batch
    reads: frozenset[int]  # the blocks that its input is made of; 0 is the image

    def lines(self, details: int) -> list[tuple[str, str]]:
        """What stands under the volume, line by line, each with its class; `details` of them are details."""
        more = [*self.details, *[""] * (details - len(self.details))]
        return [
            (self.name, "muted small"),
            (self.kind, "kind"),
            *((line, "small") for line in more),
            (_times(self.shape), "output"),
            (f"{self.parameters:,}" if self.parameters else "", "muted small"),
        ]

    @property
    def width(self) -> float:
        """Pixels of the front face."""
        return 6 + 4 * _log2(self.shape[0] if self.shape else 1)

    @property
    def height(self) -> float:
        """Pixels of the front face: of one row if there are no positions."""
        return 6 + 14 * _log2(1 if len(self.shape) < 2 else self.shape[max(-2, 1 - len(self.shape))])

    @property
    def depth(self) -> float:
        """Pixels, along both axes, by which the rear face is shifted."""
        return 2 + 3 * _log2(self.shape[-1] if len(self.shape) > 2 else 1)


def architecture(summary: Summary, title: str) -> str:
    """The network as one SVG document, light or dark as the reader's system asks.

    Layers that work on each cell by itself, such as batch normalisation and ReLU, stand with the one before
    them. Arrows lead from layer to layer; where a layer reads an earlier one, over those between.
    """
    elements, width, height = drawing(summary)
    billions = f"{summary.gflops:.3f} G" if summary.gflops >= 0.1 else f"{summary.multiply_adds / 1e6:.3f} M"
    totals = f"{summary.parameters:,} parameters, {billions} multiply-adds"
    legend, legend_width = _legend(summary)
    width = max(width, legend_width, text_width(CAPTION, _SMALL), _text_width(f"{title}  {totals}", "title"))
    parts = heading(width + 2 * _MARGIN, height + 104, "")[:1]
    parts.append(text(_MARGIN, 28, title, class_="title"))
    parts.append(text(_MARGIN + _text_width(title, "title") + 16, 28, totals, class_="muted"))
    parts.append(group(*legend, transform=f"translate({_MARGIN:g} 50)"))
    parts.append(group(*elements, transform=f"translate({_MARGIN:g} 72)"))
    parts.append(text(_MARGIN, height + 92, CAPTION, class_="muted small"))
    shown = f"{_times(summary.input[1:])} through {len(summary.rows)} layers; {totals}"
    label = f"Architecture of {title}: {shown}"
    return document(width + 2 * _MARGIN, height + 104, parts, label=label, style=STYLE, class_="chart")


def drawing(summary: Summary, width: float = WIDTH) -> tuple[list[Element], float, float]:
    """The volumes with their labels and arrows, and the width and height that they take, in pixels.

    They are to stand in a document of class `chart` with `STYLE`.
    """
    blocks = fold(summary)
    elements: list[Element] = []
    widest, top = 0.0, 0.0
    for columns in _wrapped(blocks, width):
        part = _Line(blocks, columns)
        drawn, height = part.draw()
        elements.append(group(*drawn, transform=f"translate(0 {top:g})"))
        widest, top = max(widest, part.width), top + height + 26
    return elements, widest, top - 26


def fold(summary: Summary) -> list[Block]:
    """The blocks of the picture: the image, and each layer with the cell-wise ones that directly follow."""
    layers: list[list[Row]] = []
    place = {IMAGE: 0}
    previous = summary.input
    for number, row in enumerate(summary.rows):
        if layers and _cellwise(row, previous) and (not row.reads or number - 1 in row.reads):
            layers[-1].append(row)
        elif row.shape:
            layers.append([row])
        place[number] = len(layers)
        previous = row.shape or previous
    shape = summary.input[1:]
    image = Block("", "", "input", (), 0, "other", shape, frozenset())
    return [image, *(_block(rows, place, number) for number, rows in enumerate(layers, 1))]


def _cellwise(row: Row, previous: Sequence[int]) -> bool:
    """Whether a layer leaves every value in its place: normalisation, ReLU, dropout, flattening."""
    same = row.shape == tuple(previous) or (
        len(row.shape) == 2 and math.prod(row.shape) == math.prod(previous)
    )
    return same and row.window is None and not row.multiply_adds


def _block(rows: Sequence[Row], place: dict[int, int], number: int) -> Block:
    first, *folded = rows
    window = first.window
    more = ", ".join(dict.fromkeys(_kind(row) for row in folded))
    holder, _, name = first.name.rpartition(".")
    return Block(
        holder,
        name,
        _kind(first) + (f" {_times(window.kernel, '×')}" if window else ""),
        (*(_options(window) if window else ()), *([more] if more else [])),
        sum(row.parameters for row in rows),
        _role(first),
        first.shape[1:],
        frozenset(place[read] for row in rows for read in row.reads) - {number},
    )


def _role(row: Row) -> str:
    if row.window is None:
        return "fully connected" if row.multiply_adds else "other"
    if row.window.transposed:
        return "transposed convolution"
    return "convolution" if row.multiply_adds else "pooling"


def _kind(row: Row) -> str:
    """The type's name without its number of dimensions, which the shape shows."""
    return re.sub(r"[123]d$", "", row.kind)


def _options(window: Window) -> Iterator[str]:
    """Stride, padding and dilation where they are not those of a plain window."""
    for name, values, plain in (
        ("stride", window.stride, 1),
        ("pad", window.padding, 0),
        ("dilation", window.dilation, 1),
    ):
        if set(values) != {plain}:
            yield f"{name} {_times(values[:1] if len(set(values)) == 1 else values, '×')}"


def _times(shape: Sequence[int], sign: str = " × ") -> str:
    return sign.join(map(str, shape))


def _log2(size: int) -> float:
    return math.log2(max(size, 1))


def _text_width(content: str, class_: str) -> float:
    """Pixels of a line of this class; bold letters are wider."""
    size = _SMALL if "small" in class_ else {"title": 15.0 * 1.12, "kind": SIZE * 1.08}.get(class_, SIZE)
    return text_width(content, size)


def _wrapped(blocks: Sequence[Block], width: float) -> list[list[tuple[int, float]]]:
    """(block, width of its column) of each line of the picture."""
    lines: list[list[tuple[int, float]]] = [[]]
    taken = 0.0
    for number, block in enumerate(blocks):
        column = max(_text_width(*line) for line in block.lines(len(block.details)))
        column = max(column, block.width + block.depth)
        if blocks[number - 1].path != block.path:
            column = max(column, text_width(block.path, _SMALL))
        if lines[-1] and taken + column > width:
            lines.append([])
            taken = 0.0
        lines[-1].append((number, column))
        taken += column + _GAP
    return lines


class _Line:
    """One line of the picture: columns side by side, volumes on a common floor."""

    def __init__(self, blocks: Sequence[Block], columns: Sequence[tuple[int, float]]) -> None:
        self.blocks = [(number, blocks[number]) for number, _ in columns]
        self.starts: list[float] = []  # the left ends of the columns
        self.widths = [width for _, width in columns]
        x = _GAP if columns[0][0] else 0.0  # room for an arrow from the line above
        for width in self.widths:
            self.starts.append(x)
            x += width + _GAP
        self.first, self.end = columns[0][0], columns[-1][0] + 1
        last = self.end == len(blocks)
        self.width = x - (_GAP if last else 0.0)
        self.goes_on = not last and self.end - 1 in blocks[self.end].reads
        self.arcs = self._arcs(blocks)
        lanes = 1 + max((lane for *_, lane in self.arcs), default=-1)
        self.ceiling = (22.0 if any(block.path for _, block in self.blocks) else 0.0) + _LANE * lanes + 12
        self.floor = self.ceiling + max(block.height + block.depth for _, block in self.blocks)

    def draw(self) -> tuple[list[Element], float]:
        """The elements and the height of the line."""
        elements = [*self._holders(), *self._arrows()]
        elements += [self._volume(column, block) for column, (_, block) in enumerate(self.blocks)]
        elements += [self._over(*arc) for arc in self.arcs]
        details = max(len(block.details) for _, block in self.blocks)
        height = 0.0
        for column, (_, block) in enumerate(self.blocks):
            y = self.floor + 6
            for content, class_ in block.lines(details):
                y += _LINE + (3 if class_ == "output" else 0)
                if content:
                    at = self._middle(column), y
                    elements.append(text(*at, content, class_=class_, text_anchor="middle"))
                    height = max(height, y)
        return elements, height + 4

    def _middle(self, column: int) -> float:
        return self.starts[column] + self.widths[column] / 2

    def _left(self, column: int) -> float:
        """Left end of the front face."""
        block = self.blocks[column][1]
        return self._middle(column) - (block.width + block.depth) / 2

    def _volume(self, column: int, block: Block) -> Element:
        x, y, d = self._left(column), self.floor - block.height, block.depth
        right, floor = x + block.width, self.floor
        style = f"fill:{COLOURS[block.role]};stroke:{COLOURS[block.role]};stroke-linejoin:round"
        top = [(x, y), (x + d, y - d), (right + d, y - d), (right, y)]
        side = [(right, y), (right + d, y - d), (right + d, floor - d), (right, floor)]
        cover = path([[(x, floor), *top[:3], side[2], side[3]]], closed=True, class_="surface")
        faces = group(
            cover,  # so that nothing behind shines through
            rect(x, y, block.width, block.height, fill_opacity=0.35),
            path([top], closed=True, fill_opacity=0.15),
            path([side], closed=True, fill_opacity=0.6),
            style=style,
        )
        told = [content for content, _ in block.lines(0)[1:]]
        return tip(faces, ", ".join(filter(None, (f"{block.path}.{block.name}".strip("."), *told))))

    def _holders(self) -> Iterator[Element]:
        """A bracket over the blocks of one module, with its name where it has the room."""
        for name, run in groupby(range(len(self.blocks)), lambda column: self.blocks[column][1].path):
            columns = list(run)
            start, end = self.starts[columns[0]], self.starts[columns[-1]] + self.widths[columns[-1]]
            if name:
                yield line((start, 17), (end, 17), class_="axis")
            if name and text_width(name, _SMALL) <= end - start + 1:
                yield text(start, 11, name, class_="muted small")

    def _arrows(self) -> Iterator[Element]:
        """From each block to the next, if that reads it."""
        y = self.floor - 3
        for column, (number, block) in enumerate(self.blocks):
            if number - 1 in block.reads:
                start = self._left(column - 1) + self.blocks[column - 1][1].width if column else 0.0
                yield _arrow([(start, y), (self._left(column) - 2, y)])
        if self.goes_on:
            yield _arrow([(self._left(column) + block.width, y), (self.width, y)], head=False)

    def _arcs(self, blocks: Sequence[Block]) -> list[tuple[int, int, int]]:
        """(source, target, lane) of what leads over other blocks and touches this line."""
        found: list[tuple[int, int, int]] = []
        busy: list[int] = []  # the block at which each lane becomes free
        pairs = [(read, number) for number, block in enumerate(blocks) for read in block.reads]
        for source, target in sorted(pair for pair in pairs if pair[1] - pair[0] > 1):
            if target >= self.first and source < self.end:
                lane = next((lane for lane, free in enumerate(busy) if free <= source), len(busy))
                busy[lane : lane + 1] = [target]
                found.append((source, target, lane))
        return found

    def _over(self, source: int, target: int, lane: int) -> Element:
        """An arrow over the blocks between; to or from another line it passes the margin."""
        y = self.ceiling - 12 - _LANE * lane
        points: list[Point] = [(0.0, y)]
        if source >= self.first:
            x, top = self._top(source)
            points = [(x + 3, top), (x + 3, y)]
        if target >= self.end:
            return _arrow([*points, (self.width, y)], head=False)
        x, top = self._top(target)
        return _arrow([*points, (x - 3, y), (x - 3, top - 2)])

    def _top(self, number: int) -> Point:
        """The middle of a volume's top face."""
        column = number - self.first
        block = self.blocks[column][1]
        return self._middle(column), self.floor - block.height - block.depth / 2


def _arrow(points: Sequence[Point], head: bool = True) -> Element:
    """A thin line through the points, with a head at its end."""
    (x0, y0), (x, y) = points[-2:]
    length = math.hypot(x - x0, y - y0) or 1.0
    u, v = (x - x0) / length, (y - y0) / length
    shaft = path([points], style="fill:none;stroke:var(--muted)", stroke_linejoin="round")
    ends = [(x, y), (x - 5 * u - 3 * v, y - 5 * v + 3 * u), (x - 5 * u + 3 * v, y - 5 * v - 3 * u)]
    return group(shaft, *([path([ends], closed=True, style="fill:var(--muted)")] if head else []))


def _legend(summary: Summary) -> tuple[list[Element], float]:
    """A square and a name for each colour that is there, and their width."""
    used = {_role(row) for row in summary.rows}
    elements, x = [], 0.0
    for role, colour in COLOURS.items():
        if role in used and role != "other":
            elements.append(rect(x, -9, 10, 10, style=f"fill:{colour};stroke:{colour}", fill_opacity=0.35))
            elements.append(text(x + 16, 0, role, class_="muted small"))
            x += 16 + text_width(role, _SMALL) + 18
    return elements, x
