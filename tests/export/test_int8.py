"""Files in int8: smaller, near the model, with everything but layers as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest
import torch

from neocog.export.model import SUFFIXES, export_model
from neocog.export.reader import Exported
from neocog.export.samples import varied
from neocog.models.classifier import ClassifierOptions
from neocog.predict import Predictor
from neocog.zoo import create

CLASSES = ("disc", "square", "star")


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    torch.manual_seed(0)
    options = ClassifierOptions("conv2", pool=4, hidden=(256,), side=28)
    return Predictor(create("notes-digit", 3, options=options), CLASSES, (28, 28), precision="f32")


@pytest.mark.parametrize("format", SUFFIXES)
def test_layers_are_in_int8_and_scores_near(format: str, predictor: Predictor, tmp_path: Path) -> None:
    images = varied(None, 16)
    sizes = {}
    for name, calibration in (("whole", []), ("small", images)):
        out = tmp_path / name / f"model{SUFFIXES[format]}"
        export_model(predictor, out, images[:4], format=format, calibration=calibration, threads=1)
        sizes[name] = out.with_suffix({"onnx": ".onnx", "openvino": ".bin"}[format]).stat().st_size
    assert sizes["small"] < 0.5 * sizes["whole"]
    file = Exported(tmp_path / "small" / f"model{SUFFIXES[format]}", threads=1)
    assert file.description["int8"] == {"calibrated_on": 16}
    for image in images:
        seen: Any = file.predict(image)
        assert abs(seen.scores - predictor.predict(image).scores).max() < 0.03
    if format == "onnx":
        written = onnx.load(tmp_path / "small" / "model.onnx")
        kinds = [node.op_type for node in written.graph.node]
        assert kinds.count("QuantizeLinear") >= 4
        weights = {
            one.name: one for one in written.graph.initializer if one.data_type == onnx.TensorProto.INT8
        }
        assert {len(one.dims) for one in weights.values()} >= {2, 4}
