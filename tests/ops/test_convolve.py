"""Convolution of arrays against SciPy's, and the laws that it obeys."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import signal

import neocog
from neocog.ops import convolve_direct, convolve_fft
from neocog.ops.convolve import Method
from neocog.ops.convolve_plan import Mode, geometry

Array = NDArray[Any]
MODES: tuple[Mode, ...] = ("full", "same", "valid")
METHODS: tuple[Method, ...] = ("auto", "direct", "fft", "overlap-add")
TYPES = (
    *("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"),
    *("float16", "float32", "float64", "complex64", "complex128"),
)
LONGEST = {1: 3000, 2: 60, 3: 14, 4: 6}


class Case(NamedTuple):
    """Two inputs, and how to convolve them."""

    x: Array
    h: Array
    mode: Mode
    method: Method


@st.composite
def cases(draw: st.DrawFn, types: tuple[str, ...] = TYPES) -> Case:
    """Any dimension, size, mode, method and pair of types; half of the sizes are small."""
    dims = draw(st.integers(1, 4))
    most = LONGEST[dims] if draw(st.booleans()) else 5
    sides = st.lists(st.integers(1, most), min_size=dims, max_size=dims)
    first, second = draw(sides), draw(sides)
    mode = draw(st.sampled_from(MODES))
    if mode == "valid":
        pairs = [sorted(pair) for pair in zip(first, second, strict=True)]
        first, second = [n for _, n in pairs], [n for n, _ in pairs]
        if draw(st.booleans()):
            first, second = second, first
    seed = draw(st.integers(0, 2**32))
    x, h = (numbers(shape, draw(st.sampled_from(types)), seed + i) for i, shape in enumerate((first, second)))
    return Case(x, h, mode, draw(st.sampled_from(METHODS)))


def numbers(shape: Any, dtype: str, seed: int) -> Array:
    """Random numbers; integers small enough that sums fit all but 8 and 16 bits."""
    draw = np.random.default_rng(seed)
    kind = np.dtype(dtype).kind
    if kind == "c":
        return np.asarray(draw.normal(size=shape) + 1j * draw.normal(size=shape), dtype)
    if kind == "f":
        return np.asarray(draw.normal(size=shape), dtype)
    whole: Array = draw.integers(0 if kind in "bu" else -9, 2 if kind == "b" else 10, shape).astype(dtype)
    return whole


def scipys(case: Case, correlate: bool = False) -> Array:
    """SciPy's result, by sums in a type that holds them, and then in the type of the product."""
    kind = np.result_type(case.x, case.h)
    wide = {"c": np.complex128, "f": np.float64}.get(kind.kind, np.int64)
    function = signal.correlate if correlate else signal.convolve
    result = np.asarray(function(case.x.astype(wide), case.h.astype(wide), case.mode, "direct"))
    return result != 0 if kind.kind == "b" else result.astype(kind)


def check(ours: Array, theirs: Array, case: Case) -> None:
    assert ours.dtype == theirs.dtype
    assert ours.shape == theirs.shape
    if ours.dtype.kind in "biu":
        np.testing.assert_array_equal(ours, theirs)
        return
    scale = float(np.linalg.norm(case.x.astype(complex)) * np.linalg.norm(case.h.astype(complex)))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=8 * float(np.finfo(ours.dtype).eps) * scale)


@given(cases())
@settings(max_examples=2000)
def test_equals_scipy(case: Case) -> None:
    check(neocog.convolve(case.x, case.h, case.mode, case.method), scipys(case), case)


@given(cases())
@settings(max_examples=200)
def test_correlate_equals_scipy(case: Case) -> None:
    check(neocog.correlate(case.x, case.h, case.mode, case.method), scipys(case, correlate=True), case)


@given(cases(("int64", "float64", "complex128")), st.integers(0, 2**32))
@settings(max_examples=200)
def test_laws(case: Case, seed: int) -> None:
    """Commutative, associative, linear, and shifts pass through."""
    x, h, method = case.x, case.h, case.method
    both = neocog.convolve(x, h, "full", method)
    scale = float(np.linalg.norm(x) * np.linalg.norm(h)) + 1

    def close(a: Array, b: Array, more: float = 1.0) -> None:
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-13 * scale * more)

    close(both, neocog.convolve(h, x, "full", method))
    third = numbers((2,) * x.ndim, "float64", seed)
    close(
        neocog.convolve(both, third),
        neocog.convolve(x, neocog.convolve(h, third)),
        1 + float(np.linalg.norm(third)),
    )
    other = numbers(x.shape, "float64", seed + 1)
    close(
        neocog.convolve(3 * x + other, h, "full", method),
        3 * both + neocog.convolve(other, h, "full", method),
        4 + float(np.linalg.norm(other)),
    )
    shifted = np.pad(x, [(2, 0)] * x.ndim)
    close(neocog.convolve(shifted, h, "full", method)[(slice(2, None),) * x.ndim], both)


@given(st.sampled_from(TYPES[1:9]), st.integers(1, 3), st.integers(0, 2**32))
@settings(max_examples=150)
def test_integers_are_exact_and_wrap_around(dtype: str, dims: int, seed: int) -> None:
    """Whatever their size: as Python's own whole numbers, kept to the type's bits."""
    draw = np.random.default_rng(seed)
    info = np.iinfo(dtype)
    x, h = (draw.integers(info.min, info.max, (side,) * dims, dtype, endpoint=True) for side in (4, 3))
    exact = np.zeros((6,) * dims, object)
    for tap in np.ndindex(h.shape):
        exact[tuple(slice(place, place + 4) for place in tap)] += x.astype(object) * int(h[tap])
    modulus = 2**info.bits
    wrapped = np.vectorize(lambda value: (value - info.min) % modulus + info.min, otypes=[object])(exact)
    np.testing.assert_array_equal(neocog.convolve(x, h), wrapped.astype(dtype))


def test_a_transform_is_not_taken_where_it_would_round() -> None:
    x = np.full(200_000, 2**40)
    h = np.full(10_000, 3)
    assert neocog.choose_method(x // 2**30, h).method != "direct"
    assert neocog.choose_method(x, h).method == "direct"
    assert neocog.convolve(x[:20_000], h, "valid").tolist() == [3 * 10_000 * 2**40] * 10_001


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shapes", [((0,), (2,)), ((2,), (0,)), ((0, 3), (2, 2)), ((2, 3), (2, 0))])
def test_empty_inputs_are_refused(shapes: tuple[Any, Any], mode: Mode) -> None:
    for function in (neocog.convolve, neocog.correlate):
        with pytest.raises(ValueError, match="must not be empty"):
            function(np.ones(shapes[0]), np.ones(shapes[1]), mode)


def test_scalars_give_their_product() -> None:
    assert neocog.convolve(6, 7) == 42
    assert neocog.correlate(2, 3j) == signal.correlate(2, 3j) == -6j
    assert np.asarray(neocog.convolve(np.float32(2), True)).dtype == np.float32
    assert neocog.choose_method(6, 7).method == "direct"


def test_what_has_no_result_is_refused() -> None:
    one, two = np.ones(3), np.ones((2, 3))
    for function in (neocog.convolve, neocog.correlate):
        for wrong in (
            {"mode": "wide"},
            {"mode": 1},
            {"method": "magic"},
            {"axes": ()},
            {"axes": 1},
            {"axes": 0.5},
        ):
            with pytest.raises(ValueError, match=r"mode|method|axes"):
                function(one, one, **wrong)
        with pytest.raises(ValueError, match="number of dimensions"):
            function(one, two)
        with pytest.raises(ValueError, match="at least as large"):
            function(two, two.T, "valid")
        with pytest.raises(ValueError, match="repeat"):
            function(two, two, axes=(0, -2))
        with pytest.raises(ValueError, match="broadcast"):
            function(two, two.T, axes=0)
        for array in (np.array([1, None]), np.array(["a"]), np.array([1, 2], "datetime64[s]")):
            with pytest.raises(TypeError, match=r"not (object|<U1|datetime64)"):
                function(array, one)


def test_what_gives_an_array_is_taken() -> None:
    class Wrapped:
        def __array__(self, dtype: Any = None, copy: Any = None) -> Array:
            return np.array([1.0, 2.0])

    assert neocog.convolve(Wrapped(), [1, 1]).tolist() == [1, 3, 2]
    assert neocog.convolve(memoryview(b"\x01\x02"), (True, False)).tolist() == [1, 2, 0]


@given(st.data())
@settings(max_examples=200)
def test_axes(data: st.DataObject) -> None:
    """Along some axes as SciPy's fftconvolve; others broadcast, here also in mode "same"."""
    dims = data.draw(st.integers(2, 4))
    axes = data.draw(st.lists(st.integers(0, dims - 1), min_size=1, max_size=dims - 1, unique=True))
    mode, method = data.draw(st.sampled_from(MODES)), data.draw(st.sampled_from(METHODS))
    first, second = [], []
    for axis in range(dims):
        n, m = data.draw(st.integers(2, 7)), data.draw(st.integers(2, 7))
        if axis not in axes:
            n, m = data.draw(st.sampled_from([(n, n), (1, n), (n, 1)]))
        elif mode == "valid":
            n, m = max(n, m), min(n, m)
        first.append(n)
        second.append(m)
    x, h = numbers(first, "float64", 1), numbers(second, "complex64" if dims == 3 else "float64", 2)
    batch = [1 if a in axes else max(pair) for a, pair in enumerate(zip(first, second, strict=True))]
    whole = np.broadcast_to(x, np.broadcast_shapes(x.shape, batch))
    theirs = signal.fftconvolve(whole, h, mode, axes=axes)
    ours = neocog.convolve(x, h, mode, method, [a - dims * (a % 2) for a in axes])
    np.testing.assert_allclose(ours, theirs, atol=1e-5 if dims == 3 else 1e-12)
    flipped = np.conj(np.flip(h, tuple(axes)))
    np.testing.assert_allclose(
        neocog.correlate(x, h, mode, method, axes), neocog.convolve(x, flipped, mode, axes=axes), atol=1e-4
    )


@given(cases(("int64", "float32", "complex128")), st.data())
@settings(max_examples=100)
def test_blocks_of_any_length_and_any_threads(case: Case, data: st.DataObject) -> None:
    x, h = case.x, case.h
    x, h = (x, h) if x.size >= h.size else (h, x)
    if any(n < m for n, m in zip(x.shape, h.shape, strict=True)):
        h = h[tuple(slice(n) for n in x.shape)]
    plan = geometry(x.shape, h.shape, case.mode, None)
    threads = data.draw(st.integers(1, 3))
    same = Case(x, h, case.mode, "direct")
    kind = np.result_type(x, h)
    check(convolve_direct.direct(x.astype(kind), h.astype(kind), plan, threads), scipys(same), same)
    if h.size > 1 and kind.kind in "fc":
        lengths = tuple(m and m + data.draw(st.integers(1, 9)) if m > 1 else 0 for m in h.shape)
        check(
            convolve_fft.by_blocks(x.astype(kind), h.astype(kind), plan, lengths, threads), scipys(same), same
        )


def test_a_long_double_is_summed_in_its_type() -> None:
    x = np.arange(5, dtype=np.longdouble) / 3
    ours = neocog.convolve(x, x[::2], "same")
    assert ours.dtype == np.longdouble
    np.testing.assert_allclose(
        ours, np.convolve(x, x[::2], "same"), rtol=4 * float(np.finfo(np.longdouble).eps)
    )


def test_strides_and_byte_orders_do_not_matter() -> None:
    x = np.arange(2000.0).reshape(40, 50)
    h = np.arange(12.0).reshape(3, 4)
    plain = neocog.convolve(x, h, method="direct")
    for method in METHODS:
        np.testing.assert_allclose(
            neocog.convolve(np.asfortranarray(x), h[::-1][::-1], "full", method), plain, atol=1e-9
        )
        np.testing.assert_allclose(neocog.convolve(x.astype(">f8"), h, "full", method), plain, atol=1e-9)
