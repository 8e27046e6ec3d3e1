"""What "auto" takes: the fastest of the ways that are right for the numbers at hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import signal

import neocog
from neocog.ops.convolve_cost import estimate
from neocog.ops.convolve_plan import geometry

Array = NDArray[Any]


def noise(shape: Any, dtype: str = "float32", seed: int = 0) -> Array:
    return np.asarray(np.random.default_rng(seed).normal(size=shape), dtype)


def tensors(x: Array, h: Array) -> tuple[torch.Tensor, torch.Tensor]:
    """With gradients, so that torch's own operations are chosen among."""
    return torch.from_numpy(x).requires_grad_(), torch.from_numpy(h)


def test_small_kernels_go_direct_and_large_ones_by_transforms() -> None:
    for dtype in ("float32", "float64", "complex128"):
        assert neocog.choose_method(noise(100_000, dtype), noise(15, dtype)).method == "direct"
        assert neocog.choose_method(noise((512, 512), dtype), noise((3, 3), dtype)).method == "direct"
        assert neocog.choose_method(noise(1_000_000, dtype), noise(20_000, dtype)).method == "overlap-add"
        assert neocog.choose_method(noise((512, 512), dtype), noise((512, 512), dtype)).method == "fft"


def test_a_choice_explains_itself() -> None:
    choice = neocog.choose_method(noise(100_000), noise(3000))
    assert choice.seconds[choice.method] <= 1.05 * min(choice.seconds.values())
    assert set(choice.seconds) == {"direct", "fft", "overlap-add"}
    assert all(0 < seconds < 10 for seconds in choice.seconds.values())
    assert choice.reason
    assert choice.computed_in == "float32"


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("graded", [False, True])
def test_one_bad_number_spoils_only_what_sees_it(bad: float, graded: bool) -> None:
    x, h = noise(40_000), noise(3000, seed=1)
    x[20_000] = bad
    for a, b in ((x, h), (h, x)):
        pair: Any = tensors(a, b) if graded else (a, b)
        choice = neocog.choose_method(*pair)
        assert choice.method == "direct"
        assert "finite" in choice.reason
        result: Any = neocog.convolve(*pair)
        result = result.detach().numpy() if graded else result
        assert np.isfinite(np.delete(result, slice(20_000, 23_000))).all()
        assert not np.isfinite(result[20_000:23_000]).any()


def test_a_named_transform_warns_of_a_bad_number() -> None:
    x = noise(500)
    x[3] = np.nan
    for method in ("fft", "overlap-add"):
        with pytest.warns(RuntimeWarning, match="not finite"):
            neocog.convolve(x, x[:20], "full", method)


@given(
    st.sampled_from(
        [((30_000,), (600,)), ((9000,), (9000,)), ((160, 150), (25, 31)), ((48, 40, 44), (12, 11, 13))]
    ),
    st.sampled_from(["float32", "complex64"]),
    st.floats(0, 8),
    st.integers(0, 1),
    st.booleans(),
)
@settings(max_examples=40)
def test_quiet_parts_keep_their_precision(
    shapes: Any, dtype: str, decades: float, which: int, graded: bool
) -> None:
    """A half of an input is quieter by decades: every part of the result is right to 1e-4 of its own peak."""
    x, h = noise(shapes[0], dtype, 0), noise(shapes[1], dtype, 1)
    quieter = (x, h)[which]
    quieter[quieter.shape[0] // 2 :] *= 10**-decades
    exact = signal.fftconvolve(x.astype(complex), h.astype(complex))
    pair: Any = tensors(x, h) if graded else (x, h)
    result: Any = neocog.convolve(*pair)
    error = abs((result.detach().numpy() if graded else result) - exact)
    box = h.shape[0]
    for low in range(0, exact.shape[0], box):
        assert error[low : low + box].max() <= 1e-4 * abs(exact[low : low + box]).max()


def test_a_quiet_example_of_a_batch_is_not_a_quiet_part() -> None:
    x, h = noise((2, 40_000)), noise((1, 3000), seed=1)
    x[1] *= 1e-6
    choice = neocog.choose_method(x, h, axes=1)
    assert (choice.method, choice.computed_in) == ("overlap-add", "float32")
    x[1, 20_000:] *= 1e-6
    assert neocog.choose_method(x, h, axes=1).computed_in == "float64"


def test_estimates_grow_with_the_work_and_shrink_with_threads() -> None:
    def seconds(n: int, m: int, threads: int = 1) -> dict[str, float]:
        return estimate(geometry((n,), (m,), "full", None), "float64", threads).seconds

    for method in ("direct", "fft", "overlap-add"):
        assert seconds(10**6, 1000)[method] > 3 * seconds(10**5, 1000)[method]
    assert seconds(10**6, 10**4)["direct"] > 5 * seconds(10**6, 10**3)["direct"]
    assert 0.5 < seconds(10**6, 1000, 2)["overlap-add"] / seconds(10**6, 1000)["overlap-add"] < 0.7
    assert seconds(10**4, 3, 2) == seconds(10**4, 3)  # not worth sharing
