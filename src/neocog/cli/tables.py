"""Tables that several verbs print."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TextIO

from neocog.cli.common import print_table

if TYPE_CHECKING:
    from neocog.data.dataset import Dataset
    from neocog.evaluate import Evaluation
    from neocog.judging import Column
    from neocog.run import Run


def print_data(data: Dataset, file: TextIO) -> None:
    """What was opened, and what of it was lost, or is ignored."""
    from neocog.data.main_object import MainObject
    from neocog.data.unseen import Ignoring

    many = ", ".join(data.classes[:10]) + (", ..." if len(data.classes) > 10 else "")
    print(f"{data.name} ({data.format}), split {data.split}: {len(data)} images; classes: {many}", file=file)
    report = getattr(data, "report", None)
    if isinstance(data, Ignoring | MainObject):
        print(f"  {data.line()}", file=file)
    for line in [] if report is None else report.lines():
        print(f"  {line}", file=file)


def print_left_out(run: Run, file: TextIO) -> None:
    """The pictures that a training or its validations could not read: only decoding shows them."""
    validated = () if run.evaluation is None else run.evaluation.faults
    for line in dict.fromkeys([*run.loader.faults, *validated]):
        print(f"  {line} (file left out)", file=file)


def print_evaluation(evaluation: Evaluation, file: TextIO) -> None:
    """The metrics of a model, per class and in the mean, and the time an image."""
    from neocog.judging import TASKS

    result, entry = evaluation.to_dict(), TASKS[evaluation.task]
    metrics = result["metrics"]
    rows = [
        [name, *(_cell(values[column.key]) for column in entry.per_class)]
        for name, values in result["per_class"].items()
    ]
    rows.append(["all (mean)", *(_cell(_overall(column, result)) for column in entry.per_class)])
    title = f"{evaluation.data}, split {evaluation.split}, {evaluation.images} images"
    print_table(["class", *(column.heading for column in entry.per_class)], rows, title=title, file=file)
    overall = {column.over_all for column in entry.per_class}
    others = [f"{heading} {_cell(metrics[key])}" for key, heading, _ in entry.shown if key not in overall]
    if others:
        print("   ".join(others), file=file)
    if "gzsd_harmonic_map50" in metrics:
        print_zero_shot(metrics, file)
    ms = result["ms_per_image"]
    search = "" if ms["proposals"] is None else f"proposals {ms['proposals']:.1f}, "
    parts = f"{search}network {ms['network']:.1f}, decode {ms['decode']:.1f}"
    print(f"{ms['total']:.1f} ms an image: {parts}", file=file)


def _overall(column: Column, result: dict[str, Any]) -> float | int | str | None:
    """The last cell of a column: a sum, a metric, or nothing."""
    from neocog.judging import SUM

    if column.over_all == SUM:
        return sum(int(values[column.key]) for values in result["per_class"].values())
    if not column.over_all:
        return ""
    metric: float | None = result["metrics"][column.over_all]
    return metric


def _cell(value: float | int | str | None) -> str | int:
    """A count or a text as it is, a metric with three decimals."""
    return value if isinstance(value, int | str) else _three(value)[0]


def print_zero_shot(metrics: dict[str, float | None], file: TextIO) -> None:
    """Seen and unseen classes, where only they can be predicted and where all can."""
    rows = [
        [label, *(_three(*(metrics[f"{kind}_{name}"] for name in ("map50", "recall100", "mean_recall100"))))]
        for label, kind in (
            ("only seen classes", "seen"),
            ("only unseen classes", "unseen"),
            ("all classes: seen", "gzsd_seen"),
            ("all classes: unseen", "gzsd_unseen"),
            ("all classes: harmonic mean", "gzsd_harmonic"),
        )
    ]
    print_table(["can be predicted", "VOC mAP50", "Recall@100", "mean of classes"], rows, file=file)


def _three(*values: float | None) -> list[str]:
    """Average precisions, with three decimals."""
    return ["-" if value is None else f"{value:.3f}" for value in values]


def comparison_rows(table: dict[str, Any]) -> tuple[list[str], list[list[object]]]:
    """Headings and rows of `compare.json`."""
    from neocog.judging import TASKS
    from neocog.types import Task

    (first, heading, _), *others = TASKS[Task(table["task"])].shown
    headings = ["model", "backbone", "params M", "GFLOPs", "steps", heading, "+-"]
    headings += [other.heading for other in others]
    headings += ["ms/image", "proposals", "network", "decode"]
    faster = any(row["speedup_over_rcnn"]["with_proposals"] for row in table["rows"])
    headings += ["x R-CNN", "without proposals"] if faster else []
    rows: list[list[object]] = []
    for row in table["rows"]:
        metrics, ms = row["metrics"], row["ms_per_image"]
        rows.append(
            [
                row["model"],
                row["backbone"],
                row["parameters"] / 1e6,
                row["gflops"],
                row["steps"],
                *_three(metrics[first]["mean"], metrics[first]["std"]),
                *_three(*(metrics[other.key]["mean"] for other in others)),
                ms["total"],
                "-" if ms["proposals"] is None else ms["proposals"],
                ms["network"],
                ms["decode"],
            ]
        )
        if faster:
            rows[-1] += [row["speedup_over_rcnn"][name] for name in ("with_proposals", "without_proposals")]
    return headings, rows
