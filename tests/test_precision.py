"""Arithmetic by name: which words there are, and what bf16 does to a detector."""

from __future__ import annotations

import pytest
import torch

from neocog.errors import UsageError
from neocog.precision import supports_bf16, uses_bf16
from neocog.predict import Predictor
from neocog.testing import make_batch
from neocog.train import TrainOptions
from neocog.zoo import create

CPU = torch.device("cpu")


def test_words() -> None:
    assert uses_bf16("bf16", CPU) and not uses_bf16("f32", CPU)
    assert uses_bf16("auto", CPU) == supports_bf16(CPU)
    for wrong in ("f16", ""):
        with pytest.raises(UsageError, match="give auto, f32, bf16"):
            uses_bf16(wrong, CPU)
        with pytest.raises(UsageError, match="give auto, f32, bf16"):
            TrainOptions(precision=wrong)  # type: ignore[arg-type]


def test_bf16_rounds_what_f32_gives() -> None:
    """Three decimal digits are left of the scores of anchors, and the detector given stays as it was."""
    torch.manual_seed(0)
    model = create("faster-rcnn", 3).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    batch = make_batch([[], []]).without_targets()
    exact, rounded = (Predictor(model, "abc", (64, 64), precision=word) for word in ("f32", "bf16"))
    with torch.inference_mode():
        want = exact.model(batch).rpn.logits
        with torch.autocast("cpu", torch.bfloat16):
            got = rounded.model(batch).rpn.logits
    assert got.dtype == torch.float32
    assert not torch.equal(got, want)
    assert (got - want).abs().max() < 0.02 * want.abs().max()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    for predictor in (exact, rounded):
        assert len(predictor.run(batch)[0]) == 2
