"""What a run says to people: sample pictures, one self-contained page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from neocog.data.dataset import Dataset
from neocog.errors import DataError
from neocog.evaluate import Evaluation
from neocog.files import disk_errors, make_folder
from neocog.judging import TASKS
from neocog.pictures.axes import Axis
from neocog.pictures.charts import Curve, line_chart
from neocog.pictures.draw import side_by_side
from neocog.pictures.report import Page, write_page
from neocog.showing import SAMPLES, SHOWN, as_number, spaced
from neocog.types import Task


def save_samples(folder: Path, data: Dataset, evaluation: Evaluation) -> None:
    """Draw a few pictures, truth beside prediction, as `00.png`, `01.png`, ... Raises DiskError."""
    make_folder(folder)
    shown = SHOWN[evaluation.task]
    for number, place in enumerate(spaced(evaluation.images, SAMPLES)):
        try:
            image = data[evaluation.indices[place]].image
            truth = shown.truth(data, evaluation, place, image)
        except DataError:
            continue  # it was readable a moment ago; a picture for people is not worth stopping for
        found = shown.answer(data, evaluation, place, image)
        path = folder / f"{number:02}.png"
        with disk_errors(path):
            side_by_side(truth, found, ("truth", "prediction")).save(path)


def run_report(out: Path, run: Mapping[str, Any], evaluation: Evaluation | None) -> None:
    """Write `report.html` of a run: curves, table, precision against recall, samples."""
    options, data = run["options"], run["data"]
    title = f"{options['model']} on {options['backbone']}: {data['name']}"
    lead = f"{data['images']} training images of split {data['split']}, {options['size'][1]} px, "
    page = Page(title, f"{lead}{run['parameters']:,} parameters, seed {options['training']['seed']}.")
    if evaluation is not None:
        _add_evaluation(page, evaluation)
    page.heading("Training")
    for chart, alt in _curves(out / "metrics.jsonl", Task(run["task"])):
        page.figure(chart, alt)
    samples = sorted((out / "samples").glob("*.png"))
    if samples:
        page.heading("Samples")
        for path in samples:
            with Image.open(path) as picture:
                page.figure(picture.copy(), f"Validation picture {path.stem}: truth beside prediction")
    _add_settings(page, run)
    write_page(out / "report.html", page.render())


def _add_evaluation(page: Page, evaluation: Evaluation) -> None:
    result, entry = evaluation.to_dict(), TASKS[evaluation.task]
    metrics, ms = result["metrics"], result["ms_per_image"]
    numbers = {column.heading: _three(metrics[column.key]) for column in entry.shown}
    page.numbers(numbers | {"ms an image": f"{ms['total']:.1f}"})
    page.heading(f"Split {evaluation.split}, {evaluation.images} images")
    rows = [
        [name, *(value[column.key] for column in entry.per_class)]
        for name, value in result["per_class"].items()
    ]
    page.table("Each class", ["class", *(column.heading for column in entry.per_class)], rows)
    SHOWN[evaluation.task].add_details(page, evaluation)


def _curves(log: Path, task: Task) -> Iterator[tuple[str, str]]:
    """Charts of the losses and the validations that a log holds."""
    records = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    steps = [record for record in records if "losses" in record]
    if steps:
        curves: list[Curve] = []
        for name in dict.fromkeys(name for record in steps for name in record["losses"]):
            own = [record for record in steps if name in record["losses"]]
            curves.append(Curve(name, [r["step"] for r in own], [r["losses"][name] for r in own]))
        window = max(1, len(steps) // 100)
        yield (
            line_chart("Losses", curves, Axis("step"), Axis("loss", log=True), smooth=window),
            "Each loss against the training step",
        )
    judged = [record for record in records if "validation" in record]
    if len(judged) > 1:
        x = [record["step"] for record in judged]
        entry = TASKS[task]
        shown = entry.shown[:2] if entry.most else entry.shown[:1]
        curves = [Curve(c.heading, x, [as_number(r["validation"].get(c.key)) for r in judged]) for c in shown]
        yield (
            line_chart("Validation", curves, Axis("step"), Axis(entry.axis, lower=0, upper=entry.most)),
            f"The validation's {entry.axis} against the training step",
        )


def _add_settings(page: Page, run: Mapping[str, Any]) -> None:
    page.heading("Settings")
    rows = [
        [name, json.dumps(value)] for name, value in run["options"].items() if not isinstance(value, dict)
    ]
    for group in ("training", "augmentation", "options"):
        rows += [[f"{group}.{name}", json.dumps(value)] for name, value in run["options"][group].items()]
    page.table("Options of the run", ["option", "value"], rows)
    page.table("Machine", ["what", "value"], [[name, str(value)] for name, value in run["machine"].items()])
    lost = (run["data"].get("report") or {}).get("lines", []) + run.get("unreadable", [])
    if lost:
        page.table("What was left out of the data, or changed", ["record"], [[line] for line in lost])


def _three(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
