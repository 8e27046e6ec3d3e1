"""Every bad folder, option, model, checkpoint and archive of the catalogue: one line, the right exit code."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from tests.badinputs import (
    TRAIN,
    BadInput,
    Command,
    Expected,
    base,
    drive,
    ground,
    judge,
    model,
    plant,
    tree_hash,
)
from tests.badinputs.calls import CALLS, BadCall
from tests.badinputs.folders import ARCHIVES, ITEMS
from tests.badinputs.models import CHECKPOINTS, CONFIG, MODELS, WEIGHTS, BadModel, bits, checkpoint

from neocog.checkpoint import load_checkpoint
from neocog.data.open import open_data
from neocog.errors import CheckpointError, DataError
from neocog.predict import load
from neocog.weights import load_model

HARMLESS = [item for item in ITEMS if item.expected is not Expected.STOP and "evaluate" in item.commands]
"""Items that go together."""


@pytest.mark.parametrize("item", [item for item in ITEMS if item not in HARMLESS], ids=lambda item: item.id)
def test_folders_and_configuration(item: BadInput, tmp_path: Path) -> None:
    spot = ground(tmp_path / "data", item.format)
    planted = plant(spot, [item])
    for command in item.commands:
        judge(planted, command, spot, tmp_path / command)


@pytest.mark.parametrize("command", ["load", "check", "train", "evaluate", "predict"])
def test_harmless_folders(command: Command, tmp_path: Path) -> None:
    spot = ground(tmp_path / "data")
    concerned = [one for one in plant(spot, HARMLESS) if command in one.item.commands]
    judge(concerned, command, spot, tmp_path / "out")


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.id)
def test_options(call: BadCall, tmp_path: Path) -> None:
    """Exit code 2 (a split that the data lack: 3) and one line, before anything is trained."""
    out = tmp_path / "run"
    words = ["train", "faster-rcnn", "--data", str(base("voc")), "--out", str(out), *TRAIN, *call.words]
    answer = drive(words)
    assert answer.code == (3 if "split" in call.id else 2), answer
    assert re.search(call.pattern, answer.err), answer.err
    assert not out.exists()


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A copy of a run, to be spoiled."""
    return Path(shutil.copytree(model(), tmp_path / "run", symlinks=True))


@pytest.mark.parametrize("bad", MODELS, ids=lambda bad: bad.id)
def test_models(bad: BadModel, run: Path, tmp_path: Path) -> None:
    bad.make(run)
    before = tree_hash(run)
    picture = next((base("voc") / "JPEGImages").iterdir())
    for words in (
        ["predict", str(run), str(picture), "--out", str(tmp_path / "found")],
        ["evaluate", str(run), "--data", str(base("voc"))],
    ):
        answer = drive(words)
        assert answer.code == 4, answer
        assert str(run / bad.place) in answer.err and re.search(bad.pattern, answer.err), answer.err
    with pytest.raises(CheckpointError):
        load(run)
    assert tree_hash(run) == before and not (tmp_path / "found").exists()


@pytest.mark.parametrize("bad", CHECKPOINTS, ids=lambda bad: bad.id)
def test_checkpoints(bad: BadModel, run: Path) -> None:
    """A run whose last checkpoint is damaged is not resumed, and nothing of it is lost by trying."""
    bad.make(run)
    before = tree_hash(run)
    answer = drive(
        ["train", "faster-rcnn", "--data", str(base("voc")), "--out", str(run), *TRAIN, "--resume"]
    )
    assert answer.code == 4, answer
    assert bad.place in answer.err and re.search(bad.pattern, answer.err), answer.err
    assert tree_hash(run) == before


@pytest.mark.parametrize("text", ["", "{", "[]", '{"options": {}}'])
def test_evaluation_without_data_needs_a_whole_description(text: str, run: Path) -> None:
    (run / "run.json").write_text(text)
    answer = drive(["evaluate", str(run)])
    assert answer.code == 4 and str(run / "run.json") in answer.err and "give --data PATH" in answer.err


def test_every_cut_is_found(run: Path) -> None:
    for name in (WEIGHTS, CONFIG):
        data = (run / name).read_bytes()
        for share in range(50):
            (run / name).write_bytes(data[: len(data) * share // 50])
            with pytest.raises(CheckpointError, match=r"model\.safetensors|config\.json"):
                load_model(run)
        (run / name).write_bytes(data)
    load_model(run)
    for path in sorted(checkpoint(run).iterdir()):
        data = path.read_bytes()
        for share in range(0, 50, 10):
            path.write_bytes(data[: len(data) * share // 50])
            with pytest.raises(CheckpointError, match=re.escape(path.name)):
                load_checkpoint(run)
        path.write_bytes(data)
    assert load_checkpoint(run) is not None


def test_every_flipped_bit_is_found(run: Path) -> None:
    for name, count in ((WEIGHTS, 25), (CONFIG, 250)):
        data = (run / name).read_bytes()
        for bit in bits(len(data), count, seed=0):
            spoiled = bytearray(data)
            spoiled[bit // 8] ^= 1 << bit % 8
            (run / name).write_bytes(spoiled)
            with pytest.raises(CheckpointError):
                load_model(run)
        (run / name).write_bytes(data)
    load_model(run)
    for path in sorted(checkpoint(run).iterdir()):
        data = path.read_bytes()
        for bit in bits(len(data), 8, seed=1):
            spoiled = bytearray(data)
            spoiled[bit // 8] ^= 1 << bit % 8
            path.write_bytes(spoiled)
            with pytest.raises(CheckpointError):
                load_checkpoint(run)
        path.write_bytes(data)
    assert load_checkpoint(run) is not None


@pytest.mark.parametrize("name", ARCHIVES)
def test_archives_are_never_unpacked(name: str, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    path = tmp_path / "here" / name
    ARCHIVES[name](path)
    before = tree_hash(tmp_path)
    for words in (
        ["data", "check", str(path)],
        ["train", "faster-rcnn", "--data", str(path), "--out", str(tmp_path / "run"), *TRAIN],
        ["evaluate", str(model()), "--data", str(path)],
    ):
        answer = drive(words)
        assert answer.code == 3 and f"{path}: an archive (unpack it and give the folder)" in answer.err
    with pytest.raises(DataError, match="an archive"):
        open_data(path)
    assert tree_hash(tmp_path) == before
