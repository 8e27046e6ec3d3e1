"""The stack builder: what fits, what it costs and finds, and its Python, against torch and the zoo."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from pydantic import TypeAdapter
from torch import nn

import neocog
from neocog.cli import main
from neocog.lab.networks import summarized
from neocog.lab.stacks import Layer, Stack, build
from neocog.ops.summary import summarize
from neocog.types import blank_batch

NETWORK = ("notes-digit", 10), ("notes-pattern", 3), ("lenet5", 10), ("alexnet", 1000), ("vgg16", 1000)


def numbers(least: int, most: int) -> some.SearchStrategy[int]:
    return some.integers(least, most)


KERNELS = {"kernel": numbers(1, 5), "stride": numbers(1, 3), "padding": numbers(0, 3)}
LAYERS = some.one_of(
    some.fixed_dictionaries(
        {"kind": some.just("conv"), "filters": numbers(1, 5), "dilation": numbers(1, 3), **KERNELS}
    ),
    some.fixed_dictionaries({"kind": some.sampled_from(["max", "mean"]), **KERNELS}),
    some.fixed_dictionaries({"kind": some.sampled_from(["relu", "norm", "flatten"])}),
    some.fixed_dictionaries({"kind": some.just("dense"), "outputs": numbers(1, 9)}),
    some.fixed_dictionaries({"kind": some.just("dropout"), "percent": numbers(0, 95)}),
)
STACKS = some.fixed_dictionaries(
    {
        "channels": some.sampled_from([1, 3]),
        "side": numbers(1, 16),
        "layers": some.lists(LAYERS, max_size=8),
    }
)


@given(STACKS)
@settings(max_examples=150)
def test_what_fits_runs_and_what_does_not_fails_in_torch_too(asked: dict[str, Any]) -> None:
    stack = Stack(**asked)
    network, fault = build(stack, "cpu")
    last = network.eval()(torch.zeros(1, *stack.input))
    rows = summarized(stack)[0].rows
    assert len(rows) == (len(stack.layers) if fault is None else fault.layer)
    assert not rows or rows[-1].shape == last.shape
    if fault is None:
        return
    layer = stack.layers[fault.layer]
    if layer.kind == "conv" and last.ndim == 4:
        options = layer.kernel, layer.stride, layer.padding, layer.dilation
        with pytest.raises(RuntimeError, match="Kernel size can't be greater"):
            nn.Conv2d(last.shape[1], layer.filters, *options)(last)
    elif layer.kind in ("max", "mean") and last.ndim == 4:
        pool = nn.MaxPool2d if layer.kind == "max" else nn.AvgPool2d
        with pytest.raises(RuntimeError, match=r"pad should be at most half|Output size is too small"):
            pool(layer.kernel, layer.stride, layer.padding)(last)
    else:  # maps where numbers are wanted, or numbers where maps are
        assert (layer.kind == "dense") == (last.ndim == 4)


def asked(lab: str, path: str, body: Any) -> tuple[int, Any]:
    """The status and the answer of the API."""
    headers = {"Content-Type": "application/json", "X-Neocog": "1"}
    request = urllib.request.Request(f"{lab}/api/v1/{path}", json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


LARGEST = {"kind": "conv", "filters": 4096, "kernel": 15, "padding": 8}
BAD = [
    ({"side": 513}, "side"),
    ({"side": 0}, "side"),
    ({"channels": 2}, "channels"),
    ({"layers": [LARGEST] * 49}, "layers"),
    ({"layers": [LARGEST | {"filters": 4097}]}, "filters"),
    ({"layers": [LARGEST | {"kernel": 16}]}, "kernel"),
    ({"layers": [{"kind": "dense", "outputs": 10_001}]}, "outputs"),
    ({"layers": [{"kind": "relu", "file": "/etc/passwd"}]}, "file"),
    ({"layers": [{"kind": "import"}]}, "kind"),
]


@pytest.mark.parametrize(("change", "named"), BAD)
def test_what_is_out_of_bounds_is_refused_in_one_line(lab: str, change: dict[str, Any], named: str) -> None:
    status, answer = asked(lab, "summary", {"side": 8, "layers": []} | change)
    assert status == 422 and named in answer["error"] and "\n" not in answer["error"]


def test_the_largest_stack_takes_no_memory_and_is_not_computed(lab: str) -> None:
    stack = {"side": 512, "layers": [LARGEST] * 48}
    status, answer = asked(lab, "summary", stack)
    assert status == 200 and answer["parameters"] > 10**11 and answer["fault"] is None
    status, answer = asked(lab, "maps", {"stack": stack, "layer": 0})
    assert status == 200 and answer["channels"] == 4096 and answer["maps"] == []


def test_each_filter_gives_a_map_and_the_seed_its_weights(lab: str) -> None:
    stack = {"channels": 1, "side": 16, "layers": [{"kind": "conv", "filters": 70, "kernel": 3}]}
    answers = [asked(lab, "maps", {"stack": stack, "layer": 0, "seed": seed})[1] for seed in (1, 1, 2)]
    assert answers[0] == answers[1] and answers[0]["maps"][0] != answers[2]["maps"][0]
    assert answers[0]["channels"] == 70 and len(answers[0]["maps"]) == 64 and answers[0]["signed"]
    stack["layers"].append({"kind": "flatten"})  # type: ignore[attr-defined]
    assert asked(lab, "maps", {"stack": stack, "layer": 1}) == (422, {"error": "this layer has no maps"})
    stack["layers"].insert(0, {"kind": "max", "kernel": 15, "stride": 8})  # type: ignore[attr-defined]
    assert (
        "layer 2: a kernel of 3 does not fit" in asked(lab, "maps", {"stack": stack, "layer": 2})[1]["error"]
    )


@pytest.mark.parametrize("name", ["resnet18", "ssd", "fcn-8s", "dc-ign"])
def test_a_model_to_read_is_the_one_that_summary_tells_of(
    lab: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with urllib.request.urlopen(f"{lab}/api/v1/networks/{name}") as response:
        answer = json.load(response)
    assert answer.pop("drawing").startswith("data:image/svg+xml;base64,")
    assert main(["summary", name, "--json", "-"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert answer == {key: told[key] for key in answer}


PLACES = (
    *("stack", "stack?chosen=5", "stack?side=16&layers=conv-8-5_max-3-3_conv-16-5&chosen=2", "stack?of=ssd"),
    *("stack?layers=", "stack?side=-3&channels=2&layers=x_conv-9999-x-_-_conv&chosen=0.5&seed=-1.5"),
)


@pytest.mark.parametrize("place", PLACES)
def test_it_opens_without_a_problem_and_is_accessible(visit: Any, place: str) -> None:
    page = visit.open(place)
    page.locator("figure svg[role=img], img").first.wait_for()
    page.wait_for_timeout(200)  # for the library's answers
    assert visit.violations() == []


@pytest.mark.parametrize("place", ["#/stack", "#/stack?of=ssd", "#/questions?answers=1", "docs"])
def test_it_fits_a_phone(visit: Any, place: str) -> None:
    visit.page.set_viewport_size({"width": 390, "height": 844})
    visit.page.goto(f"{visit.lab}/{place}")
    visit.page.locator("section:visible, img, .notice").first.wait_for()
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_page_follows_every_stack_as_the_library_does(visit: Any, lab: str) -> None:
    """The page's own numbers, and where a stack stops, for stacks of all kinds of layers."""
    page, drawn = visit.open("line"), torch.Generator().manual_seed(0)

    def number(least: int, most: int) -> int:
        return int(torch.randint(least, most + 1, (), generator=drawn))

    def layer() -> dict[str, Any]:
        kind = ("conv", "conv", "max", "mean", "relu", "norm", "flatten", "dense", "dropout")[number(0, 8)]
        windows = {"kernel": number(1, 5), "stride": number(1, 3), "padding": number(0, 2)}
        more: dict[str, dict[str, int]] = {
            "conv": {"filters": number(1, 9), **windows, "dilation": number(1, 2)},
            "max": windows,
            "mean": windows,
            "dense": {"outputs": number(1, 9)},
        }
        return {"kind": kind, **more.get(kind, {})}

    for _ in range(40):
        stack = {"channels": 1, "side": number(4, 40), "layers": [layer() for _ in range(number(0, 9))]}
        ours = page.evaluate("async (stack) => (await import('/static/stack.js')).follow(stack)", stack)
        _, theirs = asked(lab, "summary", stack)
        assert (ours["fault"] and ours["fault"]["layer"]) == (theirs["fault"] and theirs["fault"]["layer"])
        for own, row in zip(ours["rows"], theirs["rows"], strict=True):
            assert [1, *own["shape"]] == row["shape"]
            assert own["field"] == row["field"]
            assert (own["parameters"], own["multiplyAdds"], own["bytes"]) == (
                row["parameters"],
                row["multiply_adds"],
                row["bytes"],
            )


@pytest.mark.parametrize(("name", "classes"), NETWORK)
def test_the_python_of_a_model_of_the_zoo_is_that_model(
    visit: Any, name: str, classes: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the page copies out has the counts of the zoo's model and, with its weights, its answers."""
    from playwright.sync_api import expect

    page = visit.open("stack")
    shown = page.locator("pre code")
    before = shown.text_content()
    page.get_by_label("open").select_option(name)
    expect(shown).not_to_have_text(before)
    page.get_by_text("equals the library's output").wait_for()
    code = shown.text_content()
    (tmp_path / "stack.py").write_text(code, encoding="utf-8")
    shape = code.split("--input ")[1].split()[0]
    if classes == 1000:
        with torch.device("meta"):
            model: Any = neocog.create(name, classes)
            batch = blank_batch((224, 224))
    else:
        model = neocog.create(name, classes).eval()
        batch = blank_batch((int(shape.split(",")[1]),) * 2)
        batch.images[:] = torch.rand(batch.images.shape, generator=torch.Generator().manual_seed(0))
        namespace: dict[str, Any] = {}
        exec(code, namespace)  # noqa: S102
        network = namespace["network"].eval()
        weights = dict(zip(network.state_dict(), model.state_dict().values(), strict=True))
        network.load_state_dict(weights)
        with torch.no_grad():
            said = network(model.backbone.normalise(batch.images))
            assert torch.allclose(said, model(batch).logits, atol=1e-5)
        assert main(["summary", f"{tmp_path / 'stack.py'}:network", "--input", shape, "--json", "-"]) == 0
        assert f"{json.loads(capsys.readouterr().out)['parameters']:,}" in page.text_content(".sum")
    found = summarize(model, batch)
    rows = TypeAdapter(list[Layer]).validate_python(
        page.evaluate(
            "async (text) => (await import('/static/stack.js')).read(text)",
            page.evaluate("new URLSearchParams(location.hash.split('?')[1]).get('layers')"),
        )
    )
    stack = Stack(channels=int(shape[0]), side=int(shape.split(",")[1]), layers=rows)
    counted, _ = summarized(stack)
    assert (counted.parameters, counted.multiply_adds) == (found.parameters, found.multiply_adds)


def test_layers_are_added_moved_and_removed_by_keys(visit: Any) -> None:
    from playwright.sync_api import expect

    page = visit.open("stack?side=16&layers=conv-4_relu")
    names = page.locator(".layers .name")
    expect(names).to_have_text(["convolution", "ReLU"])
    page.locator("[data-name=name-0]").press("Alt+ArrowDown")
    expect(names).to_have_text(["ReLU", "convolution"])
    expect(page.locator("[data-name=name-1]")).to_be_focused()
    page.get_by_role("button", name="1 × 1 convolution").click()
    expect(page.locator(".tag")).to_have_text("1 × 1: 4 → 16 channels")
    page.locator("[data-name=filters-2]").fill("2")
    expect(page.locator(".tag")).to_have_text("1 × 1: 4 → 2 channels")
    expect(page.locator("section figure image")).to_have_count(2)  # a map for each filter
    page.get_by_role("button", name="Move up convolution 3").click()
    expect(page.locator("[data-name=up-1]")).to_be_focused()
    page.locator("[data-name=name-1]").press("Delete")
    expect(names).to_have_text(["ReLU", "convolution"])
    assert "layers=relu_conv-4" in page.url
    page.locator("[data-name=kernel-1]").fill("15")
    page.get_by_role("slider", name="side").press("Home")
    expect(page.locator("li.fault .out")).to_have_text("does not fit: a kernel of 15 does not fit 8 cells")
    page.locator("[data-name=padding-1]").fill("")
    page.locator("h1").click()
    expect(page.locator("[data-name=padding-1]")).to_have_value("0")
    page.get_by_text("equals the library's output").wait_for()  # which stops at the same layer
    expect(page.locator("pre code")).to_contain_text("# layer 2: a kernel of 15 does not fit 8 cells")
