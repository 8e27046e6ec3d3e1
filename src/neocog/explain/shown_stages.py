"""The stages of a detector's answer as pictures."""

from __future__ import annotations

from typing import Any

import torch
from PIL.Image import Image

from neocog.explain.stages import Stage, stages
from neocog.explain.subject import Choices, Shown, Subject
from neocog.pictures.draw import draw_detections
from neocog.pictures.stages import draw_boxes
from neocog.types import Detections


def shown_stages(subject: Subject, choices: Choices) -> list[Shown]:
    """A picture for each stage; the last, the answer, has classes and scores."""
    found = stages(subject.model, subject.batch, choices.conf)
    return [
        Shown(stage.name, stage.caption, _drawn(subject, stage, stage is found[-1]), _record(subject, stage))
        for stage in found
    ]


def _drawn(subject: Subject, stage: Stage, named: bool) -> Image:
    """The stage over the picture as it is; `named`: with classes and scores, as an answer is drawn."""
    frame, labels = subject.frame, stage.labels
    if named and labels is not None:
        answer = Detections(frame.to_original(stage.boxes), stage.scores, labels)
        return draw_detections(subject.pixels, answer, subject.classes, threshold=0.0)
    heat, extent = None, []
    if stage.heat is not None:
        heat = stage.heat.values.numpy()
        covered = torch.tensor([[0.0, 0.0, stage.heat.extent[1], stage.heat.extent[0]]])
        extent = frame.from_input(covered)[0].tolist()
    boxes = frame.from_input(stage.boxes).numpy()
    return draw_boxes(
        subject.pixels, boxes, stage.scores.numpy(), None if labels is None else labels.numpy(), heat, extent
    )


def _record(subject: Subject, stage: Stage) -> dict[str, Any]:
    """The stage as plain values, boxes in pixels of the picture."""
    shown = zip(subject.frame.from_input(stage.boxes).tolist(), stage.scores.tolist(), strict=True)
    boxes: list[dict[str, Any]] = [{"box": box, "score": score} for box, score in shown]
    if stage.labels is not None:
        for record, label in zip(boxes, stage.labels.tolist(), strict=True):
            record["name"] = subject.classes[label]
    return {"boxes": stage.total, "shown": boxes}
