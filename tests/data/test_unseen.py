"""Objects of unseen classes in training data: ignored, counted, and nothing else changes."""

from __future__ import annotations

import pickle

import torch

from neocog.data.scenes import Scenes
from neocog.data.unseen import Ignoring, without_unseen


def test_objects_of_these_classes_are_ignored_and_the_rest_is_as_it_was() -> None:
    plain = Scenes("std", "train", count=30)
    data = without_unseen(plain, [1, 4])
    assert isinstance(data, Ignoring)
    assert (data.name, data.format, data.split, data.classes, data.fingerprint, len(data)) == (
        plain.name,
        plain.format,
        plain.split,
        plain.classes,
        plain.fingerprint,
        30,
    )
    ignored = 0
    for index in range(30):
        sample, before = data[index], plain[index]
        assert sample.target is not None and before.target is not None
        assert (sample.image == before.image).all() and data.identity(index) == plain.identity(index)
        for objects in (sample.target, data.objects(index)):
            assert torch.equal(objects.boxes, before.target.boxes)
            assert torch.equal(objects.labels, before.target.labels)
            assert objects.ignore.tolist() == [label in (1, 4) for label in objects.labels.tolist()]
        ignored += int(sample.target.ignore.sum())
    assert data.count() == ignored > 5
    assert data.line() == f"{ignored} objects of unseen classes are ignored in split train: square, cross"


def test_it_survives_pickling_and_shows_what_lies_below() -> None:
    data = without_unseen(Scenes("std", "train", count=3), [0])
    again = pickle.loads(pickle.dumps(data))  # noqa: S301
    assert torch.equal(again.objects(2).ignore, data.objects(2).ignore)
    assert again.level == "std" and not hasattr(again, "report")


def test_nothing_is_wrapped_where_nothing_can_be_there() -> None:
    plain = Scenes("pairs", "train", count=3)
    held_out = [plain.classes.index(name) for name in plain.absent]
    assert without_unseen(plain, held_out) is plain and without_unseen(plain, ()) is plain
    assert isinstance(without_unseen(plain, [*held_out, 1]), Ignoring)
    assert isinstance(without_unseen(Scenes("pairs", "test", count=3), held_out), Ignoring)
