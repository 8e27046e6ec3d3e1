"""Records in parts: any number of processes, any order, torn lines; nothing twice and nothing missing."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neocog.errors import DataError
from neocog.shards import Shards

COUNT = 12


@given(
    first=st.permutations(range(COUNT)),
    owners=st.lists(st.integers(0, 2), min_size=COUNT, max_size=COUNT),
    kept=st.integers(0, COUNT),
    torn=st.binary(max_size=20).filter(lambda end: b"\n" not in end),
    alone=st.booleans(),
)
@settings(max_examples=30, deadline=None)
def test_whoever_goes_on_after_whatever_end(
    first: list[int], owners: list[int], kept: int, torn: bytes, alone: bool
) -> None:
    """Three processes record some of it and die; one, or two others, do the rest."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        parts = [Shards(folder, "found", COUNT, (rank, 3)) for rank in range(3)]
        for number in first[:kept]:
            parts[owners[number]].append(number, {"what": f"thing {number}"})
        with (folder / "found-1.jsonl").open("ab") as file:
            file.write(torn)
        size = 1 if alone else 2
        again = [Shards(folder, "found", COUNT, (rank, size)) for rank in range(size)]
        todo = again[0].take_up()
        assert todo == sorted(first[kept:])
        for number in todo:
            again[number % size].append(number, {"what": f"thing {number}"})
        again[-1].flush()
        again[0].merge()
        assert [path.name for path in folder.iterdir()] == ["found.jsonl"]
        lines = [json.loads(line) for line in again[0].lines()]
        assert lines == [{"number": number, "what": f"thing {number}"} for number in range(COUNT)]
        before = (folder / "found.jsonl").read_bytes()
        again[0].merge()
        assert again[0].take_up() == [] and (folder / "found.jsonl").read_bytes() == before


def test_what_a_power_cut_left_in_the_middle_is_done_again(tmp_path: Path) -> None:
    shards = Shards(tmp_path, "found", 4)
    for number in range(4):
        shards.append(number, {"name": "x" * 50})
    path = tmp_path / "found.jsonl"
    data = bytearray(path.read_bytes())
    data[160:180] = bytes(20)  # a page that never reached the disk
    path.write_bytes(bytes(data))
    assert shards.take_up() == [2, 3]


def test_what_is_missing_is_an_error(tmp_path: Path) -> None:
    shards = Shards(tmp_path, "found", 3)
    shards.append(1, {})
    with pytest.raises(DataError, match="nothing is recorded of 2 of 3"):
        shards.merge()
