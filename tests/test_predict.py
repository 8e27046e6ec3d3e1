"""What a predictor takes for a picture."""

from __future__ import annotations

import numpy as np
import pytest

from neocog.errors import UsageError
from neocog.predict import Predictor
from neocog.zoo import create


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((40, 50, 3), np.float32),  # in [0, 1], it would be seen as black
        np.zeros((40, 50), np.uint8),
        np.zeros((40, 50, 4), np.uint8),
        np.zeros((3, 40, 50), np.uint8),
        np.zeros((0, 50, 3), np.uint8),
    ],
    ids=lambda picture: f"{picture.dtype}{picture.shape}",
)
def test_arrays_that_are_no_pictures_are_refused(picture: np.ndarray) -> None:
    predictor = Predictor(create("faster-rcnn", ("cat",), "compact"), ("cat",), (64, 64))
    with pytest.raises(UsageError, match=r"^a picture is a uint8 array \(H, W, 3\), not "):
        predictor.predict(picture)
