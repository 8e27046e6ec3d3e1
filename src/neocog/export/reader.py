"""An exported file as something to use: pictures in, answers in the picture's own pixels out.

It needs nothing of the model but the file: what to do before and after the network is described in there.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import TypeAdapter

from neocog.data.images import read_image
from neocog.data.packing import collate
from neocog.errors import CheckpointError, UsageError
from neocog.export.onnx import KEY
from neocog.export.packages import require
from neocog.parts.regions import given
from neocog.predict import Timing
from neocog.predictions import AnyPrediction, Picture, prediction_of
from neocog.proposals.search import SearchOptions, selective_search
from neocog.transforms.geometry import CentreCrop, Geometry, Resize, ShorterSide
from neocog.transforms.recipes import evaluation_recipe
from neocog.transforms.warp import Size
from neocog.types import (
    Answer,
    Batch,
    Classification,
    Detections,
    Frame,
    Localization,
    Reconstruction,
    Sample,
    Segmentation,
    Task,
)

Outputs = dict[str, NDArray[Any]]


class Session(Protocol):
    """A file in the hands of a runtime."""

    inputs: tuple[str, ...]
    description: str

    def run(self, feed: Mapping[str, NDArray[Any]]) -> Outputs:
        """The outputs by name."""


class OnnxSession:
    """An ONNX file in ONNX Runtime, on the CPU."""

    def __init__(self, file: Path, threads: int | None) -> None:
        require("onnxruntime")
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.log_severity_level = 3  # errors
        providers = ["CPUExecutionProvider"]
        self._session = onnxruntime.InferenceSession(str(file), options, providers=providers)
        self.inputs = tuple(one.name for one in self._session.get_inputs())
        self.description = self._session.get_modelmeta().custom_metadata_map.get(KEY, "")
        self._outputs = [one.name for one in self._session.get_outputs()]

    def run(self, feed: Mapping[str, NDArray[Any]]) -> Outputs:
        return dict(zip(self._outputs, self._session.run(None, dict(feed)), strict=True))


class OpenVinoSession:
    """An OpenVINO file (.xml, with its .bin) on the CPU, in float32 throughout."""

    def __init__(self, file: Path, threads: int | None) -> None:
        require("openvino")
        import openvino

        core = openvino.Core()
        model = core.read_model(file)
        self.description = str(model.get_rt_info([KEY]).value) if model.has_rt_info([KEY]) else ""
        settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32"}
        if threads is not None:
            settings["INFERENCE_NUM_THREADS"] = threads
        self._model = core.compile_model(model, "CPU", settings)
        self.inputs = tuple(one.get_any_name() for one in self._model.inputs)

    def run(self, feed: Mapping[str, NDArray[Any]]) -> Outputs:
        found = self._model(dict(feed))
        return {one.get_any_name(): np.array(found[one]) for one in self._model.outputs}


class Exported:
    """An exported model. It answers as the `Predictor` that it comes from, and can be evaluated as one.

    Reads `.onnx` with ONNX Runtime and `.xml` with OpenVINO, on `threads` of the CPU.
    """

    def __init__(self, file: str | Path, threads: int | None = None) -> None:
        """Raises CheckpointError for a file that is not readable, or that this library did not write."""
        self.file = file = Path(file)
        opener = OpenVinoSession if file.suffix == ".xml" else OnnxSession
        try:
            self.session: Session = opener(file, threads)
            self.description: dict[str, Any] = json.loads(self.session.description)
            self._read(self.description)
        except UsageError:
            raise
        except Exception as error:  # the runtimes have their own kinds, and no common one
            reason = " ".join(str(error).split())[:200]
            raise CheckpointError(f"{file}: not an exported model ({reason})") from error

    def _read(self, description: dict[str, Any]) -> None:
        self.task = Task(description["task"])
        self.classes = tuple(description["classes"])
        height, width = description["size"]
        self.size = (height, width)
        self.padding = int(description["multiple"])
        self.transform = evaluation_recipe(_fitting(description, self.size))
        search = description["search"]
        self.search = None if search is None else TypeAdapter(SearchOptions).validate_python(search)
        self.unseen: tuple[int, ...] = ()  # such detectors are exported with all classes on a par
        self.bf16 = False

    def predict(self, image: Picture) -> AnyPrediction:
        """As `Predictor.predict`."""
        source = "" if isinstance(image, np.ndarray) else str(image)
        pixels = image if isinstance(image, np.ndarray) else read_image(Path(image))
        batch = self.prepare([pixels])
        return prediction_of(self.answers(batch)[0], self.classes, source)

    def prepare(self, images: Sequence[NDArray[np.uint8]]) -> Batch:
        """Pictures (H, W, 3) as one batch, with their regions where those come from outside."""
        samples = []
        for pixels in images:
            size = (pixels.shape[0], pixels.shape[1])
            regions = None if self.search is None else selective_search(pixels, self.search)
            samples.append(self.transform(Sample(pixels, None, Frame(size, size), proposals=regions)))
        return collate(samples, stride=self.padding)

    def answers(self, batch: Batch) -> list[Any]:
        """The answer to each picture, in original pixels."""
        found = self.outputs(batch)
        return [
            answer.to_original(frame)
            for answer, frame in zip(self._split(found, batch), batch.frames, strict=True)
        ]

    def outputs(self, batch: Batch) -> Outputs:
        """What the file gives for a batch, as it is. Raises CheckpointError where its runtime fails."""
        try:
            return self.session.run(self.feed(batch))
        except Exception as error:
            height, width = batch.images.shape[-2:]
            reason = " ".join(str(error).split())[:200]
            size = f"a batch of {len(batch)}, {width} x {height} px"
            raise CheckpointError(f"{self.file.name}: its runtime fails on {size} ({reason})") from error

    def feed(self, batch: Batch) -> dict[str, NDArray[Any]]:
        """The inputs of the file for a batch, by name."""
        feed: dict[str, NDArray[Any]] = {"images": np.ascontiguousarray(batch.images.numpy())}
        if "sizes" in self.session.inputs:
            feed["sizes"] = np.array(batch.sizes, np.int64)
        if "regions" in self.session.inputs:
            feed["regions"] = _regions(batch)
        return feed

    def run_among(self, batch: Batch, among: Sequence[str]) -> tuple[list[Any], Timing, dict[str, list[Any]]]:
        """As `Predictor.run_among`: decoding is part of the network here, and there are no other views."""
        began = time.perf_counter()
        found = self.answers(batch)
        spent = (time.perf_counter() - began) * 1e3 / len(batch)
        return found, Timing(spent, 0.0), {}

    def _split(self, found: Outputs, batch: Batch) -> Iterator[Answer]:
        """What the file gave as the answer to each picture, in pixels of the network's input."""
        tensors = {name: torch.from_numpy(np.array(value)) for name, value in found.items()}
        for place, (height, width) in enumerate(batch.sizes):
            if self.task is Task.DETECT:
                own = tensors["pictures"] == place
                yield Detections(*(tensors[name][own] for name in ("boxes", "scores", "labels")))
            elif self.task is Task.SEGMENT:
                yield Segmentation(tensors["scores"][place, :, :height, :width].contiguous())
            elif self.task is Task.LOCALIZE:
                yield Localization(tensors["scores"][place], tensors["boxes"][place])
            elif self.task is Task.CLASSIFY:
                yield Classification(tensors["scores"][place])
            else:
                yield Reconstruction(tensors["drawn"][place], tensors["codes"][place])


def _fitting(description: Mapping[str, Any], size: Size) -> Size | Geometry:
    """How pictures are brought to the network's size, by the name of the rule."""
    rule = description["resize"]
    if rule == "stretch":
        return Resize(size)
    if rule == "centre":
        return CentreCrop(size, description["centre"])
    return ShorterSide(min(size), max(size)) if rule == "shorter" else size


def _regions(batch: Batch) -> NDArray[np.float32]:
    """The regions of each picture (B, P, 4), those without area filling up."""
    every = [one.boxes.numpy() for one in given(batch)]
    table = np.zeros((len(every), max(map(len, every)), 4), np.float32)
    for row, boxes in zip(table, every, strict=True):
        row[: len(boxes)] = boxes
    return table
