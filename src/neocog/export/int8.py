"""An ONNX file whose convolutions and dense layers compute in int8: a quarter of the size, and often faster.

Weights have a scale for each output channel; the scale of each layer's input is that of the values seen on
pictures of the training data. Everything else, a detector's decoding above all, stays float32.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neocog.export.onnx import KEY
from neocog.export.packages import quiet, require
from neocog.export.reader import Exported

LAYERS = ["Conv", "Gemm"]


def quantize(
    file: Path,
    description: dict[str, Any],
    images: Sequence[NDArray[np.uint8]],
    threads: int | None = None,
) -> None:
    """Replace an exported ONNX file by its int8 form, calibrated on `images`, pictures (H, W, 3) uint8.

    ONNX Runtime's static quantization: QuantizeLinear and DequantizeLinear about each layer, which OpenVINO
    reads as well. `description` takes the place of the one that is stored in it.
    """
    require("onnx", "onnxruntime")
    with quiet():
        import onnx
        from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

        class Feeds(CalibrationDataReader):  # type: ignore[misc]
            def __init__(self) -> None:
                self._feeds = _feeds(Exported(file, threads), images)

            def get_next(self) -> dict[str, NDArray[Any]] | None:
                return next(self._feeds, None)

        target = file.with_suffix(".int8")
        quantize_static(
            file,
            target,
            Feeds(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=LAYERS,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        model = onnx.load(target)
        del model.metadata_props[:]
        onnx.helper.set_model_props(model, {KEY: json.dumps(description)})
        onnx.save(model, file)
    target.unlink()


def _feeds(exported: Exported, images: Sequence[NDArray[np.uint8]]) -> Iterator[dict[str, NDArray[Any]]]:
    """The inputs of the file for each picture."""
    for image in images:
        yield exported.feed(exported.prepare([image]))
