"""What runs left: who they are, how their training went, what was measured, what they answered."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel

from neocog.explain.methods import METHODS
from neocog.judging import TASKS
from neocog.lab.guard import Refusal
from neocog.lab.runs import MOST_LINES, Run, Runs
from neocog.types import Task

router = APIRouter(tags=["runs"])


class Known(BaseModel):
    """A run, by the id that it has while the server runs."""

    id: str
    name: str
    model: str
    task: str
    classes: list[str]
    methods: list[str]
    """Ways of looking inside that suit it."""
    samples: int
    """How many pictures of truth beside prediction it left."""
    here: bool
    """Whether it is trained here when it is first asked, and has no records."""


class Lines(BaseModel):
    """Lines of a log."""

    lines: list[dict[str, Any]]
    next: int
    """What to ask for as `after` the next time."""
    whole: bool
    """Whether they replace what was given before: the log was cut since."""


class Compared(BaseModel):
    """A comparison: what `compare.json` says, and which of its metrics matter most, with their headings."""

    name: str
    task: str
    columns: list[tuple[str, str]]
    rows: list[dict[str, Any]]


def runs_of(request: Request) -> Runs:
    """The runs of the server that was asked."""
    runs: Runs = request.app.state.runs
    return runs


@router.get("/runs")
def runs(request: Request) -> list[Known]:
    """The runs that the lab was started with, and one that is trained here."""
    return [_known(run) for run in runs_of(request)]


def _known(run: Run) -> Known:
    suits = [name for name, method in METHODS.items() if run.task in [one.value for one in method.tasks]]
    return Known(
        id=run.id,
        name=run.name,
        model=run.model,
        task=run.task,
        classes=list(run.classes),
        methods=suits,
        samples=len(run.samples()),
        here=run.folder is None,
    )


@router.get("/runs/{run}/curves")
def curves(run: str, request: Request, after: Annotated[int, Query(ge=0)] = 0) -> Lines:
    """The lines of its `metrics.jsonl` beyond the first so many: losses, and validations.

    Of very many losses every second, third, ... is given; of validations all.
    """
    end, lines = runs_of(request)[run].lines("metrics.jsonl", after)
    losses = [place for place, line in enumerate(lines) if "losses" in line]
    kept = set(losses[:: 1 + len(losses) // MOST_LINES])
    thinned = [line for place, line in enumerate(lines) if "losses" not in line or place in kept]
    return Lines(lines=thinned, next=end, whole=after == 0 or after > end)


@router.get("/runs/{run}/evaluation")
def evaluation(run: str, request: Request) -> dict[str, Any] | None:
    """Its `evaluation.json`, if it has one."""
    return runs_of(request)[run].document("evaluation.json")


@router.get(
    "/runs/{run}/samples/{number}", response_class=Response, responses={200: {"content": {"image/png": {}}}}
)
def sample(run: str, request: Request, number: Annotated[int, Path(ge=0)]) -> Response:
    """One of its pictures of truth beside prediction, as a PNG."""
    found = runs_of(request)[run].samples()
    if number >= len(found):
        raise Refusal(404, f"the run has {len(found)} such pictures")
    return Response(found[number].read_bytes(), media_type="image/png")


@router.get("/comparisons")
def comparisons(request: Request) -> list[Compared]:
    """The comparisons that the lab was started with."""
    return [
        Compared(
            name=name,
            task=found["task"],
            columns=[(column.key, column.heading) for column in TASKS[Task(found["task"])].shown],
            rows=found["rows"],
        )
        for name, found in runs_of(request).comparisons.items()
    ]
