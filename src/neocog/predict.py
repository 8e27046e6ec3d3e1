"""A trained model as something to use: pictures in, answers in the picture's own pixels out."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import get_ident
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from neocog.data.images import read_image
from neocog.data.packing import collate
from neocog.errors import CheckpointError, NeocogError, NumbersError, UsageError
from neocog.fast import packed
from neocog.fold import fold_batchnorm
from neocog.nested import named_tensors
from neocog.predictions import AnyPrediction, Picture, prediction_of
from neocog.proposals.search import SearchOptions, selective_search
from neocog.published import published_model, split_reference
from neocog.transforms.recipes import evaluation_recipe
from neocog.types import Answer, Batch, Detections, Frame, Sample, Task, blank_batch
from neocog.weights import (
    WEIGHTS,
    find_model,
    first_not_finite,
    load_model,
    on_one_line,
    restore_weights,
)
from neocog.zoo import MODELS, create, resized

STRIDE = 16
"""Pictures are padded to a multiple of this many pixels."""

MOST_SIDE = 1 << 14
"""Pixels a side that a model may ask pictures to be fitted into."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds an image."""

    network: float
    decode: float


class Predictor:
    """A model with its classes and its input size, ready to be used."""

    def __init__(
        self,
        model: nn.Module,
        classes: Sequence[str],
        size: tuple[int, int],
        config: dict[str, Any] | None = None,
        precision: str = "f32",
    ) -> None:
        """`size`: the (height, width) that pictures are fitted into. `config`: what `save_model` stored.

        `precision`: f32, or bf16, which is quick where the hardware has it; UsageError for another word.
        """
        own: Any = copy.deepcopy(model).eval().requires_grad_(False)
        # What a detector is made of shows in a small picture; others may want theirs of one size.
        tried = (64, 64) if own.task is Task.DETECT else size
        self._trial = blank_batch(tried, 1)
        self.device = next(model.parameters()).device
        self.bf16 = False
        folded: Any = fold_batchnorm(own, self._try_out)
        self.model: Any = folded.to(memory_format=torch.channels_last)
        if hasattr(self.model, "compress"):
            self.model.compress()
        self.task: Task = self.model.task
        self.search: SearchOptions | None = getattr(self.model, "search", None)
        self.unseen: tuple[int, ...] = getattr(self.model, "unseen", ())  # classes it was never shown
        self.classes, self.size, self.config = tuple(classes), size, config or {}
        self.transform = evaluation_recipe(resized(self.model.options, size))
        self.padding = padding_of(self.model)
        self._places: Tensor | None = None  # the label of each of the network's classes, or -1
        if precision not in ("f32", "bf16"):
            raise UsageError(f"a model calculates in f32 or bf16, not in {precision}")
        self.bf16 = precision == "bf16"
        if self.bf16:  # autocast would convert these weights again for every picture
            for layer in self.model.modules():
                if isinstance(layer, nn.Conv2d | nn.Linear):
                    layer.to(torch.bfloat16)

    @cached_property
    def network(self) -> Any:
        """`model`, made ready for this device: what is run. It has no gradients, and nothing to look into."""
        return packed(self.model, self._try_out) if self.device.type == "cpu" else self.model

    def _try_out(self, network: Any) -> Any:
        """One picture through the network."""
        return self._through(network, self._trial.to(self.device))

    def _through(self, network: Any, batch: Batch) -> Any:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            return network(batch)

    def predict(self, image: Picture) -> Any:
        """What the model says of one picture: a `Prediction` of a detector, else a `ClassPrediction`, an
        `ObjectPrediction` or a `MaskPrediction`. UsageError for an array that is no picture."""
        batch = self.prepare(image)
        return self.convert(self.run(batch)[0][0], batch.frames[0].source)

    def prepare(self, image: Picture) -> Batch:
        """One picture as the network wants it, with its regions where those come from outside."""
        source = "" if isinstance(image, np.ndarray) else str(image)
        pixels = image if isinstance(image, np.ndarray) else read_image(Path(image))
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
            raise UsageError(f"a picture is a uint8 array (H, W, 3), not {pixels.dtype} {pixels.shape}")
        frame = Frame(pixels.shape[:2], pixels.shape[:2], source=source)
        regions = None if self.search is None else selective_search(pixels, self.search)
        sample = Sample(pixels, None, frame, proposals=regions)
        return collate([self.transform(sample)], stride=self.padding)

    def among(self, classes: Sequence[str]) -> Predictor:
        """The same detector, which reports only these of its classes, in this order.

        Raises UsageError for a class that it does not know.
        """
        for name in classes:
            if name not in self.classes:
                raise UsageError(f"the model does not know the class {name!r}")
        places = [classes.index(name) if name in classes else -1 for name in self.classes]
        other = copy.copy(self)
        other.classes, other._places = tuple(classes), torch.tensor(places, dtype=torch.int64)
        other.unseen = tuple(places[label] for label in self.unseen if places[label] >= 0)
        return other

    def convert(self, answer: Answer, source: str = "") -> AnyPrediction:
        """An answer in original pixels as a prediction."""
        return prediction_of(answer, self.classes, source)

    def run(self, batch: Batch) -> tuple[list[Any], Timing]:
        """The answer to each image of a batch, in original pixels, and the time it took.

        Raises NumbersError if the network computes something that is not finite: decoding would drop it, and
        "nothing found" would be a wrong answer.
        """
        found, timing, _ = self.run_among(batch, ())
        return found, timing

    @torch.inference_mode()
    def run_among(self, batch: Batch, among: Sequence[str]) -> tuple[list[Any], Timing, dict[str, list[Any]]]:
        """As `run`, and what a zero-shot detector finds where only these classes can be predicted: `seen`,
        `unseen`. The network runs once; the time is that of `run`."""
        batch, network = batch.to(self.device).without_targets(), self.network
        began = self._now()
        output = self._through(network, batch)
        computed = self._now()
        _require_finite({"output": output}, batch)
        middle = self._now()
        found = self.model.decode(output, batch)
        ended = self._now()
        scale = 1e3 / len(batch)
        timing = Timing((computed - began) * scale, (ended - middle) * scale)
        views = {one: self._mapped(self.model.decode_among(one, output, batch), batch) for one in among}
        return self._mapped(found, batch), timing, views

    def _mapped(self, found: Sequence[Any], batch: Batch) -> list[Any]:
        """Answers in the network's input as answers in the original pictures, on the CPU."""
        mapped = [
            one.to_original(frame).to(torch.device("cpu"))
            for one, frame in zip(found, batch.frames, strict=True)
        ]
        if self._places is not None:
            mapped = [_relabelled(one, self._places) for one in mapped]
        _require_finite({"answer": mapped}, batch)
        return mapped

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


def _relabelled(found: Detections, places: Tensor) -> Detections:
    labels = places[found.labels]
    return Detections(found.boxes, found.scores, labels)[labels >= 0]


def _require_finite(named: Mapping[str, Any], batch: Batch) -> None:
    """Raise NumbersError, naming the first tensor in there that is not finite, and the pictures."""
    tensors = {name: value for name, value in named_tensors(named) if value.is_floating_point()}
    if not tensors or bool(torch.stack([value.sum().float() for value in tensors.values()]).isfinite().all()):
        return  # sums cost a fraction of looking at every element
    broken = first_not_finite(tensors)
    if broken is not None:
        pictures = ", ".join(frame.source or "the picture" for frame in batch.frames)
        remedy = "damaged weights, or numbers too large for them: try --precision f32"
        raise NumbersError(f"{pictures}: the network's {broken} is not finite ({remedy})")


def padding_of(model: Any) -> int:
    """Pictures are padded to a multiple of so many pixels for this network."""
    return int(getattr(model, "padding", STRIDE))


def load(
    path: str | Path,
    device: str | torch.device = "cpu",
    precision: str = "f32",
    change: Callable[[Any], Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
    weights: str | Path | None = None,
) -> Predictor:
    """A trained model from a run folder, a model folder, or `coco:NAME`, a published model.

    With `weights`, `path` is the name of a model, such as "ssd", and they are what others published for it:
    "imagenet", "coco", or their file. A published model is fetched at its first use; `progress` is called
    with the bytes received and the size of the file. `change`: the model's options -> other options, such as
    thresholds; weights must still fit, and what they name, such as a file of label vectors, is read. Raises
    CheckpointError with one line, UsageError for an unknown name.
    """
    published = split_reference(str(path)) if weights is None else (str(path), weights)
    if published is not None:
        config, tensors, folder = published_model(*published, progress)
    else:
        if str(path) in MODELS and not Path(path).exists():
            raise CheckpointError(f"{path}: no such run; for a published model give weights (imagenet, coco)")
        folder = find_model(Path(path))
        config, tensors = load_model(folder)
    if change is not None:
        changed = change(_options(config, folder))
        entry, size = MODELS[config["model"]], (config["size"][0], config["size"][1])
        config |= {"options": entry.suit(changed, config["classes"], None, size)}
    with _no_larger_than(sum(value.numel() for value in tensors.values())):
        model = build(config, folder)
    restore_weights(model, tensors, folder / WEIGHTS)
    size = config["size"]
    return Predictor(model.to(device), config["classes"], (size[0], size[1]), config, precision)


@contextmanager
def _no_larger_than(most: int) -> Iterator[None]:
    """Raise ValueError where this thread builds a network of more parameters, before they fill memory.

    A hostile description may be of any size. New parameters take no memory until they are initialised, which
    is after they are registered. A layer may be put in the place of a smaller one, so twice as many are let
    pass; what is wrong then is found when the weights are restored.
    """
    ours, total = get_ident(), 0

    def count(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal total
        if parameter is not None and get_ident() == ours:
            total += parameter.numel()
            if total > 2 * most:
                raise ValueError(f"its network is larger than {WEIGHTS}")

    handle = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        handle.remove()


def build(config: dict[str, Any], folder: Path) -> nn.Module:
    """The network that a model's `config.json` describes, with fresh weights. Raises CheckpointError."""
    try:
        options = _options(config, folder)
        return create(config["model"], config["classes"], config["backbone"], options)
    except _WRONG as error:
        raise _not_described(error, folder) from error


def _options(config: dict[str, Any], folder: Path) -> Any:
    """The model's options that `config.json` states. Raises CheckpointError."""
    try:
        _check_description(config)
        entry = MODELS[config["model"]]
        options_type = type(entry.options(config["backbone"], max(config["size"])))
        return TypeAdapter(options_type).validate_python(config["options"])
    except _WRONG as error:
        raise _not_described(error, folder) from error


def _not_described(error: Exception, folder: Path) -> CheckpointError:
    if isinstance(error, CheckpointError):
        return error
    reason = on_one_line(str(error).splitlines()[0] if str(error) else type(error).__name__)
    return CheckpointError(f"{folder / 'config.json'}: does not describe a known model ({reason})")


_WRONG = (
    NeocogError,
    LookupError,
    TypeError,
    ValueError,  # pydantic's, too
    ArithmeticError,
    RuntimeError,  # torch's, for sizes that cannot be
    MemoryError,
)


def _check_description(config: dict[str, Any]) -> None:
    size, classes = config["size"], config["classes"]
    if not isinstance(size, list | tuple) or len(size) != 2:
        raise ValueError("size is not a height and a width")
    if not all(type(side) is int and 0 < side <= MOST_SIDE for side in size):
        raise ValueError(f"a size of {size[0]!r} x {size[1]!r} pixels")
    if not isinstance(classes, list | tuple) or not all(isinstance(name, str) for name in classes):
        raise ValueError("classes is not a list of names")
