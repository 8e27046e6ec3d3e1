"""The whole family on one data set under one budget: train, test, and print the table."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from neocog.compare_report import compare_report
from neocog.data.dataset import Dataset, require_classes
from neocog.distributed.peers import ALONE, Peers
from neocog.distributed.shared import require_shared
from neocog.errors import Interrupted
from neocog.evaluate import Evaluation, evaluate
from neocog.files import make_folder, write_atomic
from neocog.plan import Machine, RunOptions, open_split, with_seed
from neocog.precision import uses_bf16
from neocog.predict import load
from neocog.run import Moment, Run
from neocog.trials import Trial, keep_trial, peak_memory_mb, read_trial, run_of, tabulate


def _drain(run: Run, title: str) -> Iterable[Moment]:
    return run


def compare(
    plans: Sequence[RunOptions],
    seeds: Sequence[int],
    out: Path,
    machine: Machine,
    test_split: str = "test",
    watch: Callable[[Run, str], Iterable[Moment]] = _drain,
    *,
    begin: Callable[[], object] = lambda: None,
    stopping: Callable[[], bool] = lambda: False,
    resume: bool = False,
) -> Iterator[Trial]:
    """Train every plan with every seed, test each, and write `compare.json` (after each) and `report.html`.

    Budgets count optimisation only, pre-training included; compilation, the search for regions, validation
    and test are outside. Each training is a run folder `out/MODEL-BACKBONE-seedN`; `watch` iterates it, and
    may show it. Models that search for the same regions share them, in `out/proposals`.

    Of several processes (`machine.peers`) each takes the next trial and does it alone, with the bits of a
    process by itself; the first is given all trials. `out` must be one folder for all: UsageError if not.

    `begin` is called, in the first process, before anything is written. With `resume`, trials that `out`
    holds are not done again, and one that was interrupted goes on from its checkpoint: UsageError if it had
    other options. Where a run is stopped, or `stopping` says yes during a test, Interrupted.
    """
    test_data = open_split(plans[0], test_split, machine.strict)
    peers, machine = machine.peers, replace(machine, peers=ALONE, proposals=out / "proposals")
    work = [with_seed(plan, seed) for plan in plans for seed in seeds]
    shown: dict[str, int] = {}  # the first seed of a model stands for all in pictures
    for place, options in enumerate(work):
        shown.setdefault(options.model, place)
    tests: dict[str, Evaluation] = {}  # of those shown
    given: set[int] = set()
    begun = False
    for place in peers.deal(len(work)):
        options = work[place]
        folder = run_of(out, options.model, options.backbone, options.training.seed)
        run = Run(folder, options, machine, resume=resume)
        require_classes(test_data, run.data.classes, "the training split")
        if not begun:
            _begin(out, peers, begin)
            begun = True
        trial = read_trial(out, options, test_data) if resume else None
        if trial is None:
            trial, test = _carry_out(run, test_data, watch, stopping, peers.size)
            if shown[options.model] == place:
                tests[options.model] = test
        if peers.first:
            _write_table(out, work, test_data)  # after each: what follows may fail
            given.add(place)
            yield trial
    if not begun:
        _begin(out, peers, begin)
    peers.wait_for_all()
    tests = {model: test for own in peers.gather(tests) for model, test in own.items()}
    if not peers.first:
        return
    trials = _write_table(out, work, test_data)
    yield from (trial for place, trial in enumerate(trials) if place not in given)
    for model, place in shown.items():
        if model not in tests:  # tested before a resume: pictures need more than was kept
            tests[model] = _test(trials[place].folder, work[place], test_data, machine, stopping)
    compare_report(out, tabulate(trials), test_data, {model: tests[model] for model in shown})


def _begin(out: Path, peers: Peers, begin: Callable[[], object]) -> None:
    if peers.first:
        begin()
        make_folder(out)
    require_shared(out, peers)


def _carry_out(
    run: Run,
    test_data: Dataset,
    watch: Callable[[Run, str], Iterable[Moment]],
    stopping: Callable[[], bool],
    processes: int,
) -> tuple[Trial, Evaluation]:
    """Train a run to its end, test it, and keep what came of it in its folder."""
    for _ in watch(run, run.options.model):
        pass
    if run.stopped:
        raise Interrupted(
            f"{run.out}: interrupted after step {run.training.step}; --resume goes on from there"
        )
    test = _test(run.out, run.options, test_data, run.machine, stopping)
    trial = Trial(
        run.options,
        run.out,
        run.training.elapsed,
        run.proposing_seconds,
        run.training.step,
        test.to_dict(),
        test.regions,
        peak_memory_mb(),
        processes,
    )
    keep_trial(trial, test_data)
    return trial, test


def _test(
    folder: Path, options: RunOptions, data: Dataset, machine: Machine, stopping: Callable[[], bool]
) -> Evaluation:
    bf16 = uses_bf16(options.training.precision, machine.device)  # as it was trained
    predictor = load(folder, machine.device, "bf16" if bf16 else "f32")
    return evaluate(predictor, data, strict=machine.strict, proposals=machine.proposals, stopping=stopping)


def _write_table(out: Path, work: Sequence[RunOptions], data: Dataset) -> list[Trial]:
    """The trials that came to their end, in order; `compare.json` is made of them."""
    found = [read_trial(out, options, data) for options in work]
    trials = [trial for trial in found if trial is not None]
    write_atomic(out / "compare.json", json.dumps(tabulate(trials), indent=2) + "\n")
    return trials
