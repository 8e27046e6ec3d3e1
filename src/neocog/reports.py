"""What a run and a comparison say to people: model card, sample pictures, one self-contained page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from neocog.data.dataset import Dataset
from neocog.errors import DataError
from neocog.evaluate import Evaluation
from neocog.files import disk_errors, make_folder
from neocog.metrics.slices import by_crowd, by_size
from neocog.pictures.axes import Axis
from neocog.pictures.charts import (
    Curve,
    Dot,
    bar_chart,
    line_chart,
    precision_recall_chart,
    scatter_chart,
)
from neocog.pictures.draw import (
    contact_sheet,
    draw_detections,
    draw_objects,
    shrunk,
    side_by_side,
    titled,
)
from neocog.pictures.report import Page, write_page

SAMPLES = 8
"""Pictures of a validation that are drawn."""

TILE = 480
"""Pixels a side of one picture among several."""


def spaced(count: int, wanted: int) -> list[int]:
    """Up to `wanted` indices spread evenly over `count`."""
    wanted = min(count, wanted)
    return [place * count // wanted for place in range(wanted)]


def save_samples(folder: Path, data: Dataset, evaluation: Evaluation) -> None:
    """Draw a few pictures, truth beside prediction, as `00.png`, `01.png`, ... Raises DiskError."""
    make_folder(folder)
    for number, place in enumerate(spaced(evaluation.images, SAMPLES)):
        try:
            image = data[evaluation.indices[place]].image
        except DataError:
            continue  # it was readable a moment ago; a picture for people is not worth stopping for
        truth = draw_objects(image, evaluation.truths[place], data.classes)
        found = draw_detections(image, evaluation.predictions[place], data.classes)
        path = folder / f"{number:02}.png"
        with disk_errors(path):
            side_by_side(truth, found, ("truth", "prediction")).save(path)


def model_card(run: Mapping[str, Any], evaluation: Evaluation | None) -> str:
    """The README of a model folder: what it is, what it learnt from, what it achieves, what it is not for."""
    options, data = run["options"], run["data"]
    lines = [
        "---",
        "library_name: neocog",
        "pipeline_tag: object-detection",
        "---",
        "",
        f"# {options['model']} on {options['backbone']}: {data['name']}",
        "",
        f"Trained with Neocog {run['neocog']} on the split `{data['split']}` of `{data['name']}` "
        f"({data['images']} images), input {options['size'][1]} px, seed {options['training']['seed']}.",
        "",
        f"Classes: {', '.join(run['classes'])}.",
        "",
    ]
    if evaluation is not None:
        lines += [f"Measured on the split `{evaluation.split}` ({evaluation.images} images):", ""]
        lines += ["| metric | value |", "| --- | --- |"]
        lines += [
            f"| {name} | {'-' if v is None else f'{v:.4f}'} |" for name, v in evaluation.metrics.items()
        ]
        lines += [""]
    lines += [
        "Use: `neocog predict FOLDER photo.jpg --out DIR`, or `neocog.load(FOLDER).predict(image)`.",
        "",
        "Limits: it knows these classes only, as they look in that data set; scores are not calibrated. "
        "The licence of the training data may limit what the weights can be used for.",
        "",
    ]
    return "\n".join(lines)


def run_report(out: Path, run: Mapping[str, Any], evaluation: Evaluation | None) -> None:
    """Write `report.html` of a run: curves, table, precision against recall, samples."""
    options, data = run["options"], run["data"]
    title = f"{options['model']} on {options['backbone']}: {data['name']}"
    lead = f"{data['images']} training images of split {data['split']}, {options['size'][1]} px, "
    page = Page(title, f"{lead}{run['parameters']:,} parameters, seed {options['training']['seed']}.")
    if evaluation is not None:
        _add_evaluation(page, evaluation)
    page.heading("Training")
    for chart, alt in _curves(out / "metrics.jsonl"):
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
    result = evaluation.to_dict()
    metrics, ms = result["metrics"], result["ms_per_image"]
    page.numbers(
        {
            "VOC AP50": _three(metrics["voc_map50"]),
            "VOC07 AP50": _three(metrics["voc07_map50"]),
            "COCO AP": _three(metrics["coco_ap"]),
            "ms an image": f"{ms['total']:.1f}",
        }
    )
    page.heading(f"Split {evaluation.split}, {evaluation.images} images")
    rows = [
        [name, value["objects"], value["voc_ap50"], value["voc07_ap50"], value["coco_ap"], value["coco_ap75"]]
        for name, value in result["per_class"].items()
    ]
    columns = ["class", "objects", "VOC AP50", "VOC07 AP50", "COCO AP", "COCO AP75"]
    page.table("Average precision of each class", columns, rows)
    page.figure(
        precision_recall_chart("Precision against recall, IoU 0.5", evaluation.voc.classes),
        "Precision against recall of each class at IoU 0.5",
    )


def _curves(log: Path) -> Iterator[tuple[str, str]]:
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
        labels = {"voc_map50": "VOC AP50", "coco_ap": "COCO AP"}
        curves = [Curve(label, x, [_nan(r["validation"][n]) for r in judged]) for n, label in labels.items()]
        yield (
            line_chart("Validation", curves, Axis("step"), Axis("average precision", lower=0, upper=1)),
            "Average precision on the validation split against the training step",
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


def compare_report(
    out: Path, table: Mapping[str, Any], data: Dataset, evaluations: Mapping[str, Evaluation]
) -> None:
    """Write `report.html` of a comparison: table, accuracy against time, the same pictures for every model.

    `evaluations`: the test of one seed of each model, by the model's name.
    """
    budget = " ".join(f"{value:g} {name}" for name, value in table["budget"].items() if value is not None)
    page = Page(
        f"Comparison on {table['data']['name']}",
        f"Every model trained for {budget} on {table['threads']} CPU thread(s) and tested on "
        f"{table['data']['images']} images of split {table['data']['split']}.",
    )
    _add_comparison(page, table["rows"])
    dots = [
        Dot(
            row["model"],
            row["ms_per_image"]["total"],
            _nan(row["metrics"]["voc_map50"]["mean"]),
            row["metrics"]["voc_map50"]["std"],
        )
        for row in table["rows"]
    ]
    page.figure(
        scatter_chart(
            "Accuracy against time",
            dots,
            Axis("ms an image (proposals, network and decode)", log=True),
            Axis("VOC AP50", lower=0),
        ),
        "VOC AP50 of each model against its milliseconds an image",
    )
    _add_differences(page, evaluations)
    page.heading("Average precision of each class")
    for name, evaluation in evaluations.items():
        values = {one.name: one.voc_ap for one in evaluation.voc.classes}
        page.figure(bar_chart(name, values, Axis("VOC AP50", lower=0, upper=1)), f"VOC AP50 a class: {name}")
    page.heading("The same pictures")
    for number, (why, sheet) in enumerate(_same_pictures(data, evaluations), 1):
        page.figure(sheet, f"Test picture {number}: the truth, then each model", f"Picture {number}: {why}.")
    write_page(out / "report.html", page.render())


def _add_comparison(page: Page, rows: Sequence[Mapping[str, Any]]) -> None:
    """What the models achieve, and what they cost."""
    accuracy = [
        [
            row["model"],
            row["metrics"]["voc_map50"]["mean"],
            row["metrics"]["voc_map50"]["std"],
            row["metrics"]["coco_ap"]["mean"],
            row["parameters"] / 1e6,
            row["steps"],
            row["train_seconds"],
        ]
        for row in rows
    ]
    columns = ["model", "VOC AP50", "+-", "COCO AP", "M params", "steps", "training s"]
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
    page.table("Time: milliseconds a picture, and how many times R-CNN takes as long", columns, times)


def _add_differences(page: Page, evaluations: Mapping[str, Evaluation]) -> None:
    """Small objects, crowded pictures: one curve a model over the thirds of the test set."""
    parts = (
        ("Small and large objects", by_size, "median side of a third of the objects (pixels)"),
        ("Sparse and crowded pictures", by_crowd, "objects in a picture, median of a third of the pictures"),
    )
    page.heading("Small objects and crowded pictures")
    for title, cut, across in parts:
        curves = []
        for name, one in evaluations.items():
            slices = cut(one.truths, one.predictions, [voc.name for voc in one.voc.classes])
            curves.append(Curve(name, [s.middle for s in slices], [_nan(s.voc_map) for s in slices]))
        page.figure(
            line_chart(title, curves, Axis(across), Axis("VOC AP50", lower=0, upper=1)),
            f"VOC AP50 of each model: {title.lower()}",
        )


def _telling(evaluations: Mapping[str, Evaluation]) -> dict[int, str]:
    """Test pictures that tell models apart, and why: their places among the images judged."""
    first = next(iter(evaluations.values()))
    truths = first.truths
    full = [place for place, truth in enumerate(truths) if len(truth)]
    if not full:
        return dict.fromkeys(spaced(first.images, SAMPLES), "no objects")
    found = np.array(
        [
            [len(one.predictions[place].scores[one.predictions[place].scores >= 0.5]) for place in full]
            for one in evaluations.values()
        ]
    )
    spread = found.max(axis=0) - found.min(axis=0)
    smallest = [float((t.boxes[:, 2:] - t.boxes[:, :2]).prod(1).median()) for t in (truths[p] for p in full)]
    telling: dict[int, str] = {}
    reasons = {
        "the most objects": np.argsort([-len(truths[place]) for place in full], kind="stable"),
        "the smallest objects": np.argsort(smallest, kind="stable"),
    }
    if spread.any():
        reasons["the models disagree most"] = np.argsort(-spread, kind="stable")
    for why, order in reasons.items():
        for place in [full[index] for index in order if full[index] not in telling][:2]:
            telling[place] = why
    for place in spaced(first.images, SAMPLES):
        if len(telling) < SAMPLES:
            telling.setdefault(place, "one of all")
    return telling


def _same_pictures(data: Dataset, evaluations: Mapping[str, Evaluation]) -> Iterator[tuple[str, Image.Image]]:
    """For the telling test pictures: why, and the truth, then what every model found, side by side."""
    first = next(iter(evaluations.values()))
    for place, why in _telling(evaluations).items():
        index = first.indices[place]
        try:
            image = data[index].image
        except DataError:
            continue
        drawn = [titled(shrunk(draw_objects(image, first.truths[place], data.classes), TILE), "truth")]
        for name, evaluation in evaluations.items():
            found = evaluation.predictions[evaluation.indices.index(index)]
            drawn.append(titled(shrunk(draw_detections(image, found, data.classes), TILE), name))
        yield why, contact_sheet(drawn, columns=min(len(drawn), 4), tile=2 * TILE)


def _three(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _nan(value: float | None) -> float:
    return float("nan") if value is None else value
