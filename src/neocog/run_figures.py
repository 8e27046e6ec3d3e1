"""The figures of trained models: what each is drawn from, and what is trained where nothing is given.

`RUN_FIGURES["heat-map"].draw(Path("runs/first"))` gives a figure as those of `neocog.pictures.figures` do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Annotated, NamedTuple, TypeVar

import numpy as np
from pydantic import Field, TypeAdapter

from neocog.data.open import open_data
from neocog.data.scenes import Scenes
from neocog.errors import CheckpointError
from neocog.explain.heatmap import Sliding, class_map, heat_over, log_odds, peak
from neocog.metrics.segmentation import record
from neocog.pictures.figure import Still
from neocog.pictures.figures import trained
from neocog.predict import load
from neocog.run_folder import DESCRIPTION
from neocog.trials import run_of
from neocog.types import Sample, Task
from neocog.weights import MOST_DOCUMENT, read_file

LOOKED_THROUGH = 24
"""Test pictures among which that one is shown on which the models differ most."""

COMPARISON = "compare.json"

T = TypeVar("T")

Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""What a bar can show."""


class RunEntry(NamedTuple):
    """A figure that is drawn from a run's folder, or from that of a comparison."""

    draw: Callable[[Path], Still]
    """From that folder. Raises CheckpointError where it is not what the figure needs."""
    title: str
    """In a few words, what the figure is about."""
    needs: str
    """What kind of folder."""
    models: tuple[str, ...]
    """Those that are trained where no folder is given; several are compared."""
    data: str
    """What they learn from."""
    minutes: float
    """Of training for each."""

    @property
    def name(self) -> str:
        """Of the figure and its files."""
        return self.draw.__name__.replace("_", "-")

    @property
    def compares(self) -> bool:
        """Whether it is drawn from a comparison."""
        return len(self.models) > 1


def heat_map(source: Path) -> Still:
    """A classifier of scenes on one twice as large as those it learnt from."""
    predictor = load(source, precision="f32")
    data = Scenes("std", "test", size=2 * max(predictor.size))
    if predictor.task is not Task.CLASSIFY or predictor.classes != data.classes:
        raise CheckpointError(
            f"{source}: is no classifier of scenes; "
            "neocog train compact --data scenes:single --out DIR makes one"
        )
    index = next(place for place in count() if _tells(data.objects(place).labels.tolist()))
    image, objects = data[index].image, data.objects(index)
    sliding = Sliding(predictor.model)
    pixels, logits = sliding(image)
    label = max(objects.labels.tolist(), key=lambda one: float(log_odds(logits, one).max()))
    where = sliding.stride, sliding.offset
    return trained.heat_map(
        trained.Heat(
            image=pixels,
            learnt=max(predictor.size),
            name=data.classes[label],
            boxes=objects.boxes[objects.labels == label].numpy(),
            cells=class_map(logits, label).numpy(),
            heat=heat_over(logits, label, *where, pixels.shape[:2]).numpy(),
            peak=peak(logits, label, *where),
            stride=sliding.stride,
            offset=sliding.offset,
        )
    )


def _tells(labels: list[int]) -> bool:
    """Whether a scene has three objects or more, no two of one class: one place is right, others are not."""
    return len(set(labels)) == len(labels) >= 3


def rcnn_table(source: Path) -> Still:
    """The rows of a comparison of detectors."""
    file, table = _comparison(source, Task.DETECT, "neocog compare --task detect")
    rows = [
        trained.Measured(
            model=row.model,
            ap50=row.metrics["voc_map50"].mean,
            ap=row.metrics["coco_ap"].mean,
            ms=row.ms_per_image.total,
            searching=row.ms_per_image.proposals,
            parameters=row.parameters,
            seconds=row.train_seconds,
        )
        for row in table.rows
        if {"voc_map50", "coco_ap"} <= row.metrics.keys()
    ]
    if not rows:
        raise CheckpointError(f"{file}: no row with an average precision")
    return trained.rcnn_table(rows, f"{table.data.name}, {table.data.images} {table.data.split} pictures")


def fcn_variants(source: Path) -> Still:
    """FCN-32s, 16s and 8s on one picture, and their measures."""
    return _segmented("fcn-variants", source, [("fcn-32s",), ("fcn-16s",), ("fcn-8s",)])


def fcn_against_deconvnet(source: Path) -> Still:
    """The finest FCN of a comparison beside its DeconvNet."""
    return _segmented("fcn-against-deconvnet", source, [("fcn-8s", "fcn-16s", "fcn-32s"), ("deconvnet",)])


RUN_FIGURES = {
    entry.name: entry
    for entry in (
        RunEntry(
            rcnn_table,
            "what each step from R-CNN on brought, in accuracy and time",
            "a comparison of detectors",
            ("r-cnn", "fast-rcnn", "faster-rcnn", "r-fcn"),
            "scenes",
            3.0,
        ),
        RunEntry(
            heat_map,
            "where a classifier sees a class in a larger picture",
            "a run of a classifier on scenes:single",
            ("compact",),
            "scenes:single",
            3.0,
        ),
        RunEntry(
            fcn_variants,
            "what finer maps add to a fully convolutional network",
            "a comparison of fcn-32s, fcn-16s and fcn-8s",
            ("fcn-32s", "fcn-16s", "fcn-8s"),
            "scenes",
            3.0,
        ),
        RunEntry(
            fcn_against_deconvnet,
            "boundaries of a fully convolutional network and of DeconvNet",
            "a comparison of an FCN and deconvnet",
            ("fcn-8s", "deconvnet"),
            "scenes",
            15.0,  # DeconvNet's plateau is long
        ),
    )
}


@dataclass(frozen=True)
class _Mean:
    mean: Amount | None


@dataclass(frozen=True)
class _Times:
    total: Annotated[Amount, Field(gt=0)]
    proposals: Amount | None


@dataclass(frozen=True)
class _Row:
    model: str
    backbone: str
    seeds: Annotated[list[int], Field(min_length=1)]
    parameters: int
    train_seconds: Amount
    metrics: dict[str, _Mean]
    ms_per_image: _Times


@dataclass(frozen=True)
class _Tested:
    name: str
    split: str
    images: int


@dataclass(frozen=True)
class _Table:
    """What is read of a `compare.json`."""

    task: Task
    data: _Tested
    rows: list[_Row]


@dataclass(frozen=True)
class _Options:
    data: str
    ignore_label: int | None = None


@dataclass(frozen=True)
class _Run:
    """What is read of a `run.json`."""

    options: _Options


def _read(file: Path, kind: type[T], remedy: str) -> T:
    """A JSON file as this dataclass. Raises CheckpointError."""
    if not file.is_file():
        raise CheckpointError(f"{file}: is not there; {remedy}")
    try:
        return TypeAdapter(kind).validate_json(read_file(file, MOST_DOCUMENT))
    except ValueError as error:  # pydantic's
        raise CheckpointError(f"{file}: damaged, or not a file of ours; {remedy}") from error


def _comparison(source: Path, task: Task, command: str) -> tuple[Path, _Table]:
    """The table of a comparison, from its folder or file, which must be of this task."""
    file, remedy = source if source.is_file() else source / COMPARISON, f"{command} --out DIR makes one"
    table = _read(file, _Table, remedy)
    if table.task is not task:
        raise CheckpointError(f"{file}: compares models that {table.task.value}, not {task.value}; {remedy}")
    return file, table


def _segmented(name: str, source: Path, wanted: Sequence[tuple[str, ...]]) -> Still:
    """Answers of models of a comparison: for each of `wanted` the first of those names that it holds."""
    command = f"neocog compare {' '.join(names[0] for names in wanted)}"
    file, table = _comparison(source, Task.SEGMENT, command)
    rows = [next((row for one in names for row in table.rows if row.model == one), None) for names in wanted]
    if None in rows:
        missing = wanted[rows.index(None)][0]
        raise CheckpointError(f"{file}: has no row of {missing}; {command} --out DIR makes one")
    found = [row for row in rows if row is not None]
    folders = [run_of(file.parent, row.model, row.backbone, row.seeds[0]) for row in found]
    models = [load(folder) for folder in folders]
    options = _read(folders[0] / DESCRIPTION, _Run, "train it again").options
    data = open_data(options.data, table.data.split, task=Task.SEGMENT, ignore_label=options.ignore_label)
    samples = [data[index] for index in range(min(len(data), LOOKED_THROUGH))]
    masks = [[model.predict(sample.image).mask for model in models] for sample in samples]
    apart = [_difference(sample, each) for sample, each in zip(samples, masks, strict=True)]
    shown = int(np.argmax(apart))
    image, truth = samples[shown].image, samples[shown].mask
    assert truth is not None  # the task of the data
    answers = []
    for row, mask in zip(found, masks[shown], strict=True):
        f1 = record(truth, mask, len(data.classes)).boundary_f1
        over_all = [row.metrics.get(key, _Mean(None)).mean for key in ("boundary_f1", "mean_iou")]
        answers.append(trained.Answered(row.model, mask, float(f1.mean()) if len(f1) else None, *over_all))
    return trained.segmentation_table(name, image, truth, data.classes, answers, table.data.images)


def _difference(sample: Sample, masks: Sequence[np.ndarray]) -> float:
    """By what share of the pixels the best of these masks of a picture is better than the worst."""
    right = [float((mask == sample.mask).mean()) for mask in masks]
    return max(right) - min(right)
