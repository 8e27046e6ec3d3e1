"""How answers are shown to people: on their pictures, and in a report, by task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image

from neocog.data.dataset import Dataset, MaskDataset
from neocog.evaluate import Evaluation
from neocog.metrics.slices import by_crowd, by_size
from neocog.pictures.answers import draw_class, draw_localization, draw_mask
from neocog.pictures.axes import Axis
from neocog.pictures.charts import Curve, bar_chart, line_chart, precision_recall_chart
from neocog.pictures.draw import draw_detections, draw_objects, enlarged
from neocog.pictures.matrix import confusion_chart
from neocog.pictures.report import Page
from neocog.predictions import prediction_of
from neocog.types import Task

SAMPLES = 8
"""Pictures of a split that are drawn."""

Evaluations = Mapping[str, Evaluation]
"""What several models achieve on the same pictures, by the model's name."""


def spaced(count: int, wanted: int) -> list[int]:
    """Up to `wanted` indices spread evenly over `count`."""
    wanted = min(count, wanted)
    return [place * count // wanted for place in range(wanted)]


def as_number(value: float | None) -> float:
    """For charts: what is absent is not a number."""
    return float("nan") if value is None else value


class Shower(Protocol):
    """How one task's truths and answers are shown."""

    def truth(self, data: Any, evaluation: Evaluation, place: int, image: np.ndarray) -> Image.Image:
        """The picture (H, W, 3) with what is true of it; `place` counts the images judged."""

    def answer(self, data: Dataset, evaluation: Evaluation, place: int, image: np.ndarray) -> Image.Image:
        """The picture with what the model says of it."""

    def add_details(self, page: Page, evaluation: Evaluation) -> None:
        """Figures on one model."""

    def add_differences(self, page: Page, evaluations: Evaluations) -> None:
        """Figures on where models differ."""

    def telling(self, evaluations: Evaluations) -> dict[int, str]:
        """Pictures that tell models apart, and why: their places among the images judged."""


class Detecting:
    """Boxes, average precision."""

    def truth(self, data: Dataset, evaluation: Evaluation, place: int, image: np.ndarray) -> Image.Image:
        return draw_objects(image, evaluation.result.truths[place], data.classes)

    def answer(self, data: Dataset, evaluation: Evaluation, place: int, image: np.ndarray) -> Image.Image:
        return draw_detections(image, evaluation.answers[place], data.classes)

    def add_details(self, page: Page, evaluation: Evaluation) -> None:
        page.figure(
            precision_recall_chart("Precision against recall, IoU 0.5", evaluation.result.voc.classes),
            "Precision against recall of each class at IoU 0.5",
        )

    def add_differences(self, page: Page, evaluations: Evaluations) -> None:
        """Small objects, crowded pictures: one curve a model over the thirds of the test set."""
        parts = (
            ("Small and large objects", by_size, "median side of a third of the objects (pixels)"),
            (
                "Sparse and crowded pictures",
                by_crowd,
                "objects in a picture, median of a third of the pictures",
            ),
        )
        page.heading("Small objects and crowded pictures")
        for title, cut, across in parts:
            curves = []
            for name, one in evaluations.items():
                names = [voc.name for voc in one.result.voc.classes]
                slices = cut(one.result.truths, one.answers, names)
                curves.append(Curve(name, [s.middle for s in slices], [as_number(s.voc_map) for s in slices]))
            page.figure(
                line_chart(title, curves, Axis(across), Axis("VOC AP50", lower=0, upper=1)),
                f"VOC AP50 of each model: {title.lower()}",
            )
        add_class_bars(page, evaluations, "voc_ap50", "VOC AP50")

    def telling(self, evaluations: Evaluations) -> dict[int, str]:
        truths = next(iter(evaluations.values())).result.truths
        full = [place for place, truth in enumerate(truths) if len(truth)]
        if not full:
            return dict.fromkeys(spaced(len(truths), SAMPLES), "no objects")
        found = np.array(
            [
                [int((one.answers[place].scores >= 0.5).sum()) for place in full]
                for one in evaluations.values()
            ]
        )
        spread = found.max(axis=0) - found.min(axis=0)
        smallest = [
            float((t.boxes[:, 2:] - t.boxes[:, :2]).prod(1).median()) for t in (truths[p] for p in full)
        ]
        reasons = {
            "the most objects": np.argsort([-len(truths[place]) for place in full], kind="stable"),
            "the smallest objects": np.argsort(smallest, kind="stable"),
        }
        if spread.any():
            reasons["the models disagree most"] = np.argsort(-spread, kind="stable")
        return chosen({why: [full[index] for index in order] for why, order in reasons.items()}, len(truths))


class Segmenting:
    """Every class in its colour over the picture."""

    def truth(self, data: MaskDataset, evaluation: Evaluation, place: int, image: np.ndarray) -> Image.Image:
        return draw_mask(image, data.mask(evaluation.indices[place]), data.classes)

    def answer(self, data: Dataset, evaluation: Evaluation, place: int, image: np.ndarray) -> Image.Image:
        return draw_mask(image, evaluation.answers[place].labels(), data.classes)

    def add_details(self, page: Page, evaluation: Evaluation) -> None:
        result = evaluation.result
        page.figure(
            confusion_chart("Which class is taken for which", result.confusion, result.classes, "pixels"),
            "Confusion matrix: a row a true class, a column an answer, shares of the row's pixels",
        )

    def add_differences(self, page: Page, evaluations: Evaluations) -> None:
        add_class_bars(page, evaluations, "iou", "IoU")
        add_class_bars(page, evaluations, "boundary_f1", "Boundary F1")

    def telling(self, evaluations: Evaluations) -> dict[int, str]:
        first = next(iter(evaluations.values()))
        rights = np.array([[one.right for one in each.answers] for each in evaluations.values()])
        reasons = {
            "the models differ most": np.argsort(rights.min(0) - rights.max(0), kind="stable").tolist(),
            "the hardest for all": np.argsort(rights.mean(0), kind="stable").tolist(),
        }
        return chosen(reasons, first.images)


class Classifying:
    """A label a picture, a confusion matrix."""

    def truth(self, data: Dataset, evaluation: Evaluation, place: int, image: np.ndarray) -> Image.Image:
        label = int(data.objects(evaluation.indices[place]).labels[0])
        return draw_class(image, data.classes[label])

    def answer(self, data: Dataset, evaluation: Evaluation, place: int, image: np.ndarray) -> Image.Image:
        return prediction_of(evaluation.answers[place], data.classes).draw(image)

    def add_details(self, page: Page, evaluation: Evaluation) -> None:
        result = evaluation.result
        page.figure(
            confusion_chart("Which class is taken for which", result.confusion, result.classes),
            "Confusion matrix: a row a true class, a column an answer, shares of the row",
        )

    def add_differences(self, page: Page, evaluations: Evaluations) -> None:
        add_class_bars(page, evaluations, "recall", "Recall")

    def telling(self, evaluations: Evaluations) -> dict[int, str]:
        first = next(iter(evaluations.values()))
        named = np.array([[answer.label for answer in one.answers] for one in evaluations.values()])
        sure = np.array([[float(a.scores.max()) for a in one.answers] for one in evaluations.values()])
        split = (named != named[0]).any(axis=0)
        reasons = {
            "the models disagree": [place for place in np.argsort(-sure.min(0)).tolist() if split[place]],
            "the least sure answers": np.argsort(sure.mean(0), kind="stable").tolist(),
        }
        return chosen(reasons, first.images)


class Reconstructing:
    """A picture, and the one made of its code."""

    def truth(self, data: Dataset, evaluation: Evaluation, place: int, image: np.ndarray) -> Image.Image:
        return enlarged(image)[0]

    def answer(self, data: Dataset, evaluation: Evaluation, place: int, image: np.ndarray) -> Image.Image:
        return enlarged(evaluation.answers[place])[0]

    def add_details(self, page: Page, evaluation: Evaluation) -> None:
        """The numbers of each kind of sequence say it all."""

    def add_differences(self, page: Page, evaluations: Evaluations) -> None:
        """There is one model of this task."""

    def telling(self, evaluations: Evaluations) -> dict[int, str]:
        errors = next(iter(evaluations.values())).result.errors
        return chosen({"the worst": np.argsort(-errors, kind="stable").tolist()}, len(errors))


class Localizing:
    """One box and a class a picture."""

    def truth(self, data: Dataset, evaluation: Evaluation, place: int, image: np.ndarray) -> Image.Image:
        return draw_objects(image, data.objects(evaluation.indices[place]), data.classes)

    def answer(self, data: Dataset, evaluation: Evaluation, place: int, image: np.ndarray) -> Image.Image:
        return draw_localization(image, evaluation.answers[place], data.classes)

    def add_details(self, page: Page, evaluation: Evaluation) -> None:
        """The numbers of each class say it all."""

    def add_differences(self, page: Page, evaluations: Evaluations) -> None:
        add_class_bars(page, evaluations, "localization_accuracy", "Localization accuracy")

    def telling(self, evaluations: Evaluations) -> dict[int, str]:
        first = next(iter(evaluations.values()))
        boxes = torch.stack([torch.stack([a.box for a in one.answers]) for one in evaluations.values()])
        apart = (boxes - boxes.mean(0)).abs().mean(dim=(0, 2)).numpy()
        reasons = {"the boxes lie farthest apart": np.argsort(-apart, kind="stable").tolist()}
        return chosen(reasons if len(evaluations) > 1 else {}, first.images)


def chosen(reasons: Mapping[str, list[int]], count: int) -> dict[int, str]:
    """The first two places that each reason names and none before it, and others spread over all `count`."""
    telling: dict[int, str] = {}
    for why, order in reasons.items():
        for place in [place for place in order if place not in telling][:2]:
            telling[place] = why
    for place in spaced(count, SAMPLES):
        if len(telling) < SAMPLES:
            telling.setdefault(place, "one of all")
    return telling


def add_class_bars(page: Page, evaluations: Evaluations, key: str, heading: str) -> None:
    """A bar chart a model of one number of each class."""
    page.heading(f"{heading} of each class")
    for name, evaluation in evaluations.items():
        values = {one: numbers[key] for one, numbers in evaluation.result.per_class().items()}
        page.figure(
            bar_chart(name, values, Axis(heading, lower=0, upper=1)), f"{heading} of each class: {name}"
        )


SHOWN: dict[Task, Shower] = {
    Task.DETECT: Detecting(),
    Task.SEGMENT: Segmenting(),
    Task.CLASSIFY: Classifying(),
    Task.LOCALIZE: Localizing(),
    Task.RECONSTRUCT: Reconstructing(),
}
"""Every task's own way."""
