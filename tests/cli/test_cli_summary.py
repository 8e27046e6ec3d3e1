"""`neocog summary`: published numbers of known networks, one's own, and what is said of bad ones."""

from __future__ import annotations

import json
import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from neocog.cli import main

Captured = pytest.CaptureFixture[str]


def summary(capsys: Captured, *words: str) -> dict[str, Any]:
    """The result that the command line gives as JSON."""
    assert main(["summary", *words, "--json", "-"]) == 0
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


def told(capsys: Captured, *words: str) -> str:
    """The one line with which the command line refuses this, beside what the network's own code prints."""
    assert main(["summary", *words]) == 2
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line != "hello")
    return line


def fields(result: dict[str, Any], *kinds: str) -> list[tuple[int, int, float]]:
    """Size, jump and start of the receptive field of each layer of these types that has one."""
    rows = [row for row in result["rows"] if row["kind"] in kinds and row["field"]]
    return [tuple(row["field"][name] for name in ("size", "jump", "start")) for row in rows]


def costs(result: dict[str, Any]) -> list[int]:
    return [row["multiply_adds"] for row in result["rows"] if row["multiply_adds"]]


def test_the_digit_net_of_the_notes(capsys: Captured) -> None:
    result = summary(capsys, "notes-digit", "--classes", "10")
    assert result["parameters"] == 2_255
    assert costs(result) == [25_920, 7_200, 1_600]
    assert [size for size, *_ in fields(result, "Conv2d", "MaxPool2d")] == [6, 8, 16]
    assert [jump for _, jump, _ in fields(result, "Conv2d", "MaxPool2d")] == [2, 4, 4]


def test_the_pattern_net_of_the_notes(capsys: Captured) -> None:
    result = summary(capsys, "notes-pattern", "--classes", "3", "--size", "128")
    assert result["parameters"] == 129_731
    assert [row["parameters"] for row in result["rows"] if row["parameters"]] == [
        4_736,
        50_208,
        50_208,
        24_579,
    ]
    assert [size for size, *_ in fields(result, "Conv2d", "MaxPool2d")] == [7, 8, 20, 22, 46, 50]
    assert fields(result, "MaxPool2d")[-1][1] == 8
    assert costs(result) == [4_704 * 128**2, 50_176 * 64**2, 50_176 * 32**2, 24_576]
    assert result["rows"][0]["bytes"] == 4 * 524_288
    assert result["rows"][0]["parameter_bytes"] == 4 * 4_736


def test_lenet_5_as_it_is_used_today(capsys: Captured) -> None:
    result = summary(capsys, "lenet5", "--classes", "10")
    assert result["parameters"] == 61_706
    # The paper counts connections: multiply-adds, and one for the bias of each unit (C1, C5, F6).
    connections = [122_304 - 6 * 28 * 28, 48_120 - 120, 10_164 - 84]
    first, second, *dense, last = costs(result)
    assert [first, *dense] == connections
    assert (second, last) == (16 * 150 * 100, 840)
    assert [field[:2] for field in fields(result, "Conv2d", "MaxPool2d")] == [
        (5, 1),
        (6, 2),
        (14, 2),
        (16, 4),
    ]


LENET_1998 = """
from torch import nn
from neocog.backbones.lenet import LeNet5

class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.maps, self.c5, self.f6 = LeNet5(original=True), nn.Conv2d(16, 120, 5), nn.Linear(120, 84)

    def forward(self, images):
        return self.f6(self.c5(self.maps(images).maps["pool2"]).flatten(1))
"""


def test_lenet_5_of_1998(tmp_path: Path, capsys: Captured, own_path: None) -> None:
    (tmp_path / "lenet.py").write_text(LENET_1998)
    result = summary(capsys, f"{tmp_path}/lenet.py:LeNet", "--input", "3,32,32")
    assert result["parameters"] == 60_000
    assert [row["parameters"] for row in result["rows"]] == [156, 12, 1_516, 32, 48_120, 10_164]
    seen = [(row["field"]["size"], row["field"]["jump"]) for row in result["rows"][:-1]]
    assert seen == [(5, 1), (6, 2), (14, 2), (16, 4), (32, 4)]


def test_vgg_16(capsys: Captured) -> None:
    result = summary(capsys, "vgg16", "--classes", "1000", "--size", "224")
    assert (result["parameters"], round(result["gflops"], 3)) == (138_357_544, 15.470)
    pools = [(6, 2, 0.5), (16, 4, 1.5), (44, 8, 3.5), (100, 16, 7.5), (212, 32, 15.5)]
    assert fields(result, "MaxPool2d") == pools
    assert fields(result, "Conv2d")[-1] == (196, 16, 7.5)


def test_resnet_50(capsys: Captured) -> None:
    result = summary(capsys, "resnet50", "--classes", "1000", "--size", "224")
    assert (result["parameters"], round(result["gflops"], 3)) == (25_557_032, 4.089)
    stages = [
        [row for row in result["rows"] if f"layer{n}." in row["name"]][-1]["field"] for n in (1, 2, 3, 4)
    ]
    assert [stage["size"] for stage in stages] == [35, 91, 267, 427]
    assert [stage["jump"] for stage in stages] == [4, 8, 16, 32]


OWN = """
import sys
from torch import nn

print("hello")
net = nn.Sequential(nn.Conv2d(1, 4, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten(), nn.LazyLinear(3))
dense = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2)).double()
wave = nn.Sequential(nn.Conv1d(2, 4, 5), nn.MaxPool1d(2))
plain = nn.Flatten()
number = 7

def make():
    return dense

def broken():
    return 1 / 0

def leave():
    sys.exit("no")

class Needy(nn.Module):
    def __init__(self, width):
        super().__init__()

class Failing(nn.Module):
    def forward(self, x):
        raise KeyError("x")
"""


@pytest.fixture
def own_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test puts on the path of imports is gone after it."""
    monkeypatch.setattr(sys, "path", [*sys.path])


@pytest.fixture
def own(tmp_path: Path, own_path: None) -> str:
    (tmp_path / "own.py").write_text(OWN)
    return f"{tmp_path}/own.py"


def test_a_sequence_of_ones_own(own: str, capsys: Captured) -> None:
    result = summary(capsys, f"{own}:net", "--input", "1,8,6")
    conv, relu, flat, dense = result["rows"]
    assert [row["shape"] for row in result["rows"]] == [[1, 4, 4, 3]] * 2 + [[1, 48], [1, 3]]
    assert (conv["parameters"], dense["parameters"], result["parameters"]) == (40, 147, 187)
    plain = {"dilation": [1, 1], "transposed": False}
    assert conv["window"] == plain | {"kernel": [3, 3], "stride": [2, 2], "padding": [1, 1]}
    assert (conv["reads"], relu["reads"], flat["window"]) == ([-1], [0], None)


def test_the_input_follows_from_the_first_layer(own: str, capsys: Captured) -> None:
    assert summary(capsys, f"{own}:net")["input"] == [1, 1, 224, 224]
    assert summary(capsys, f"{own}:make")["input"] == [1, 6]
    wave = summary(capsys, f"{own}:wave", "--input", "2,30")
    assert [row["shape"] for row in wave["rows"]] == [[1, 4, 26], [1, 4, 13]]
    assert [row["field"]["size"] for row in wave["rows"]] == [5, 6]


def test_a_network_in_a_module(own: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(own).parent)
    try:
        assert summary(capsys, "own:dense")["parameters"] == 47
    finally:
        sys.modules.pop("own", None)
    assert summary(capsys, "neocog.backbones.lenet:LeNet5", "--input", "3,32,32")["parameters"] == 2_572


def test_the_table_says_memory_and_cost(own: str, capsys: Captured) -> None:
    assert main(["summary", f"{own}:net", "--input", "1,8,8"]) == 0
    out = capsys.readouterr().out
    title, headings, conv, *_, total = out.splitlines()
    assert title.endswith("input 1 x 8 x 8")
    assert "weights B  output B  multiply-adds" in headings
    assert re.split("  +", conv) == ["0", "Conv2d", "4 x 4 x 4", "40", "160", "256", "576", "3 / 2 / 0"]
    assert total == "235 parameters (940 B), 768 multiply-adds, 780 B of layer outputs"


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("gone.py:net", "gone.py: does not exist"),
        ("own.py", "say which network in it, as"),
        ("own.py:", "say which network in it, as"),
        ("own.py:nett", "did you mean 'net'?"),
        ("own.py:number", "is no torch.nn.Module but of type int"),
        ("own.py:broken", "own.py:16: ZeroDivisionError: division by zero"),
        ("own.py:leave", "own.py:19: SystemExit: no"),
        ("own.py:Needy", "needs arguments (missing a required argument: 'width')"),
        ("own.py:wave", "its first layer with weights is a Conv1d; give the shape of one input"),
        ("own.py:plain", "it has no weights; give the shape of one input"),
        ("syntax.py:net", "syntax.py:2: SyntaxError"),
        ("imports.py:net", "imports.py:1: ModuleNotFoundError: No module named 'no_such_thing'"),
    ],
)
def test_bad_places_are_told_in_one_line(place: str, message: str, own: str, capsys: Captured) -> None:
    folder = Path(own).parent
    (folder / "syntax.py").write_text("x = 1\nnet = (\n")
    (folder / "imports.py").write_text("import no_such_thing\n")
    assert message in told(capsys, f"{folder}/{place}")


def test_networks_that_fail_say_where(own: str, capsys: Captured) -> None:
    assert "own.py:27: KeyError: 'x' (with --input 1)" in told(capsys, f"{own}:Failing", "--input", "1")
    line = told(capsys, f"{own}:net", "--input", "2,8,8")
    assert "RuntimeError in layer 0: " in line and "(with --input 2,8,8)" in line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["no.such.module:net"], "there is no module 'no'"),
        (["neocog.nothing:net"], "there is no module 'neocog.nothing'"),
        (["a-b:net"], "'a-b' is neither a .py file nor a module's name"),
        (["math:pi"], "math:pi: is no torch.nn.Module but of type float"),
        (["math:pie", "--size", "8"], "--size is for our models"),
        (["lenet5", "--input", "3,8,8"], "--input is for a network of your own"),
        (["torch.nn:Flatten", "--input", "3,x"], "--input 3,x: give the sizes of one input"),
        (["torch.nn:Flatten", "--input", "3,0"], "--input 3,0: give the sizes of one input"),
        (["lenet", "--classes", "3"], "did you mean 'lenet5'?"),
        (
            ["lenet5", "--svg", "lenet.png"],
            "--svg lenet.png: the format is SVG; give a name that ends in .svg",
        ),
    ],
)
def test_wrong_words(words: list[str], message: str, capsys: Captured, own_path: None) -> None:
    assert message in told(capsys, *words)


def test_a_drawing_is_written_and_not_overwritten(own: str, tmp_path: Path, capsys: Captured) -> None:
    words = [f"{own}:net", "--input", "1,8,8", "--svg", str(tmp_path / "new" / "net.svg")]
    assert main(["summary", *words]) == 0
    root = ElementTree.parse(tmp_path / "new" / "net.svg").getroot()
    assert "235 parameters" in str(root.get("aria-label"))
    capsys.readouterr()
    assert "exists already; give --overwrite" in told(capsys, *words)
    assert main(["summary", *words, "--overwrite"]) == 0
