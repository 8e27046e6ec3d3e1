"""The page that `neocog proposals` leaves: recall against the number of proposals, and pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from neocog.data.dataset import Dataset
from neocog.errors import DataError
from neocog.metrics.proposals import RecallResult
from neocog.ops.boxes import iou
from neocog.pictures.axes import Axis
from neocog.pictures.charts import Curve, bar_chart, line_chart
from neocog.pictures.draw import draw_detections, draw_objects, side_by_side
from neocog.pictures.report import Page, write_page
from neocog.showing import SAMPLES, spaced
from neocog.types import Detections, Objects, Proposals


def write_report(
    path: Path,
    data: Dataset,
    indices: Sequence[int],
    proposals: Sequence[Proposals],
    result: RecallResult,
    document: dict[str, Any],
) -> None:
    """Write the page. Raises DiskError."""
    options = document["options"]
    page = Page(
        f"Selective search: {data.name}",
        f"{result.images} images of the split {data.split}, {result.objects} objects; "
        f"mode {options['mode']}, at most {options['longest']} px a side, "
        f"at most {options['most']} boxes an image.",
    )
    page.numbers(
        {
            "recall at 0.5": _three(result.recall[0, -1]),
            "recall at 0.7": _three(result.recall[2, -1]),
            "MABO": _three(result.mabo[-1]),
            "boxes an image": f"{result.proposals:.0f}",
            "ms an image": f"{document['ms_per_image']:.0f}",
        }
    )
    _add_curves(page, result)
    page.heading("Pictures")
    page.paragraph("For each object the proposal that overlaps it most, with that overlap.")
    for name, picture in _pictures(data, indices, proposals):
        page.figure(picture, f"{name}: the truth beside the best proposals", name)
    write_page(path, page.render())


def _add_curves(page: Page, result: RecallResult) -> None:
    from neocog.cli.proposals import table

    page.heading("Recall against the number of proposals")
    page.figure(recall_chart(result), "Share of objects found by the first N proposals, at five overlaps")
    headings, rows = table(result)
    page.table("What the first proposals of every image cover", headings, [[str(c) for c in r] for r in rows])
    if result.best_overlap:
        overlaps = {name: float(values[-1]) for name, values in result.best_overlap.items()}
        page.heading("Best overlap by class")
        page.figure(
            bar_chart("Mean best overlap of all proposals", overlaps, Axis("overlap", lower=0, upper=1)),
            "Mean best overlap of every class",
        )


def recall_chart(result: RecallResult) -> str:
    """Recall against the number of proposals, a curve for each overlap."""
    curves = [
        Curve(f"overlap {threshold:g}", result.counts, row)
        for threshold, row in zip(result.thresholds, result.recall, strict=True)
    ]
    return line_chart(
        "Recall",
        curves,
        Axis("proposals an image", log=True),
        Axis("share of objects found", lower=0, upper=1),
    )


def best_proposals(objects: Objects, proposals: Proposals) -> Detections:
    """For each object that counts the proposal that overlaps it most, with the overlap as its score."""
    objects = objects[~objects.ignore]
    if not len(objects) or not len(proposals):
        return Detections.empty()
    overlap, place = iou(objects.boxes, proposals.boxes).max(1)
    order = overlap.argsort(descending=True, stable=True)
    return Detections(proposals.boxes[place[order]], overlap[order], objects.labels[order])


def _pictures(
    data: Dataset, indices: Sequence[int], proposals: Sequence[Proposals]
) -> Iterator[tuple[str, Image.Image]]:
    for place in spaced(len(indices), SAMPLES):
        try:
            image = data[indices[place]].image
        except DataError:
            continue  # it was readable a moment ago; a picture for people is not worth stopping for
        truth = data.objects(indices[place])
        best = best_proposals(truth, proposals[place])
        drawn = draw_detections(image, best, data.classes, threshold=0)
        titles = ("truth", f"best of {len(proposals[place])} proposals")
        yield (
            data.identity(indices[place]),
            side_by_side(draw_objects(image, truth, data.classes), drawn, titles),
        )


def _three(value: float) -> str:
    return "–" if value != value else f"{value:.3f}"
