"""The table of mutants fits the source: each finds its one place, and what it makes is Python."""

from __future__ import annotations

import ast

import pytest
from tests.mutants import MUTANTS, ROOT


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_has_its_place(name: str) -> None:
    mutant = MUTANTS[name]
    ast.parse(mutant.text())
    assert all((ROOT / test).exists() for test in mutant.tests.split())
