"""The handwritten digits against scikit-learn's own."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits

from neocog.data.digits import Digits
from neocog.data.open import open_data
from neocog.errors import DataError
from neocog.types import Task


def test_they_are_scikit_learns_digits_in_their_order() -> None:
    bunch = load_digits()
    trainval, test = Digits("trainval"), Digits("test")
    assert (len(Digits("train")), len(Digits("valid")), len(trainval), len(test)) == (1170, 130, 1300, 497)
    for data, first in ((trainval, 0), (test, 1300), (Digits("val"), 1170)):
        labels = [data[index].label for index in range(0, len(data), 40)]
        assert labels == bunch.target[first : first + len(data) : 40].tolist()
        assert labels == [int(data.objects(index).labels[0]) for index in range(0, len(data), 40)]
    small = Digits("test", size=8)[3].image
    assert (np.abs(small[:, :, 0] / 255 * 16 - bunch.images[1303]) < 0.04).all()
    large = test[3].image
    assert large.shape == (28, 28, 3) and (large[:, :, 0] == large[:, :, 2]).all()
    assert large.mean() == pytest.approx(small.mean(), rel=0.06)


def test_no_digit_is_in_two_splits() -> None:
    names = [
        {data.identity(index) for index in range(len(data))} for data in map(Digits, ("train", "val", "test"))
    ]
    assert len(set.union(*names)) == sum(map(len, names)) == 1797


def test_their_name_opens_them() -> None:
    assert open_data("scenes:digits", "val", task=Task.CLASSIFY).fingerprint == Digits("val").fingerprint
    assert len({Digits(split).fingerprint for split in ("train", "val", "test")}) == 3
    with pytest.raises(DataError, match="scenes:digits hold no truth for the task 'segment'"):
        open_data("scenes:digits", task=Task.SEGMENT)
    with pytest.raises(DataError, match="no split 'mine': there are train, val, trainval, test"):
        Digits("mine")
    with pytest.raises(IndexError):
        Digits("val").size(130)
    with pytest.raises(DataError, match="give at least 8"):
        Digits("val", size=4)
