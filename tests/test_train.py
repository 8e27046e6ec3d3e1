"""The loop itself: schedule, averaged weights, budgets, and numbers that are not finite."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from neocog.errors import NumbersError, UsageError
from neocog.testing import FULL, make_batch
from neocog.train import Training, TrainOptions, fit
from neocog.types import Batch


class Toy(nn.Module):
    """Predicts the mean of the picture with one weight and dropout: enough for a loop."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3, 2))
        self.dropout = nn.Dropout(0.5)

    def forward(self, batch: Batch) -> Tensor:
        return self.dropout(batch.images.mean(dim=(2, 3)) @ self.scale)

    def loss(self, output: Tensor, batch: Batch) -> dict[str, Tensor]:
        return {"first": output.square().mean(), "second": (output - 1).abs().mean()}


def batches() -> Iterator[Batch]:
    seed = 0
    while True:
        yield make_batch([FULL, FULL], size=16, seed=seed)
        seed += 1


def train(options: TrainOptions, model: nn.Module | None = None) -> tuple[Training, list[float]]:
    training = Training(model or Toy(), options, options.steps)
    return training, [sum(step.losses.values()) for step in fit(training, batches())]


def test_two_trainings_are_equal_to_the_bit() -> None:
    options = TrainOptions(steps=8, lr=1e-2, precision="f32")
    first, losses = train(options)
    torch.rand(17)  # whatever else drew numbers in between
    second, again = train(options)
    assert losses == again
    assert torch.equal(first.average["scale"], second.average["scale"])


def test_steps_are_counted_and_the_budget_ends() -> None:
    training = Training(Toy(), TrainOptions(steps=5), 5)
    steps = list(fit(training, batches()))
    assert [step.number for step in steps] == [1, 2, 3, 4, 5]
    assert steps[-1].progress == 1.0


def test_minutes_end_too() -> None:
    training = Training(Toy(), TrainOptions(minutes=0.005), None)
    assert sum(step.seconds for step in fit(training, batches())) >= 0.3


def test_schedule_rises_then_falls_in_straight_lines() -> None:
    options = TrainOptions(steps=100, lr=1.0, warmup=0.1)
    training = Training(Toy(), options, 100)
    rates = []
    for step in range(100):
        training.step = step
        rates.append(training.lr(training.progress()))
    assert rates[0] == pytest.approx(0.1)
    assert rates[5] == pytest.approx(0.5)
    assert max(rates) == rates[10] == 1.0
    assert rates[55] == pytest.approx(0.5)
    assert rates[99] == pytest.approx(1 / 90)
    assert rates[:11] == sorted(rates[:11]) and rates[10:] == sorted(rates[10:], reverse=True)


def test_average_is_the_recurrence_it_claims() -> None:
    training = Training(Toy(), TrainOptions(steps=3, lr=0.1, ema=0.5), 3)
    expected = training.average["scale"].clone()
    for step in fit(training, batches()):
        decay = min(0.5, (1 + step.number) / (10 + step.number))
        expected = decay * expected + (1 - decay) * training.model.state_dict()["scale"]
        torch.testing.assert_close(training.average["scale"], expected)


@pytest.mark.parametrize("step", [1, 3, 5])
def test_a_number_that_is_not_finite_stops_before_the_weights_change(step: int) -> None:
    training = Training(Toy(), TrainOptions(steps=5), 5)

    def poisoned() -> Iterator[Batch]:
        for number, batch in enumerate(batches(), 1):
            if number == step:
                batch.images[0, 0, 0, 0] = math.nan
            yield batch

    with pytest.raises(NumbersError, match=rf"^step {step}: loss 'first' is not finite \(images: "):
        list(fit(training, poisoned()))
    assert training.step == step - 1
    assert all(torch.isfinite(value).all() for value in training.model.state_dict().values())
    assert all(torch.isfinite(value).all() for value in training.average.values())


def test_a_broken_weight_is_named() -> None:
    model = Toy()
    with torch.no_grad():
        model.scale[0, 0] = math.inf
    with pytest.raises(NumbersError, match=r"^step 1: weight 'scale' is not finite"):
        train(TrainOptions(steps=2), model)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 3, "minutes": 1.0}, "one budget"),
        ({"steps": 0}, "--steps must be positive"),
        ({"lr": -1.0}, "--lr must be positive"),
        ({"lr": math.inf}, "--lr must be positive and finite, not inf"),
        ({"minutes": math.nan}, "--minutes must be positive and finite, not nan"),
        ({"skip_bad_steps": -1}, r"--skip-bad-steps must lie in 0\.\.3, not -1"),
        ({"optimizer": "adam"}, "--optimizer adam: give muon, adamw, sgd"),
        ({"ema": 1.0}, r"--ema must lie in \[0, 1\)"),
    ],
)
def test_senseless_options_are_refused(options: dict[str, float | str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        TrainOptions(**options)  # type: ignore[arg-type]


def test_every_optimizer_has_a_decay_of_its_own() -> None:
    decays = [TrainOptions(optimizer=name).weight_decay for name in ("muon", "adamw", "sgd")]  # type: ignore[arg-type]
    assert decays == [0.5, 0.05, 5e-4]
    assert TrainOptions(weight_decay=0.1).weight_decay == 0.1


def test_decay_spares_biases_and_normalisation() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    model.loss = lambda output, batch: {}  # type: ignore[assignment]
    decayed, spared = Training(model, TrainOptions(steps=1), 1).optimizer.param_groups
    assert [p.ndim for p in decayed["params"]] == [2]
    assert spared["weight_decay"] == 0 and [p.ndim for p in spared["params"]] == [1, 1, 1]
