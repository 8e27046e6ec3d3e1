"""An ONNX file as one for OpenVINO."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from neocog.export.onnx import KEY
from neocog.export.packages import require


def write_openvino(file: Path, description: dict[str, Any]) -> Path:
    """Convert an ONNX file to an .xml and a .bin beside it, in float32; returns the .xml."""
    require("openvino")
    import openvino

    model = openvino.Core().read_model(file)
    model.set_rt_info(json.dumps(description), [KEY])
    target = file.with_suffix(".xml")
    openvino.save_model(model, target, compress_to_fp16=False)
    return target
