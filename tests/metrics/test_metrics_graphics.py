"""Correlations as SciPy has them, the nearest picture by brute force, errors as their definitions say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from neocog.metrics.graphics import ReconstructionResult, agreement, nearest_picture, steps_forward

LEVELS = st.integers(-5, 5)


@given(st.lists(st.tuples(LEVELS, LEVELS), min_size=3, max_size=30))
def test_agreement_is_scipy_s(pairs: list[tuple[int, int]]) -> None:
    read, truth = (np.array(one, float) for one in zip(*pairs, strict=True))
    have = agreement(read, truth)
    if np.ptp(read) == 0 or np.ptp(truth) == 0:
        assert have.pearson == have.spearman == 0
        return
    assert have.pearson == pytest.approx(stats.pearsonr(read, truth).statistic, abs=1e-9)
    assert have.spearman == pytest.approx(stats.spearmanr(read, truth).statistic, abs=1e-9)


def test_the_nearest_picture_is_that_of_brute_force() -> None:
    rng = np.random.default_rng(0)
    pictures, candidates = rng.random((9, 6, 5)), rng.random((31, 6, 5))
    want = [int(((candidates - one) ** 2).sum(axis=(1, 2)).argmin()) for one in pictures]
    assert nearest_picture(pictures, candidates).tolist() == want


def test_steps_that_go_back_are_counted_whatever_the_direction() -> None:
    assert steps_forward(np.array([0, 1, 1, 5])) == 1
    assert steps_forward(np.array([9, 3, 4, 0, -1])) == 0.75
    assert steps_forward(np.array([2.0])) == steps_forward(np.array([2.0, 2.0])) == 1


def test_errors_in_decibels_and_by_class() -> None:
    result = ReconstructionResult(np.array([0.01, 0.03, 0.02]), np.array([0, 0, 2]), ("a", "b", "c"))
    assert result.metrics() == {"psnr": pytest.approx(-10 * np.log10(0.02)), "mse": pytest.approx(0.02)}
    assert result.per_class()["c"] == {
        "pictures": 1,
        "psnr": pytest.approx(16.9897, abs=1e-4),
        "mse": pytest.approx(0.02),
    }
    assert result.per_class()["b"] == {"pictures": 0, "psnr": None, "mse": None}
