"""What `neocog predict` does with a stream of pictures: record each, go on after a kill, put together.

`predict.json` says what is done with which pictures, and so whether a folder may be gone on with; a line of
`predictions.jsonl` holds what came of one picture; `predictions.json` is made of these lines at the end.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile, tee
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neocog.cli.common import as_json
from neocog.errors import CheckpointError, DataError, UsageError
from neocog.files import disk_errors, make_folder
from neocog.shards import Shards

if TYPE_CHECKING:
    import numpy as np

    from neocog.distributed.peers import Peers
    from neocog.predict import Predictor
    from neocog.predictions import AnyPrediction
    from neocog.stream import Answered

JOB = "predict.json"
RESULT = "predictions.json"
MASKS = "masks"
"""The folder below --out that holds index PNGs of a segmenter's answers."""

_SKIPPED = re.compile(rb'\{"number": \d+, "skipped": ')


@dataclass(frozen=True)
class Work:
    """How pictures are predicted and what is kept of each."""

    predictor: Predictor
    paths: Sequence[str]
    names: Sequence[str]  # of the PNG that is drawn of each
    out: Path
    conf: float
    draw: bool
    strict: bool
    readers: int
    weights: str | None = None  # of a model that is named, and no run

    def predict(self, numbers: Iterator[int]) -> Iterator[tuple[int, dict[str, Any], str]]:
        """Of each of these pictures its number, its record and a line for people; its PNGs are written."""
        from neocog.stream import map_ahead, predict_all

        ours, theirs = tee(numbers)
        answers = predict_all(self.predictor, (self.paths[number] for number in theirs), readers=self.readers)
        pairs = zip(ours, answers, strict=True)
        yield from map_ahead(lambda pair: self._record(*pair), pairs, threads=min(self.readers, 1))

    def _record(self, number: int, answered: Answered | DataError) -> tuple[int, dict[str, Any], str]:
        from neocog.data.files import printable
        from neocog.predictions import MaskPrediction, Prediction

        if isinstance(answered, DataError):
            if self.strict:
                raise answered
            return number, {"skipped": str(answered)}, f"{answered} (skipped)"
        found, name = answered.found, self.names[number]
        if isinstance(found, Prediction):
            found = found.above(self.conf)
        record = found.to_dict()
        if self.draw:
            record["drawn"] = name
            _write(self.out / name, _drawn(found, answered.pixels, self.conf))
        if isinstance(found, MaskPrediction):
            record["mask"] = f"{MASKS}/{name}"
            make_folder(self.out / MASKS)
            _write(self.out / MASKS / name, _png(found.mask))
        return number, record, f"{printable(self.paths[number])}: {found.line()}"


def _write(path: Path, data: bytes) -> None:
    with disk_errors(path):
        path.write_bytes(data)


def _drawn(found: AnyPrediction, pixels: np.ndarray, conf: float) -> bytes:
    from neocog.predictions import Prediction

    image = found.draw(pixels, threshold=conf) if isinstance(found, Prediction) else found.draw(pixels)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def _png(values: np.ndarray) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(values).save(file, "PNG")
    return file.getvalue()


def describe(run: Path, work: Work) -> dict[str, Any]:
    """The content of `predict.json`: all that decides the results. Raises CheckpointError."""
    from neocog.version import __version__
    from neocog.weights import CONFIG, digest, find_model, read_file

    predictor = work.predictor
    config = json.dumps(predictor.config, sort_keys=True).encode()
    if work.weights is None and run.exists():  # its own description holds the hash of the weights
        config = read_file(find_model(run) / CONFIG)
    names = hashlib.sha256()
    for path in work.paths:
        names.update(path.encode(errors="surrogateescape") + b"\0")
    return {
        "neocog": __version__,
        "model": str(run),
        "weights": work.weights,
        "model_sha256": digest(config),
        "pictures": len(work.paths),
        "pictures_sha256": names.hexdigest(),
        "conf": work.conf,
        "precision": "bf16" if predictor.bf16 else "f32",
        "draw": work.draw,
    }


def is_there(out: Path, job: Mapping[str, Any]) -> bool:
    """Whether `out` holds this job, begun earlier.

    Raises UsageError if it is another one, CheckpointError if that cannot be read.
    """
    path = out / JOB
    if not path.exists():
        return False
    try:
        stored = dict(json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path}: cannot be read, or damaged; start again with --overwrite") from error
    for name in ("model_sha256", "pictures", "pictures_sha256", "conf", "precision", "draw"):
        if stored.get(name) != job[name]:
            what = {"model_sha256": "another model", "pictures_sha256": "other pictures"}.get(name)
            what = what or f"{name} = {json.dumps(stored.get(name))[:80]}, not {json.dumps(job[name])}"
            raise UsageError(f"{out}: was started with {what}; give what it was given, or another --out")
    return True


def require_readable(work: Work) -> None:
    """Predict the first picture that can be read: whatever fails for all of them fails before DIR is made.

    Raises DataError if none can be read or, with `strict`, if one before it cannot.
    """
    from neocog.stream import predict_all

    faults: list[str] = []
    for answered in predict_all(work.predictor, work.paths, readers=0):
        if not isinstance(answered, DataError):
            return
        if work.strict:
            raise answered
        faults.append(str(answered))
    raise DataError(f"none of {len(work.paths)} images could be read; the first: {faults[0]}")


def share(todo: Sequence[int], peers: Peers, stopping: Callable[[], bool]) -> Iterator[int]:
    """The pictures that this process takes of those to do, until it is told to stop."""
    return takewhile(lambda _: not stopping(), (int(todo[place]) for place in peers.deal(len(todo))))


def document(model: str, weights: str | None, conf: float, shards: Shards) -> Iterator[bytes]:
    """`predictions.json`, in pieces of whole lines: those of `predictions.jsonl` inside a frame."""
    frame = b'{\n  "model": %b,\n  "weights": %b,\n  "conf": %b,\n  "images": ['
    yield frame % tuple(as_json(value).rstrip() for value in (model, weights, conf))
    yield from _listed(line for line in shards.lines() if not _SKIPPED.match(line))
    yield b'],\n  "skipped": ['
    yield from _listed(map(as_json, skipped(shards)))
    yield b"]\n}\n"


def _listed(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Lines as the elements of a JSON list."""
    before = b"\n    "
    for line in lines:
        yield before + line.rstrip(b"\n")
        before = b",\n    "
    if before.startswith(b","):
        yield b"\n  "


def skipped(shards: Shards) -> Iterator[str]:
    """Why pictures could not be read, a line each."""
    return (json.loads(line)["skipped"] for line in shards.lines() if _SKIPPED.match(line))
