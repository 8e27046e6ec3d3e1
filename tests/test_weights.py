"""Tensors to bytes and back, hostile files, and the model folder."""

from __future__ import annotations

import json
import os
import pickle
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from tests.references.disks import flipped_bits
from torch import Tensor, nn

from neocog.errors import CheckpointError, DiskError, NumbersError
from neocog.predict import load
from neocog.weights import find_model, load_model, pack, read_file, restore_weights, save_model, unpack
from neocog.zoo import create

CONFIG = {
    "model": "ssd",
    "classes": ["cat", "dog"],
    "size": [96, 96],
    "scale": 0.1,
    "pad": None,
    "café": {"2": 1},
}


def bits(tensor: Tensor) -> bytes:
    return tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes()


def some_tensors() -> dict[str, Tensor]:
    made = torch.Generator().manual_seed(0)
    base = torch.randn(4, 6, generator=made)
    return {
        "plain": base,
        "transposed": base.T,
        "shared": base,
        "row": base[1],
        "strided": base[:, ::2],
        "expanded": torch.ones(1).expand(3, 4),
        "channels_last": torch.randn(2, 3, 4, 5, generator=made).contiguous(
            memory_format=torch.channels_last
        ),
        "scalar": torch.tensor(3.5),
        "empty": torch.zeros(0, 4),
        "double": torch.randn(3, generator=made, dtype=torch.float64),
        "half": torch.randn(3, generator=made).half(),
        "brain": torch.randn(3, generator=made).bfloat16(),
        "eight": torch.randn(3, generator=made).to(torch.float8_e4m3fn),
        "whole": torch.tensor([-(2**62), 7]),
        "flags": torch.tensor([True, False]),
        "zero": torch.tensor([-0.0, 1e-45]),
    }


def test_tensors_come_back_bit_for_bit(tmp_path: Path) -> None:
    tensors = some_tensors()
    back = unpack(pack(tensors), tmp_path)
    assert back.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert back[name].dtype == tensor.dtype
        assert back[name].shape == tensor.shape
        assert bits(back[name]) == bits(tensor)
    assert pack(back) == pack(dict(reversed(tensors.items())))


def test_the_file_is_safetensors(tmp_path: Path) -> None:
    """Read by the format's own library."""
    (tmp_path / "file").write_bytes(pack(some_tensors()))
    with safe_open(tmp_path / "file", framework="np") as file:
        assert file.get_tensor("transposed").tolist() == some_tensors()["transposed"].tolist()


def one_line(call: Any, *words: str) -> None:
    """The call fails with CheckpointError of one line that names all of `words`."""
    with pytest.raises(CheckpointError) as caught:
        call()
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def with_header(header: object, data: bytes = bytes(16)) -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


TWICE = b",".join([b'"w":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}'] * 2)
HOSTILE = {
    "empty": b"",
    "pickle": pickle.dumps({"w": [1.0]}),
    "zip": b"PK\x03\x04" + bytes(100),
    "header of 8 EiB": (2**63).to_bytes(8, "little") + b"{}",
    "header not JSON": (4).to_bytes(8, "little") + b"nope",
    "negative offset": with_header({"w": {"dtype": "F32", "shape": [4], "data_offsets": [-16, 0]}}),
    "overlap": with_header(
        {
            "w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]},
            "v": {"dtype": "F32", "shape": [2], "data_offsets": [8, 16]},
        }
    ),
    "hole": with_header({"w": {"dtype": "F32", "shape": [2], "data_offsets": [8, 16]}}),
    "wrong shape": with_header({"w": {"dtype": "F32", "shape": [5], "data_offsets": [0, 16]}}),
    "overflowing shape": with_header(
        {"w": {"dtype": "F32", "shape": [2**63, 2**63], "data_offsets": [0, 16]}}
    ),
    "unknown type": with_header({"w": {"dtype": "F4", "shape": [32], "data_offsets": [0, 16]}}),
    "one name twice": (len(TWICE) + 2).to_bytes(8, "little") + b"{%s}" % TWICE + bytes(16),
    "header nested deep": (10**5).to_bytes(8, "little") + b"[" * 10**5,
    "not finite": pack({"w": torch.tensor([1.0, float("nan")])}),
    "not finite float8": pack({"w": torch.tensor([float("nan")]).to(torch.float8_e4m3fn)}),
    "infinite complex": pack({"w": torch.tensor([complex(0, float("inf"))])}),
    "name with a newline": pack({"w\nx": torch.tensor([float("inf")])}),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_files_give_one_line(case: str) -> None:
    one_line(lambda: unpack(HOSTILE[case], Path("some.safetensors")), "some.safetensors: ")


def test_cut_files_give_one_line() -> None:
    data = pack(some_tensors())
    for length in range(0, len(data), 7):
        one_line(lambda cut=data[:length]: unpack(cut, Path("some.safetensors")), "some.safetensors: ")


@settings(deadline=None, max_examples=300)
@given(st.integers(0, 10**6), st.binary(min_size=1, max_size=12))
def test_mutated_files_load_or_give_one_line(place: int, patch: bytes) -> None:
    data = bytearray(pack({"a": torch.arange(4.0), "b": torch.arange(3)}))
    start = place % len(data)
    data[start : start + len(patch)] = patch
    try:
        unpack(bytes(data), Path("some.safetensors"))
    except CheckpointError as error:
        assert "\n" not in str(error)


def test_restore_weights_is_exact_and_keeps_the_layout(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, other = (nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)) for _ in range(2))
    other.to(memory_format=torch.channels_last)
    restore_weights(other, unpack(pack(model.state_dict()), tmp_path), tmp_path)
    for name, value in other.state_dict().items():
        assert bits(value) == bits(model.state_dict()[name])
    assert other.state_dict()["0.weight"].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("weight", None, ["'weight'", "missing"]),
        ("extra", torch.zeros(1), ["'extra'", "unknown"]),
        ("weight", torch.zeros(4, 4), ["'weight'", "float32 (4, 4)", "float32 (2, 4)"]),
        ("bias", torch.zeros(2, dtype=torch.float64), ["'bias'", "float64 (2,)", "float32 (2,)"]),
    ],
)
def test_wrong_weights_give_one_line_and_load_nothing(
    name: str, value: Tensor | None, words: list[str]
) -> None:
    module = nn.Linear(4, 2)
    before = {key: tensor.clone() for key, tensor in module.state_dict().items()}
    weights = {key: torch.zeros_like(tensor) for key, tensor in before.items()}
    weights |= {} if value is None else {name: value}
    if value is None:
        del weights[name]
    one_line(lambda: restore_weights(module, weights, Path("run/weights.safetensors")), "run/weights", *words)
    assert all(torch.equal(module.state_dict()[key], before[key]) for key in before)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    save_model(tmp_path / "model", CONFIG, some_tensors(), "# A card\n")
    return tmp_path


def test_a_model_comes_back_from_run_and_model_folder(run: Path) -> None:
    for path in (run, run / "model"):
        assert find_model(path) == run / "model"
        config, weights = load_model(path)
        assert config == CONFIG
        assert {name: bits(value) for name, value in weights.items()} == {
            name: bits(value) for name, value in some_tensors().items()
        }
    assert (run / "model" / "README.md").read_text() == "# A card\n"


def test_saving_again_replaces_the_model_and_leaves_other_files(run: Path) -> None:
    (run / "model" / "LICENSE").write_text("mine")
    save_model(run / "model", {"sizes": {10: "ten", 9: "nine"}}, {"w": torch.ones(2)}, "other")
    config, weights = load_model(run)
    assert config == {"sizes": {"10": "ten", "9": "nine"}}
    assert weights.keys() == {"w"}
    assert sorted(path.name for path in (run / "model").iterdir()) == [
        "LICENSE",
        "README.md",
        "config.json",
        "model.safetensors",
    ]


def test_a_weight_that_is_not_finite_is_refused(run: Path) -> None:
    with pytest.raises(NumbersError, match=r"'b'.*not saved"):
        save_model(run / "model", {}, {"a": torch.ones(2), "b": torch.tensor([1.0, float("nan")])}, "")
    assert load_model(run)[0] == CONFIG


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_one_flipped_bit_is_found(name: str, run: Path) -> None:
    for _ in flipped_bits(run / "model" / name):
        one_line(lambda: load_model(run), str(run / "model"))
    assert load_model(run)[0] == CONFIG


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_cut_or_missing_model_files(name: str, run: Path) -> None:
    path = run / "model" / name
    data = path.read_bytes()
    for length in range(0, len(data) - 1, 11):
        path.write_bytes(data[:length])
        one_line(lambda: load_model(run), str(path))
    path.unlink()
    one_line(lambda: load_model(run), str(run), "no model in it" if name == "config.json" else "missing")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("[]", "damaged"),
        ("{}", "format"),
        ('{"format": 2}', "newer version"),
        ('{"format": true}', "format"),
        ('{"format": NaN}', "NaN"),
        ('{"format": 1, "config": []}', "config"),
        ('{"format": 1, "config": {}, "sha256": {}}', "hash"),
        ("[" * 100_000, "damaged"),
        ("\udcff", "damaged"),
    ],
)
def test_wrong_configs_give_one_line(text: str, word: str, run: Path) -> None:
    (run / "model" / "config.json").write_bytes(text.encode(errors="surrogateescape"))
    one_line(lambda: load_model(run), "config.json: ", word)


def test_an_edited_config_is_accepted_without_its_hash(run: Path) -> None:
    path = run / "model" / "config.json"
    document = json.loads(path.read_text())
    document["config"]["classes"] = ["chat", "chien"]
    path.write_text(json.dumps(document))
    one_line(lambda: load_model(run), "config.json", 'remove "config" from "sha256"')
    del document["sha256"]["config"]
    path.write_text(json.dumps(document))
    assert load_model(run)[0]["classes"] == ["chat", "chien"]


def test_only_regular_files_of_bounded_size_are_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    assert read_file(tmp_path / "file", 5) == b"12345"
    one_line(lambda: read_file(tmp_path / "file", 4), "file: ", "the limit is")
    one_line(lambda: read_file(tmp_path / "none", 4), "none: ", "No such file")
    one_line(lambda: read_file(tmp_path, 4), "not a regular file")
    os.mkfifo(tmp_path / "pipe")
    one_line(lambda: read_file(tmp_path / "pipe"), "pipe: ", "not a regular file")


def test_a_description_of_a_larger_network_is_refused_before_it_is_built(tmp_path: Path) -> None:
    model = create("faster-rcnn", 2)
    options = asdict(model.options)  # type: ignore[call-overload]
    config = {"model": "faster-rcnn", "backbone": "compact", "classes": ["a", "b"], "size": [64, 64]}
    save_model(tmp_path, config | {"options": options}, model.state_dict(), "")
    assert load(tmp_path).classes == ("a", "b")
    save_model(tmp_path, config | {"options": options | {"hidden": 8192}}, model.state_dict(), "")
    one_line(lambda: load(tmp_path), "config.json: ", "larger than model.safetensors")


def test_no_model(tmp_path: Path) -> None:
    one_line(lambda: load_model(tmp_path / "nowhere"), "nowhere", "no such run")
    one_line(lambda: load_model(tmp_path), str(tmp_path), "no model in it")
    (tmp_path / "file").write_text("")
    one_line(lambda: load_model(tmp_path / "file"), "no model in it")


def test_a_model_where_a_file_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "model").write_text("")
    with pytest.raises(DiskError):
        save_model(tmp_path / "model", {}, {}, "")
