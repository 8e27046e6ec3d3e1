"""A trained model written as a file for another runtime, which is compared with it before it is there."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neocog.errors import UsageError
from neocog.export.check import Comparison, compare
from neocog.export.describe import describe
from neocog.export.int8 import quantize
from neocog.export.networks import room_of
from neocog.export.onnx import write_onnx
from neocog.export.openvino import write_openvino
from neocog.export.packages import PACKAGES, require
from neocog.export.reader import Exported
from neocog.files import disk_errors, make_folder
from neocog.predict import Predictor

SUFFIXES = {"onnx": ".onnx", "openvino": ".xml"}
"""Of the file, by format."""


def export_model(
    predictor: Predictor,
    out: str | Path,
    images: Sequence[NDArray[np.uint8]],
    *,
    format: str = "onnx",
    calibration: Sequence[NDArray[np.uint8]] = (),
    threads: int | None = None,
) -> Comparison:
    """Write a model as an ONNX file, or as an OpenVINO file (.xml) with its weights (.bin) beside it.

    A description of what it takes and gives is stored in it and beside it (.json). Before anything is at
    `out`, the file is compared with the model on `images`, pictures (H, W, 3) uint8. What was there before is
    replaced. With pictures for `calibration` its convolutions and dense layers compute in int8, and what is
    compared is the same file before that.

    `predictor` must compute in f32. Raises UsageError for a model that cannot be exported, another format or
    another suffix, or where packages are missing; CheckpointError where the file answers otherwise than the
    model, DiskError where it cannot be written.
    """
    out = Path(out)
    if format not in SUFFIXES:
        raise UsageError(f"format '{format}': give onnx or openvino")
    if out.suffix != SUFFIXES[format]:
        raise UsageError(f"{out}: a file in the format {format} ends in {SUFFIXES[format]}")
    if predictor.bf16:
        raise UsageError("a model is exported in f32: load it with precision='f32'")
    require(*PACKAGES[format])
    room = room_of(predictor.model, predictor.size)
    description = describe(predictor, room)
    near = next((above for above in out.parents if above.is_dir()), out.parent)
    with disk_errors(out), tempfile.TemporaryDirectory(prefix=f".{out.stem}.", dir=near) as folder:
        written = file = Path(folder) / f"{out.stem}.onnx"
        write_onnx(predictor.model, room, description, written, drops_equal=format == "openvino")
        if format == "openvino":
            file = write_openvino(written, description)
        compared = compare(predictor, Exported(file, threads), images, str(out))
        if calibration:
            description |= {"int8": {"calibrated_on": len(calibration)}}
            quantize(written, description, calibration, threads)
            if format == "openvino":
                write_openvino(written, description)
        text = json.dumps(description, indent=2, ensure_ascii=False) + "\n"
        file.with_suffix(".json").write_text(text, encoding="utf-8")
        make_folder(out.parent)
        for made in sorted(Path(folder).iterdir()):
            if made.suffix != ".onnx" or format == "onnx":
                made.replace(out.with_name(made.name))
    return compared
