"""The pages on trained models in a real browser: what they show is what the library says."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.lab.labs import Trained, Visit, served

from neocog.data.scenes import Scenes
from neocog.lab.app import create_app
from neocog.lab.runs import Runs
from neocog.ops.nms import batched_nms_torch
from neocog.predict import Predictor
from neocog.types import Task

SCENE = Scenes("std", "test")[1].image


@pytest.fixture
def expect() -> Any:
    from playwright.sync_api import expect

    return expect


@pytest.fixture
def look(page: Any, trained: Trained) -> Iterator[Visit]:
    """Opens places of a lab with runs; afterwards there must have been no problem."""
    one = Visit(page, trained.address)
    yield one
    assert one.problems == []


@pytest.mark.parametrize("place", ["detection", "segmentation", "runs"])
def test_without_a_run_a_page_says_how_to_get_one(visit: Any, expect: Any, place: str) -> None:
    page = visit.open(place)
    expect(page.locator(".notice")).to_contain_text("neocog lab runs/first")
    assert visit.violations() == []


def given_pixels(page: Any) -> np.ndarray:
    """What the page gives the network, of the canvas that it shows once it has painted."""
    levels = page.locator("canvas.given").evaluate("""async canvas => {
      await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
      return [...canvas.getContext("2d").getImageData(0, 0, 28, 28).data].filter((_, i) => i % 4 === 0);
    }""")
    return np.repeat(np.array(levels, np.uint8).reshape(28, 28, 1), 3, axis=2)


def says(prediction: Any) -> str:
    return f"It says {prediction.name}, with probability {prediction.score:.2f}."


def test_a_drawn_digit_is_answered_while_it_is_drawn(look: Visit, trained: Trained, expect: Any) -> None:
    page = look.open("inside")
    run = trained.run("lenet5")
    said = page.locator(".sum").first
    expect(said).to_contain_text("It says 3", timeout=30_000)
    page.get_by_role("button", name="Clean sheet").click()
    pad = page.locator(".drawing-pad")
    box = frame_of(pad)
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 30)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 + 8, box["y"] + 220, steps=12)
    page.mouse.up()
    expect(said).to_contain_text("It says 1")
    expect(said).to_contain_text(says(run.predictor.predict(given_pixels(page))))
    pad.focus()
    for key in (
        "Delete",
        *["ArrowUp"] * 8,
        "ArrowLeft",
        "ArrowLeft",
        " ",
        *["ArrowRight"] * 6,
        *["ArrowDown"] * 16,
    ):
        page.keyboard.press(key)
    expect(page.locator("#sheet-help")).to_have_text("The pen is down.")
    seven = given_pixels(page)
    assert seven[:8].mean() > seven[14:, :10].mean()  # the bar above, nothing below on the left
    expect(said).to_contain_text(says(run.predictor.predict(seven)))
    assert re.search(r"drawn=\d{40,}", page.url)


@pytest.mark.parametrize("method", ["feature maps", "filters", "heat map", "deconvolution", "Grad-CAM"])
def test_what_leads_it_there_is_drawn(look: Visit, expect: Any, method: str) -> None:
    page = look.open("inside")
    page.get_by_role("button", name=method).first.click()
    expect(page.locator(".shows img").first).to_be_visible(timeout=30_000)
    if method == "deconvolution":
        page.get_by_role("combobox", name="map", exact=True).select_option("conv1")
        page.get_by_role("combobox", name="unit", exact=True).select_option("2")
        expect(page.locator(".shows figcaption").nth(1)).to_contain_text("Units of conv1")
    if method == "Grad-CAM":
        page.get_by_role("combobox", name="class", exact=True).select_option("8")
        expect(page.locator(".shows figcaption").first).to_contain_text("raises the score of '8'")
    assert look.violations() == []


def frame_of(one: Any) -> Any:
    """Where an element is."""
    box = one.bounding_box()
    assert box is not None
    return box


def slide(page: Any, name: str, value: float) -> None:
    """Move a slider as a hand or the keys would, and wait for the picture."""
    page.get_by_label(name, exact=True).evaluate(
        "(input, value) => { input.value = value; input.dispatchEvent(new Event('input')); }", value
    )


def test_thresholds_move_in_the_page_and_equal_the_library(
    look: Visit, trained: Trained, expect: Any
) -> None:
    page = look.open("detection?picture=scene-2&score=0.1")
    figures = page.locator("figure[data-run]")
    expect(figures).to_have_count(2)
    for score, nms in ((0.1, 0.0), (0.12, 0.3), (0.11, 0.8)):
        slide(page, "least score", score)
        slide(page, "overlap that drops (IoU)", nms)
        for place, model in enumerate(("faster-rcnn", "ssd")):
            found = candidates(trained.predictor(model), score, nms)
            line = figures.nth(place).locator(".sum")
            expect(line).to_contain_text(f"{found[0]} found: what is left of {found[1]} candidates")
            expect(figures.nth(place).locator(".agrees")).to_have_text("equals the library's output")
    page.get_by_role("combobox", name="stage", exact=True).select_option("map 1")
    expect(figures.first.locator(".sum")).to_contain_text("cells")
    assert look.violations() == []


def candidates(predictor: Predictor, score: float, nms: float) -> tuple[int, int]:
    """How many detections these thresholds leave, of how many candidates, by the library."""
    with torch.inference_mode():
        batch = predictor.prepare(SCENE)
        found = predictor.model.candidates(predictor.model(batch), batch)
    options = getattr(predictor.model.options, "regions", predictor.model.options)
    enough = found.scores >= score
    boxes, scores, labels = found.boxes[enough], found.scores[enough], found.labels[enough]
    kept = batched_nms_torch(boxes, scores, labels, nms or options.nms)
    return len(kept[: options.most]), len(scores)


def test_an_uploaded_picture_is_looked_at_and_what_is_none_is_told(
    look: Visit, expect: Any, tmp_path: Path
) -> None:
    Image.fromarray(SCENE).save(tmp_path / "mine.png")
    (tmp_path / "bad.png").write_text("<svg onload='alert(1)'/>")
    page = look.open("detection")
    line = page.locator("figure[data-run] .sum").first
    expect(line).to_contain_text("found")
    page.set_input_files("input[type=file]", tmp_path / "mine.png")
    expect(page.get_by_role("combobox", name="picture", exact=True)).to_have_value("own")
    expect(line).to_contain_text("found")
    page.set_input_files("input[type=file]", tmp_path / "bad.png")
    expect(line).to_contain_text("format not allowed (SVG")
    look.problems = [one for one in look.problems if "422" not in one]  # the browser logs what was refused


def test_the_wipe_uncovers_the_masks_that_the_library_gives(
    look: Visit, trained: Trained, expect: Any
) -> None:
    page = look.open("segmentation?picture=scene-2")
    figures = page.locator("figure[data-run]:not([hidden])")
    expect(figures).to_have_count(3)  # the truth, and two models
    truth = Scenes("std", "test", task=Task.SEGMENT)[1].mask
    for place, model in ((1, "fcn-32s"), (2, "fcn-8s")):
        said = trained.predictor(model).predict(SCENE)
        right = 100 * float((said.mask == truth).mean())
        expect(figures.nth(place).locator(".sum")).to_contain_text(f"{right:.2f} % of the pixels are right")
        expect(figures.nth(place).locator(".agrees")).to_have_attribute("data-state", "yes")
        for name, share in said.shares().items():
            if name != "background":
                expect(figures.nth(place).locator(".legend")).to_contain_text(f"{name} {100 * share:.1f} %")
    slide(page, "uncovered", 25)
    for place in range(3):
        expect(figures.nth(place).locator("clipPath rect")).to_have_attribute("width", "80")
    picture = frame_of(figures.first.locator("svg[role=img]"))
    page.mouse.move(picture["x"] + picture["width"] / 2, picture["y"] + 20)
    page.mouse.down()
    page.mouse.up()
    expect(page.get_by_label("uncovered", exact=True)).to_have_value("50")
    assert look.violations() == []


def test_the_comparison_is_the_table_of_the_file(look: Visit, trained: Trained, expect: Any) -> None:
    page = look.open("runs")
    table = page.get_by_role("table", name="Comparison few")
    rows = json.loads((trained.comparison / "compare.json").read_text())["rows"]
    for row in rows:
        line = table.get_by_role("row", name=row["model"])
        expect(line).to_contain_text(f"{row['metrics']['mean_iou']['mean']:.3f}")
        expect(line).to_contain_text(f"{row['ms_per_image']['total']:.1f}")
    plot = page.get_by_role("img", name="mean IoU against milliseconds a picture in few")
    expect(plot.locator("circle")).to_have_count(len(rows))
    expect(page.locator(".shows img").first).to_be_visible()
    assert look.violations() == []


def test_a_run_that_trains_draws_itself(page: Any, expect: Any, tmp_path: Path) -> None:
    description = {"options": {"model": "ssd"}, "task": "detect", "classes": ["a"]}
    (tmp_path / "run.json").write_text(json.dumps(description))
    line = {"step": 1, "losses": {"boxes": 0.75, "classes": 0.5}, "lr": 1e-3}
    log = tmp_path / "metrics.jsonl"
    log.write_text(json.dumps(line) + "\n")
    with served(create_app(Runs([tmp_path]))) as lab:
        visit = Visit(page, lab)
        visit.open("runs")
        expect(page.locator(".sum")).to_contain_text("Step 1: loss 1.250")
        with log.open("a") as more:
            for step in (2, 3):
                more.write(
                    json.dumps({**line, "step": step, "losses": {"boxes": 0.25, "classes": 0.125}}) + "\n"
                )
        began = time.monotonic()
        expect(page.locator(".sum")).to_contain_text("Step 3: loss 0.375")
        assert time.monotonic() - began < 4
        expect(page.get_by_role("img", name="Losses")).to_be_visible()
        assert visit.problems == []
