"""The one evaluator: a model and a data set in, the official numbers out."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from neocog.data.dataset import Dataset, require_task
from neocog.data.loader import Loader, evaluation_batches
from neocog.distributed.peers import ALONE, Peers
from neocog.distributed.shared import require_shared
from neocog.errors import Interrupted, NumbersError
from neocog.files import make_folder
from neocog.judging import TASKS
from neocog.predict import Predictor, Timing
from neocog.propose import search_ms, with_proposals
from neocog.records import from_json, to_json
from neocog.shards import Shards
from neocog.types import Task

WARM_UP = 3
"""Pictures of each process whose times do not count."""


@dataclass(frozen=True)
class Evaluation:
    """What a model achieves on one split."""

    task: Task
    data: str
    split: str
    indices: tuple[int, ...]  # of the images judged
    result: Any  # the task's own, see `neocog.judging`
    answers: tuple[Any, ...]  # to each image, as the task's judge keeps them
    timings: tuple[Timing, ...]
    faults: tuple[str, ...]  # images that could not be read, one line each
    precision: str  # arithmetic of the network: f32 or bf16
    search_ms: float | None = None  # of finding a picture's regions, where that is not the network's work
    regions: int = 0  # median number of them in a picture, where they come from outside

    @property
    def images(self) -> int:
        return len(self.indices)

    @property
    def metrics(self) -> dict[str, float | None]:
        found: dict[str, float | None] = self.result.metrics()
        return found

    @property
    def score(self) -> float | None:
        """The metric that decides which weights are best."""
        return self.metrics[TASKS[self.task].selection]

    def to_dict(self) -> dict[str, Any]:
        """The content of `evaluation.json`."""
        network = median([timing.network for timing in self.timings] or [0.0])
        decode = median([timing.decode for timing in self.timings] or [0.0])
        return {
            "task": self.task.value,
            "data": self.data,
            "split": self.split,
            "images": self.images,
            "metrics": self.metrics,
            "per_class": self.result.per_class(),
            **TASKS[self.task].extra(self.result),
            "precision": self.precision,
            "ms_per_image": {
                "total": (self.search_ms or 0.0) + network + decode,
                "proposals": self.search_ms,
                "network": network,
                "decode": decode,
            },
            "unreadable": list(self.faults),
        }


def evaluate(
    predictor: Predictor,
    data: Dataset,
    *,
    batch: int = 1,
    workers: int = 0,
    peers: Peers = ALONE,
    stopping: Callable[[], bool] = lambda: False,
    strict: bool = False,
    proposals: Path | None = None,
    kept: Path | None = None,
) -> Evaluation:
    """Run a model over a whole split and measure it by its task's metrics.

    Times are per image in batches of `batch`, decoding of files excluded. Images that cannot be read are left
    out of the numbers and listed; with `strict`, the first of them is a DataError. Raises NumbersError where
    the network, an answer or a metric is not finite, DataError for data of another task.

    `proposals`: the folder that keeps the regions of models that take them from outside; None keeps nothing.
    Their time is that of searching a few of the pictures anew.

    `kept`: a folder of this evaluation alone, where what comes of each picture is recorded at once; pictures
    that are recorded there, before a kill say, are not measured again. All processes must see it.

    Several processes take turns with the batches, and each returns the whole result. `stopping` is asked
    between two batches: Interrupted where it says yes.
    """
    require_task(data, predictor.task)
    data = with_proposals(data, predictor.search, proposals)
    shards = None if kept is None else _shards(kept, len(data), peers)
    missing = None if shards is None else peers.spread(shards.take_up() if peers.first else [])
    loader = evaluation_batches(
        data,
        predictor.transform,
        batch_size=batch,
        workers=workers,
        stride=predictor.padding,
        share=peers.share,
        strict=strict,
        only=None if missing is None else sorted({index // batch for index in missing}),
    )
    own = _measure(predictor, data, loader, stopping, shards)
    parts = peers.gather(own if shards is None else replace(own, found={}))
    if any(part.stopped for part in parts):
        raise Interrupted("interrupted while measuring")
    if shards is not None:
        parts = [_recorded(shards, peers)]
    for part in parts:
        loader.note(part.faulty.items())
    judge = TASKS[predictor.task].judge
    found = dict(sorted(item for part in parts for item in part.found.items()))
    indices, records = list(found), [one.record for one in found.values()]
    timings = [one.timing for part in parts for one in [*part.found.values()][WARM_UP:]]
    evaluation = Evaluation(
        task=predictor.task,
        data=data.name,
        split=data.split,
        indices=tuple(indices),
        result=judge.result(data, indices, records, predictor.unseen),
        answers=tuple(judge.answer(record) for record in records),
        timings=tuple(timings or [one.timing for one in found.values()]),
        faults=tuple(message for _, message in sorted(loader.faulty.items())),
        precision="bf16" if predictor.bf16 else "f32",
        regions=round(median([one.regions for one in found.values() if one.regions is not None] or [0])),
        search_ms=None if predictor.search is None else search_ms(data, predictor.search),
    )
    for name, value in evaluation.metrics.items():
        if value is not None and not math.isfinite(value):
            raise NumbersError(f"{data.name}, split '{data.split}': {name} is not finite")
    return evaluation


@dataclass(frozen=True)
class _Found:
    """What came of one picture."""

    record: Any  # of the task's judge
    timing: Timing
    regions: int | None = None  # given with it


@dataclass(frozen=True)
class _Part:
    """What one process found."""

    found: dict[int, _Found]  # by the picture's place in the data set
    faulty: dict[int, str]
    stopped: bool


def _measure(
    predictor: Predictor,
    data: Dataset,
    loader: Loader,
    stopping: Callable[[], bool],
    shards: Shards | None,
) -> _Part:
    judge = TASKS[predictor.task].judge
    views = ("seen", "unseen") if predictor.unseen else ()
    found: dict[int, _Found] = {}
    for batch in loader:
        if stopping():
            return _Part(found, loader.faulty, stopped=True)
        answers, timing, others = predictor.run_among(batch, views)
        given = [None] * len(batch) if batch.proposals is None else [len(one) for one in batch.proposals]
        for place, (key, answer) in enumerate(zip(batch.keys, answers, strict=True)):
            own = {name: those[place] for name, those in others.items()}
            record = judge.record(data, key.index, answer, own)
            one = found[key.index] = _Found(record, timing, given[place])
            if shards is not None:
                shards.append(key.index, _line(one))
    if shards is not None:
        for index, message in loader.faulty.items():
            shards.append(index, {"fault": message})
    return _Part(found, loader.faulty, stopped=False)


def _shards(kept: Path, count: int, peers: Peers) -> Shards:
    if peers.first:
        make_folder(kept)
    require_shared(kept, peers)
    return Shards(kept, "measured", count, peers.share)


def _line(one: _Found) -> dict[str, Any]:
    timing = [one.timing.network, one.timing.decode]
    return {"record": to_json(one.record), "timing": timing, "regions": one.regions}


def _recorded(shards: Shards, peers: Peers) -> _Part:
    """What all processes recorded, now and before."""
    shards.flush()
    peers.any(False)  # all have
    if peers.first:
        shards.merge()
    peers.any(False)  # it is there
    found: dict[int, _Found] = {}
    faulty: dict[int, str] = {}
    for line in shards.lines():
        entry = json.loads(line)
        if "fault" in entry:
            faulty[entry["number"]] = entry["fault"]
        else:
            record = from_json(entry["record"])
            found[entry["number"]] = _Found(record, Timing(*entry["timing"]), entry["regions"])
    return _Part(found, faulty, stopped=False)


def is_better(score: float | None, best: float | None) -> bool:
    """Whether a score beats the best so far. One that is absent or not finite never does, nor stands in the
    way."""
    if score is None or not math.isfinite(score):
        return False
    return best is None or not math.isfinite(best) or score > best
