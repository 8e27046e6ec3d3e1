"""Tables that several verbs print."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TextIO

from neocog.cli.common import print_table

if TYPE_CHECKING:
    from neocog.data.dataset import Dataset
    from neocog.evaluate import Evaluation
    from neocog.run import Run


def print_data(data: Dataset, file: TextIO) -> None:
    """What was opened, and what of it was lost, or is ignored."""
    from neocog.data.unseen import Ignoring

    many = ", ".join(data.classes[:10]) + (", ..." if len(data.classes) > 10 else "")
    print(f"{data.name} ({data.format}), split {data.split}: {len(data)} images; classes: {many}", file=file)
    report = getattr(data, "report", None)
    if isinstance(data, Ignoring):
        print(f"  {data.line()}", file=file)
    for line in [] if report is None else report.lines():
        print(f"  {line}", file=file)


def print_left_out(run: Run, file: TextIO) -> None:
    """The pictures that a training or its validations could not read: only decoding shows them."""
    validated = () if run.evaluation is None else run.evaluation.faults
    for line in dict.fromkeys([*run.loader.faults, *validated]):
        print(f"  {line} (file left out)", file=file)


def print_evaluation(evaluation: Evaluation, file: TextIO) -> None:
    """The metrics of a detector, per class and in the mean, and the time an image."""
    result = evaluation.to_dict()
    rows = [
        [name, values["objects"], *_three(values["voc_ap50"], values["voc07_ap50"], values["coco_ap"])]
        for name, values in result["per_class"].items()
    ]
    metrics = result["metrics"]
    total = sum(values["objects"] for values in result["per_class"].values())
    means = _three(metrics["voc_map50"], metrics["voc07_map50"], metrics["coco_ap"])
    rows.append(["all (mean)", total, *means])
    title = f"{evaluation.data}, split {evaluation.split}, {evaluation.images} images"
    print_table(["class", "objects", "VOC AP50", "VOC07 AP50", "COCO AP"], rows, title=title, file=file)
    if evaluation.zero_shot is not None:
        print_zero_shot(metrics, file)
    ms = result["ms_per_image"]
    search = "" if ms["proposals"] is None else f"proposals {ms['proposals']:.1f}, "
    parts = f"{search}network {ms['network']:.1f}, decode {ms['decode']:.1f}"
    print(f"{ms['total']:.1f} ms an image: {parts}", file=file)


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
    headings = [
        "model",
        "backbone",
        "params M",
        "GFLOPs",
        "steps",
        "VOC AP50",
        "+-",
        "COCO AP",
        "ms/image",
        "proposals",
        "network",
        "decode",
    ]
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
                *_three(
                    metrics["voc_map50"]["mean"], metrics["voc_map50"]["std"], metrics["coco_ap"]["mean"]
                ),
                ms["total"],
                "-" if ms["proposals"] is None else ms["proposals"],
                ms["network"],
                ms["decode"],
            ]
        )
        if faster:
            rows[-1] += [row["speedup_over_rcnn"][name] for name in ("with_proposals", "without_proposals")]
    return headings, rows
