"""Architecture drawings: what they show is the summary's, and no text leaves the picture or meets another."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from itertools import combinations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from neocog.ops.summary import Summary, summarize
from neocog.pictures.architecture import CAPTION, WIDTH, architecture, drawing, fold
from neocog.pictures.svg import text_width
from neocog.types import blank_batch
from neocog.zoo import create, usual_side

SVG = "{http://www.w3.org/2000/svg}"


def of_model(name: str, classes: int) -> Summary:
    side = usual_side(name, name)
    with torch.device("meta"):
        return summarize(create(name, classes), blank_batch((side, side)).to(torch.device("meta")))


KNOWN = [("notes-digit", 10), ("notes-pattern", 3), ("lenet5", 10), ("vgg16", 1000), ("resnet50", 1000)]


def placed(
    element: ElementTree.Element, x: float = 0, y: float = 0
) -> Iterator[tuple[float, float, str, str]]:
    """Position, text and class of every text."""
    moved = re.fullmatch(r"translate\((\S+) (\S+)\)", element.get("transform", ""))
    if moved:
        x, y = x + float(moved[1]), y + float(moved[2])
    if element.tag == f"{SVG}text":
        yield (
            x + float(element.get("x", 0)),
            y + float(element.get("y", 0)),
            element.text or "",
            str(element.attrib),
        )
    for child in element:
        yield from placed(child, x, y)


def boxes(markup: str) -> tuple[ElementTree.Element, list[tuple[float, float, float, float]]]:
    """The root, and left, top, right and bottom of every text."""
    root, found = ElementTree.fromstring(markup), []
    for x, y, content, attributes in placed(root):
        size = 11.5 if "small" in attributes else 15 if "title" in attributes else 13
        wide = text_width(content, size)
        left = x - wide / 2 if "'middle'" in attributes else x
        found.append((left, y - 0.75 * size, left + wide, y + 0.2 * size))
    return root, found


def check_texts(markup: str) -> None:
    root, found = boxes(markup)
    width, height = float(root.get("width", 0)), float(root.get("height", 0))
    for left, top, right, bottom in found:
        assert left >= 0 and top >= 0 and right <= width and bottom <= height
    for one, other in combinations(found, 2):
        apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
        assert apart, (one, other)


@pytest.mark.parametrize(("name", "classes"), KNOWN)
def test_known_networks_are_drawn_whole(name: str, classes: int) -> None:
    summary = of_model(name, classes)
    blocks = fold(summary)
    assert sum(block.parameters for block in blocks) == summary.parameters
    windows = [row for row in summary.rows if row.window]
    assert sum(block.role in ("convolution", "pooling") for block in blocks) == len(windows)
    markup = architecture(summary, name)
    check_texts(markup)
    root = ElementTree.fromstring(markup)
    assert f"{summary.parameters:,} parameters" in str(root.get("aria-label"))
    told = [element.text for element in root.iter(f"{SVG}title")]
    assert len(told) == len(blocks)
    assert drawing(summary)[1] <= WIDTH + 40


def test_cellwise_layers_stand_with_the_one_before_them() -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1, 2), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.LazyLinear(4)
    )
    image, conv, dense = fold(summarize(net, 16))
    assert (image.kind, image.shape) == ("input", (3, 16, 16))
    assert conv.kind == "Conv 3×3"
    assert conv.details == ("stride 2", "pad 1", "dilation 2", "BatchNorm, ReLU, Flatten")
    assert (conv.parameters, conv.shape) == (8 * 28 + 16, (8, 7, 7))
    assert (dense.kind, dense.role, dense.shape, {*dense.reads}) == ("Linear", "fully connected", (4,), {1})


def test_a_volume_grows_with_rows_columns_and_channels() -> None:
    def volume(channels: int, rows: int, columns: int) -> tuple[float, float, float]:
        block = fold(summarize(nn.Conv2d(3, channels, 1), (rows, columns)))[1]
        return block.width, block.height, block.depth

    width, height, depth = volume(8, 8, 8)
    assert volume(16, 8, 8) == (width + 4, height, depth)
    assert volume(8, 16, 8) == (width, height + 14, depth)
    assert volume(8, 8, 16) == (width, height, depth + 3)


class Shortcut(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = (nn.Conv2d(3, 3, 3, padding=1) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        third: Tensor = self.third(y + self.second(y))
        return third


def test_a_shortcut_leads_over_the_layers_between() -> None:
    plain = nn.Sequential(*(nn.Conv2d(3, 3, 3, padding=1) for _ in range(3)))
    straight, bent = summarize(plain, 8), summarize(Shortcut(), 8)
    assert [block.reads for block in fold(straight)] == [set(), {0}, {1}, {2}]
    assert [block.reads for block in fold(bent)] == [set(), {0}, {1}, {1, 2}]
    arrows = [architecture(summary, "net").count("fill:none") for summary in (straight, bent)]
    assert arrows == [3, 4]


def test_shortcuts_of_a_resnet_are_seen() -> None:
    blocks = fold(of_model("resnet50", 1000))
    at = {f"{block.path}.{block.name}": number for number, block in enumerate(blocks)}
    last = blocks[at["backbone.layer1.1.conv3"]]
    assert last.reads == {at["backbone.layer1.1.conv2"], at["backbone.layer1.0.conv3"]}


layer = st.sampled_from(
    [
        lambda channels: nn.Conv2d(channels, 2 * channels, (3, 5), stride=(1, 2), padding=3),
        lambda channels: nn.ConvTranspose2d(channels, channels, 4, 2, 1),
        lambda channels: nn.MaxPool2d(2),
        lambda channels: nn.AdaptiveAvgPool2d(6),
        lambda channels: nn.Sequential(
            nn.Conv2d(channels, channels, 1), nn.InstanceNorm2d(channels), nn.PReLU()
        ),
    ]
)


@settings(max_examples=25, deadline=None)
@given(st.lists(layer, max_size=14), st.text(max_size=12), st.integers(200, 1500))
def test_texts_of_any_network_keep_apart(
    layers: list[Callable[[int], nn.Module]], title: str, width: int
) -> None:
    parts: list[nn.Module] = []
    channels = 2
    for make in layers:
        part = make(channels)
        with torch.device("meta"):
            shape = nn.Sequential(*parts, part).to("meta")(torch.empty(1, 2, 64, 64)).shape
        if min(shape[-2:]) < 8 or max(shape[1:]) > 4096:
            break
        parts.append(part)
        channels = shape[1]
    summary = summarize(nn.Sequential(*parts).to("meta"), torch.empty(1, 2, 64, 64, device="meta"))
    markup = architecture(summary, title)
    check_texts(markup)
    assert architecture(summary, title) == markup
    assert CAPTION in markup
    assert drawing(summary, width)[1] <= max(width, 400)
