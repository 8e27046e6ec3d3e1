"""The questions: each answer follows from the library, and each page that is to show it is there."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
import pytest
import torch
from scipy import signal
from torch import nn
from torch.nn import functional as F

import neocog
from neocog.lab.pages import STATIC
from neocog.models.ssd import SSDOptions
from neocog.ops.anchors import base_anchors, grid_anchors
from neocog.ops.arithmetic import (
    Field,
    conv_out,
    conv_parameters,
    effective_kernel,
    local_parameters,
    same_padding,
    transposed_out,
)
from neocog.ops.boxes import iou
from neocog.ops.default_boxes import box_shapes
from neocog.ops.filter import filter_image
from neocog.ops.integral import box, convolve_functions, step
from neocog.ops.pool import max_pool, unpool
from neocog.ops.summary import summarize
from neocog.types import blank_batch

MODULE = (STATIC / "questions.js").read_text(encoding="utf-8")
QUESTIONS: list[dict[str, Any]] = json.loads(MODULE.partition("export default ")[2].rstrip().rstrip(";"))
BY_ID = {one["id"]: one for one in QUESTIONS}
TABLE = torch.tensor([[1.0, 1, 2, 4], [5, 6, 7, 8], [3, 2, 1, 0], [1, 2, 3, 4]])[None, None]


def dice() -> str:
    return str(neocog.convolve([1] * 6, [1] * 6)[5])  # sums begin at 2


def triangle() -> bool:
    t = np.linspace(-2, 2, 41)
    return np.allclose(convolve_functions(box(), box(), t).values, np.maximum(1 - abs(t), 0))


def far_right() -> str:
    return f"{convolve_functions(box(2), step(), [50.0]).values[0]:.3g}"


def correlation() -> bool:
    picture, kernel = np.random.default_rng(0).random((6, 6)), np.arange(9.0).reshape(3, 3)
    layer = F.conv2d(torch.tensor(picture)[None, None], torch.tensor(kernel)[None, None])[0, 0].numpy()
    mirrored = np.allclose(layer, signal.convolve2d(picture, kernel, "valid"))
    return np.allclose(layer, signal.correlate2d(picture, kernel, "valid")) and not mirrored


def laplacian() -> str:
    kernel = np.full((3, 3), -1.0)
    kernel[1, 1] = 8
    return f"{filter_image(np.full((3, 3), 5.0), kernel, padding='none').item():g}"


def identity() -> bool:
    picture = np.random.default_rng(0).random((5, 5))
    return np.allclose(filter_image(picture, "0 0 0; 0 1 0; 0 0 0"), picture)


def unread() -> str:
    windows = conv_out(7, 3, stride=3)
    return str(7 - ((windows - 1) * 3 + 3))


def three() -> str:
    field = Field()
    for layers in itertools.count(1):
        field = field.then(3)
        if field.size == Field().then(7).size:
            return str(layers)
    raise AssertionError


def dilated() -> str:
    assert Field().then(3).then(3).then(3).size == 7  # as the explanation has it
    return str(Field().then(3).then(3, dilation=2).then(3, dilation=4).size)


def strided() -> str:
    assert Field().then(3).then(3).size == 5
    return f"they become {Field().then(3, stride=2).then(3).size}"


def costs(channels: int, side: int, *layers: nn.Module) -> tuple[int, int]:
    found = summarize(nn.Sequential(*layers), torch.zeros(1, channels, side, side))
    return found.parameters, found.multiply_adds


def twice() -> bool:
    layer = nn.Conv2d(3, 6, 5, padding=2)
    (weights, work), (more_weights, more_work) = costs(3, 32, layer), costs(3, 64, layer)
    return more_weights == weights and more_work == 4 * work


def vgg() -> bool:
    with torch.device("meta"):
        model = neocog.create("vgg16", 1000)
    found = summarize(model, blank_on_meta())
    first = next(row for row in found.rows if row.kind == "Linear")
    convolutions = [row for row in found.rows if row.kind == "Conv2d"]
    assert len(convolutions) == 13 and sum(row.kind == "Linear" for row in found.rows) == 3
    assert sum(row.multiply_adds for row in convolutions) > 0.95 * found.multiply_adds
    assert first.parameters == 512 * 7 * 7 * 4096 + 4096
    return 0.7 < first.parameters / found.parameters < 0.8


def blank_on_meta() -> Any:
    with torch.device("meta"):
        return blank_batch((224, 224))


def one_by_one() -> bool:
    layer, cells = nn.Conv2d(8, 4, 1), torch.randn(1, 8, 5, 6)
    dense = F.linear(cells.movedim(1, -1), layer.weight[:, :, 0, 0], layer.bias).movedim(-1, 1)
    return layer(cells).shape == (1, 4, 5, 6) and torch.allclose(layer(cells), dense, atol=1e-6)


def squeeze() -> bool:
    (_, wide), (_, narrow) = (costs(n, 16, nn.Conv2d(n, 256, 3, padding=1)) for n in (256, 64))
    (_, both) = costs(64, 16, nn.Conv2d(64, 64, 3, padding=1))
    return wide == 4 * narrow == 16 * both


def given_up() -> bool:
    """Two objects in two arrangements: each map's largest answer is the same."""
    kernels = torch.randn(5, 1, 3, 3)
    left, right = torch.zeros(1, 1, 16, 16), torch.zeros(1, 1, 16, 16)
    for picture, (a, b) in ((left, (3, 10)), (right, (10, 3))):
        picture[0, 0, a - 1 : a + 2, 5] = 1  # a bar
        picture[0, 0, b, 8:11] = 1  # and a lying one
    before, after = (F.conv2d(picture, kernels).amax(dim=(2, 3)) for picture in (left, right))
    return not torch.equal(left, right) and torch.allclose(before, after)


def shifted() -> bool:
    """As the chapter on pooling: one map for each place of the peak in a window of two."""
    maps = torch.zeros(2, 1, 8, 8)
    maps[range(2), 0, 2, range(2, 4)] = 1
    same = (max_pool(maps, 2)[0] == max_pool(maps.roll(1, dims=3), 2)[0]).all(dim=(1, 2, 3))
    return same.double().mean().item() == 0.5


def switches() -> bool:
    pooled, places = max_pool(TABLE, 2)
    back = unpool(pooled, places, (4, 4))
    return torch.equal(back, TABLE * (back != 0)) and int((back != 0).sum()) == 4


def order() -> bool:
    x = torch.randn(2, 3, 8, 8)
    first, last = F.relu(max_pool(x, 2)[0]), max_pool(F.relu(x), 2)[0]
    return torch.equal(first, last) and 4 * max_pool(x, 2)[0].numel() == x.numel()


def dense() -> bool:
    layer, maps = nn.Linear(160, 10), torch.randn(1, 10, 4, 4)
    sliding = F.conv2d(maps, layer.weight.view(10, 10, 4, 4), layer.bias).flatten(1)
    return torch.allclose(sliding, layer(maps.flatten(1)), atol=1e-5)


def transposed() -> bool:
    weight, x = torch.randn(1, 1, 4, 4), torch.randn(1, 1, 10, 10)
    back = F.conv_transpose2d(F.conv2d(x, weight, stride=2), weight, stride=2)
    size = transposed_out(conv_out(10, 4, 2), 4, 2)
    return size == 10 and back.shape == x.shape and not torch.allclose(back, x)


def fcn() -> bool:
    model = neocog.create("fcn-8s", 3, "compact", side=128).eval()
    with torch.no_grad():
        sizes = [128 // one.shape[2] for one in model(blank_batch((128, 128))).scores.values()]
    return sorted(sizes) == [8, 16, 32]


def overlap() -> bool:
    boxes = torch.tensor([[0.0, 0, 2, 2], [1.0, 1, 3, 3]])
    return abs(iou(boxes, boxes)[0, 1].item() - 1 / 7) < 1e-6


def fast() -> bool:
    """One more region of Fast R-CNN costs no convolution."""
    model = neocog.create("fast-rcnn", 3, side=64)
    once, more = (summarize(model, blank_batch((64, 64), regions=n)).rows for n in (1, 5))
    work = [{row.name: row.multiply_adds for row in rows if row.kind == "Conv2d"} for rows in (once, more)]
    trunk = [name for name in work[0] if name.startswith("backbone.")]
    return len(trunk) > 0 and all(work[0][name] == work[1][name] for name in trunk)


def anchors() -> str:
    options, cells = SSDOptions(), (38, 19, 10, 5, 3, 1)
    sizes = [scale * options.side for scale in options.scales]
    shapes = (len(box_shapes(sizes[m], sizes[m + 1], options.ratios[m])) for m in range(6))
    assert sum(n * side**2 for n, side in zip(shapes, cells, strict=True)) == 8732  # SSD's, said beside
    return f"{len(grid_anchors(base_anchors(), (38, 63), 16)):,}"


CHECKS: dict[str, Callable[[], bool | str]] = {
    "verb": lambda: callable(neocog.convolve) and not hasattr(neocog, "convolute"),
    "dice": dice,
    "triangle": triangle,
    "step": far_right,
    "correlation": correlation,
    "laplacian": laplacian,
    "identity": identity,
    "size": lambda: str(conv_out(28, 6, stride=2)),
    "same": lambda: str(same_padding(5, dilation=2)) if effective_kernel(5, 2) == 9 else "",
    "odd": unread,
    "dilation": dilated,
    "three": three,
    "pooled": strided,
    "parameters": lambda: str(conv_parameters(3, filters=6, kernel=5)),
    "twice": twice,
    "vgg": vgg,
    "one": one_by_one,
    "squeeze": squeeze,
    "local": lambda: local_parameters(1000 * 1000, kernel=10, bias=False) == 10**8,
    "filters": lambda: conv_parameters(1, filters=100, kernel=10, bias=False) == 10**4,
    "given-up": given_up,
    "max": lambda: f"{max_pool(TABLE, 2)[0][0, 0, 1, 1].item():g}",
    "shift": shifted,
    "switches": switches,
    "order": order,
    "dense": dense,
    "transposed": transposed,
    "fcn": fcn,
    "iou": overlap,
    "fast": fast,
    "anchors": anchors,
}
"""What the library says: the text of the right option, or whether what it claims holds."""


def test_questions_are_well_formed() -> None:
    assert len(QUESTIONS) >= 20 and len(BY_ID) == len(QUESTIONS)
    assert set(CHECKS) == set(BY_ID)
    for one in QUESTIONS:
        assert set(one) == {"id", "rung", "ask", "options", "right", "why", "see"}
        assert 0 <= one["right"] < len(one["options"]) == len(set(one["options"])) == 4
    assert len({one["right"] for one in QUESTIONS}) == 4  # no place is always wrong


@pytest.mark.parametrize("name", BY_ID)
def test_the_library_gives_the_right_answer(name: str) -> None:
    torch.manual_seed(0)
    question, said = BY_ID[name], CHECKS[name]()
    assert said is True or said == question["options"][question["right"]]


def test_every_page_that_is_to_show_the_answer_is_there(visit: Any) -> None:
    page = visit.open("questions")
    names = sorted(file.stem for file in (STATIC / "pages").glob("*.js"))
    defaults = page.evaluate(
        "async (names) => Object.fromEntries(await Promise.all(names.map(async (name) => {"
        "  const page = (await import(`/static/pages/${name}.js`)).default;"
        "  return [page?.id ?? name, Object.keys(page?.defaults ?? {})];"
        "})))",
        names,
    )
    for one in QUESTIONS:
        name, _, query = one["see"].partition("?")
        assert name in defaults, one
        assert {key for key, _ in parse_qsl(query, strict_parsing=bool(query))} <= set(defaults[name]), one


def test_it_is_accessible(visit: Any) -> None:
    wrong = next(i for i in range(4) if i != QUESTIONS[0]["right"])
    visit.open(f"questions?answers={wrong}{QUESTIONS[1]['right']}")
    assert visit.violations() == []


def test_answers_are_counted_kept_and_explained(visit: Any) -> None:
    from playwright.sync_api import expect

    page = visit.open("questions")
    page.keyboard.press("Tab")
    page.click(f"[data-option='{QUESTIONS[0]['right']}']")
    expect(page.locator(".sum")).to_contain_text("1 right of 1 answered")
    expect(page.locator(".question")).to_contain_text(QUESTIONS[0]["why"][:40])
    page.get_by_role("button", name="Next").click()
    expect(page.locator(".question")).to_contain_text(QUESTIONS[1]["ask"])
    page.locator(f"[data-option='{(QUESTIONS[1]['right'] + 1) % 4}']").press("Enter")
    expect(page.locator(".sum")).to_contain_text("1 right of 2 answered")
    page.locator(f"[data-option='{QUESTIONS[1]['right']}']").press("Enter")  # too late
    expect(page.locator(".sum")).to_contain_text("1 right of 2 answered")
    page.reload()
    expect(page.locator(".sum")).to_contain_text("1 right of 2 answered")
    page.get_by_role("link", name="See it").click()
    expect(page.locator("h1")).to_have_text("Convolution in one dimension")
    page.go_back()
    expect(page.locator(".sum")).to_contain_text("1 right of 2 answered")
    page.get_by_role("button", name="Start again").click()
    expect(page.locator(".sum")).to_have_text("None answered yet.")
