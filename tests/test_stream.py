"""Reading ahead changes no answer and no order, and is bounded."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from neocog.errors import DataError
from neocog.predict import Predictor
from neocog.stream import AHEAD, Answered, map_ahead, predict_all
from neocog.zoo import MODELS, create


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_order_is_kept_and_few_are_under_way(threads: int) -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(40):
            taken += 1
            yield number

    for place, square in enumerate(map_ahead(lambda number: number**2, items(), threads)):
        assert square == place**2
        assert taken - place <= threads * AHEAD + 1


def test_a_failure_comes_in_its_turn_and_ends_the_threads() -> None:
    before = threading.active_count()
    answers = map_ahead(lambda number: 12 // number, [3, 2, 0, 1], 1)
    assert [next(answers), next(answers)] == [4, 6]
    with pytest.raises(ZeroDivisionError):
        next(answers)
    assert threading.active_count() == before


@pytest.mark.parametrize("readers", [0, 2])
def test_answers_are_those_of_the_predictor(readers: int, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = create("ssd", ["a", "b"], "compact", MODELS["ssd"].options("compact", 64))
    predictor = Predictor(model, ["a", "b"], (64, 64))
    random, paths = np.random.default_rng(0), [str(tmp_path / f"{number}.png") for number in range(6)]
    for number, path in enumerate(paths):
        Image.fromarray(random.integers(0, 256, (40 + number, 64, 3), dtype=np.uint8)).save(path)
    Path(paths[2]).write_text("no picture")
    for path, answered in zip(paths, predict_all(predictor, paths, readers=readers), strict=True):
        if path == paths[2]:
            assert isinstance(answered, DataError) and str(answered).startswith(f"{path}: ")
            continue
        assert isinstance(answered, Answered)
        alone = predictor.predict(path)
        assert answered.found.to_dict() == alone.to_dict() and answered.found.source == path
        assert np.array_equal(answered.pixels, np.asarray(Image.open(path)))
