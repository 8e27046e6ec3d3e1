"""Every way of looking inside, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from neocog.errors import UsageError
from neocog.explain.deconvnet import deconvnet, guided
from neocog.explain.features import features, filters
from neocog.explain.gradcam import gradcam
from neocog.explain.heatmap import heatmap
from neocog.explain.invariance import invariance
from neocog.explain.occlusion import occlusion
from neocog.explain.scores import SCORED
from neocog.explain.shown_stages import shown_stages
from neocog.explain.subject import Choices, Shown, Subject
from neocog.explain.units import units
from neocog.types import Task


@dataclass(frozen=True, slots=True)
class Method:
    """A way of looking inside, and the tasks of the models that it suits."""

    explain: Callable[[Subject, Choices], list[Shown]]
    tasks: tuple[Task, ...]
    summary: str


EVERY = tuple(Task)
"""What has a backbone: all tasks."""

METHODS: Mapping[str, Method] = {
    "stages": Method(shown_stages, (Task.DETECT,), "anchors or cells, proposals, scores, suppression"),
    "features": Method(features, EVERY, "the maps of the backbone"),
    "filters": Method(filters, EVERY, "the weights of its convolutions"),
    "deconvnet": Method(deconvnet, EVERY, "units projected back to pixels"),
    "guided": Method(guided, EVERY, "the same by guided back-propagation"),
    "gradcam": Method(gradcam, SCORED, "which cells raise a score"),
    "occlusion": Method(occlusion, SCORED, "what hiding a part costs"),
    "invariance": Method(invariance, EVERY, "the change of maps under shifts"),
    "units": Method(units, (Task.RECONSTRUCT,), "the picture drawn again while one unit of its code moves"),
    "heatmap": Method(heatmap, (Task.CLASSIFY,), "a class over a larger picture"),
}


def explained(subject: Subject, method: str, choices: Choices) -> list[Shown]:
    """The pictures of one method. Raises UsageError for one that does not suit the model."""
    require_suits(method, subject.model.task)
    return METHODS[method].explain(subject, choices)


def require_suits(method: str, task: Task) -> None:
    """Raise UsageError, naming what suits, unless the method suits models of this task."""
    if task not in METHODS[method].tasks:
        suits = [name for name, one in METHODS.items() if task in one.tasks]
        raise UsageError(
            f"--method {method} does not suit a model of the task '{task.value}': {', '.join(suits)} would"
        )
