"""Cores that others use are told of, where several threads would wait for them."""

from __future__ import annotations

import os

import pytest

from skinmtl.common.busy import notes_on_busy_cores
from skinmtl.common.counting import cut, first_of


@pytest.mark.parametrize(
    ("load", "cores", "threads", "said"),
    [
        (1.9, 2, "", True),
        (1.5, 2, "2", True),
        (1.4, 2, "", False),
        (1.9, 2, "1", False),  # one thread waits for none
        (1.0, 1, "", False),
        (3.0, 16, "", False),
    ],
)
def test_busy_cores_are_said_where_several_threads_share_them(load, cores, threads, said):
    assert [line for line in notes_on_busy_cores(load, cores, threads) if f"{load} of {cores} cores" in line] == (
        notes_on_busy_cores(load, cores, threads)
    )
    assert bool(notes_on_busy_cores(load, cores, threads)) == said


def test_a_machine_that_tells_no_load_is_not_spoken_of(monkeypatch):
    def none():
        raise OSError

    monkeypatch.setattr(os, "getloadavg", none)
    assert notes_on_busy_cores(cores=2, threads="") == []


def test_long_lists_and_long_names_are_cut():
    assert first_of(["a", "b", "c"], 2) == "a, b, c"  # one more is no longer than to say so
    assert first_of(["a", "b", "c", "d"], 2) == "a, b and 2 more"
    name = "a lesion with a name of more than eighty characters, as some tables of diagnoses have it, and more"
    assert len(cut(name)) == 40
    assert cut(name).startswith("a lesion with a name of") and cut(name).endswith(" and more")
