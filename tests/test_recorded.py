"""What is recorded gives the same bits as what is not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from tests.test_fast import NETWORKS, pictures, sides, trained
from torch import Tensor, nn

from neocog import recorded
from neocog.fast import packed
from neocog.nested import map_tensors, named_tensors
from neocog.packed import usable
from neocog.predict import Predictor
from neocog.recorded import MOST_COUNTS, MOST_RECORDINGS

pytestmark = pytest.mark.skipif(not usable(torch.float32), reason="this torch lacks oneDNN's operators")


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        first = torch.relu(self.one(x))
        return {"first": first, "second": torch.relu(self.two(first) + x)}


def image_of(height: int, width: int) -> Tensor:
    return torch.rand(1, 8, height, width).contiguous(memory_format=torch.channels_last)


def block() -> tuple[Any, Block]:
    torch.manual_seed(0)
    module = Block().eval().requires_grad_(False)
    return packed(module, lambda one: one(image_of(4, 4))), module


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each graph that was tried could be recorded; they are tried at the second pass."""
    tried: list[bool] = []
    plain = recorded.recorded

    def noted(graph: Any, tensors: Any, known: Any) -> Any:
        run = plain(graph, tensors, known)
        tried.append(run is not known)
        return run

    monkeypatch.setattr(recorded, "OFTEN", 1)
    monkeypatch.setattr(recorded, "recorded", noted)
    return tried


@pytest.mark.parametrize("precision", ["f32", "bf16"])
@pytest.mark.parametrize(("name", "backbone"), NETWORKS)
def test_the_same_bits(name: str, backbone: str, precision: str, at_once: list[bool]) -> None:
    if precision == "bf16" and not usable(torch.bfloat16):
        pytest.skip("no bfloat16 here")
    model = trained(name, backbone)
    predictor = Predictor(model, list("abcd"), sides(model)[0], precision=precision)
    for size in sides(model):
        batches = [pictures(size, count) for count in (1, 1, 2)]
        first = [predictor.run(batch)[0] for batch in batches]
        for _ in range(2):
            for batch, wanted in zip(batches, first, strict=True):
                found = predictor.run(batch)[0]
                for one, other in zip(named_tensors(found), named_tensors(wanted), strict=True):
                    assert one[0] == other[0] and torch.equal(one[1], other[1]), one[0]
    assert at_once, "nothing was tried"
    if name == "resnet18" or (name != "dc-ign" and precision == "f32"):
        assert any(at_once), "nothing could be recorded"


@torch.inference_mode()
def test_sizes_that_come_often_are_recorded_and_few_of_them(at_once: list[bool]) -> None:
    run, module = block()
    images = [image_of(6, side) for side in range(4, 6 + MOST_RECORDINGS)]
    for _ in range(3):
        for image in images:
            found, wanted = run(image), module(image)
            assert found.keys() == wanted.keys()
            for key, value in wanted.items():
                torch.testing.assert_close(found[key], value, rtol=1e-5, atol=1e-5)
    assert at_once == [True] * MOST_RECORDINGS


@torch.inference_mode()
def test_inputs_and_earlier_answers_stay_as_they_are(at_once: list[bool]) -> None:
    """Though sums are taken in place, and here the input is one of what is summed."""
    run, module = block()
    images = [image_of(6, 6) for _ in range(5)]
    before = [one.clone() for one in images]
    found = [run(one) for one in images]
    assert at_once == [True]
    for image, own, answer in zip(images, before, found, strict=True):
        assert torch.equal(image, own)
        for key, value in module(own).items():
            torch.testing.assert_close(answer[key], value, rtol=1e-5, atol=1e-5)


@torch.inference_mode()
def test_counts_do_not_pile_up() -> None:
    run, _ = block()
    for side in range(MOST_COUNTS + 2):
        run(image_of(1, side + 1))
    assert 0 < len(vars(run)["forward"].graph._times) <= MOST_COUNTS


@torch.inference_mode()
def test_other_numbers_of_threads_and_types_are_other_sizes(at_once: list[bool]) -> None:
    run, _ = block()
    image, threads = image_of(6, 6), torch.get_num_threads()
    try:
        for count in (1, 1, 2, 2):
            torch.set_num_threads(count)
            run(image)
    finally:
        torch.set_num_threads(threads)
    assert len(at_once) == 2


@torch.inference_mode()
def test_other_answers_are_not_used(at_once: list[bool]) -> None:
    own, _ = block()
    other, module = block()
    module.one.weight.mul_(1.5)
    image, mixed = image_of(6, 6), vars(own)["forward"].graph
    mixed.plain = vars(other)["forward"].graph.plain
    first = mixed(image)
    for _ in range(4):
        assert torch.equal(mixed(image)["second"], first["second"])
    assert at_once == [False]


@torch.inference_mode()
def test_dense_layers_alone_are_not_recorded(at_once: list[bool]) -> None:
    module = nn.Sequential(nn.Linear(8, 8), nn.ReLU()).eval().requires_grad_(False)
    own = packed(module, lambda one: one(torch.rand(2, 8)))
    for _ in range(3):
        own(torch.rand(2, 8))
    assert not at_once


def test_fusion_is_left_as_it_was() -> None:
    before = torch.jit.onednn_fusion_enabled()  # type: ignore[no-untyped-call]
    with pytest.raises(ValueError, match="inside"), recorded._fusing():
        raise ValueError("inside")
    assert torch.jit.onednn_fusion_enabled() == before  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class Pair:
    left: Tensor
    right: Any


def test_tensors_are_named_and_replaced_in_order() -> None:
    one, two, three = (torch.full((), float(number)) for number in (1, 2, 3))
    value = {"maps": {"c2": one}, "pair": Pair(two, [three, "a word", None, 7])}
    assert [name for name, _ in named_tensors(value)] == ["maps.c2", "pair.left", "pair.right.0"]
    seen: list[float] = []

    def negated(tensor: Tensor) -> Tensor:
        seen.append(float(tensor))
        return -tensor

    found = map_tensors(negated, value)
    assert seen == [1, 2, 3]
    assert found["maps"]["c2"] == -1 and found["pair"].left == -2
    assert found["pair"].right[0] == -3 and found["pair"].right[1:] == ["a word", None, 7]
