"""What a comparison says to people: table, accuracy against time, the same pictures under every model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from neocog.data.dataset import Dataset
from neocog.errors import DataError
from neocog.judging import TASKS, TaskEntry
from neocog.pictures.axes import Axis
from neocog.pictures.charts import Dot, scatter_chart
from neocog.pictures.draw import contact_sheet, shrunk, titled
from neocog.pictures.report import Page, write_page
from neocog.showing import SHOWN, Evaluations, as_number
from neocog.types import Task

TILE = 480
"""Pixels a side of one picture among several."""


def compare_report(out: Path, table: Mapping[str, Any], data: Dataset, evaluations: Evaluations) -> None:
    """Write `report.html` of a comparison.

    `table` is the content of `compare.json`; `evaluations` the test of one seed of each model.
    """
    budget = " ".join(f"{value:g} {name}" for name, value in table["budget"].items() if value is not None)
    task = Task(table["task"])
    entry, shower = TASKS[task], SHOWN[task]
    page = Page(
        f"Comparison on {table['data']['name']}",
        f"Every model trained for {budget} on {table['threads']} CPU thread(s) and tested on "
        f"{table['data']['images']} images of split {table['data']['split']}.",
    )
    _add_tables(page, table["rows"], entry)
    key, heading, _ = entry.shown[0]
    dots = [
        Dot(
            row["model"],
            row["ms_per_image"]["total"],
            as_number(row["metrics"][key]["mean"]),
            row["metrics"][key]["std"],
        )
        for row in table["rows"]
    ]
    page.figure(
        scatter_chart(
            "Accuracy against time", dots, Axis("ms an image, all included", log=True), Axis(heading, lower=0)
        ),
        f"{heading} of each model against its milliseconds an image",
    )
    shower.add_differences(page, evaluations)
    page.heading("The same pictures")
    for number, (why, sheet) in enumerate(_same_pictures(data, evaluations, task), 1):
        page.figure(sheet, f"Test picture {number}: the truth, then each model", f"Picture {number}: {why}.")
    write_page(out / "report.html", page.render())


def _add_tables(page: Page, rows: Sequence[Mapping[str, Any]], entry: TaskEntry) -> None:
    """What the models achieve, and what they cost."""
    (first, heading, _), *others = entry.shown
    accuracy = [
        [
            row["model"],
            row["metrics"][first]["mean"],
            row["metrics"][first]["std"],
            *(row["metrics"][column.key]["mean"] for column in others),
            row["parameters"] / 1e6,
            row["steps"],
            row["train_seconds"],
        ]
        for row in rows
    ]
    columns = ["model", heading, "+-", *(column.heading for column in others)]
    columns += ["M params", "steps", "training s"]
    page.table("Accuracy: the mean over seeds; +- is its standard deviation", columns, accuracy)
    times = [
        [
            row["model"],
            *(row["ms_per_image"][part] for part in ("total", "proposals", "network", "decode")),
            row["gflops"],
            *(row["speedup_over_rcnn"][which] for which in ("with_proposals", "without_proposals")),
        ]
        for row in rows
    ]
    columns = ["model", "ms", "proposals", "network", "decode", "GFLOPs", "x R-CNN", "x without proposals"]
    caption = "Time: milliseconds a picture"
    if any(row["speedup_over_rcnn"]["with_proposals"] for row in rows):
        caption += ", and how many times R-CNN takes as long"
    else:
        columns, times = columns[:-2], [row[:-2] for row in times]
    page.table(caption, columns, times)


def _same_pictures(data: Dataset, evaluations: Evaluations, task: Task) -> Iterator[tuple[str, Image.Image]]:
    """For the telling test pictures: why, and the truth, then what every model says, side by side."""
    first, shower = next(iter(evaluations.values())), SHOWN[task]
    for place, why in shower.telling(evaluations).items():
        index = first.indices[place]
        try:
            image = data[index].image
            truth = shower.truth(data, first, place, image)
        except DataError:
            continue
        drawn = [titled(shrunk(truth, TILE), "truth")]
        for name, evaluation in evaluations.items():
            answer = shower.answer(data, evaluation, evaluation.indices.index(index), image)
            drawn.append(titled(shrunk(answer, TILE), name))
        yield why, contact_sheet(drawn, columns=min(len(drawn), 4), tile=2 * TILE)
