"""Rows survive a killed run, and only those that were made from the same things."""

from __future__ import annotations

import numpy as np
import pytest

from caffe_files.errors import InputError
from skinmtl.scores.resumable import resumable_rows

ROWS = np.arange(12, dtype=np.float32).reshape(4, 3)


class StopError(Exception):
    """What stops a run in these tests."""


ITEMS = [["a.jpg", 1], ["b.jpg", 2], ["c.jpg", 3], ["d.jpg", 4]]


def stop_after(target, count, made_from="weights A"):
    with pytest.raises(StopError), resumable_rows(target, {"from": made_from}, ITEMS, 3) as rows:
        for row in ROWS[len(rows.done) : count]:
            rows.append(row)
        raise StopError


def test_a_stopped_run_goes_on_where_it_was_and_leaves_nothing_when_done(tmp_path):
    stop_after(tmp_path / "s.npz", 1)
    stop_after(tmp_path / "s.npz", 3)
    with resumable_rows(tmp_path / "s.npz", {"from": "weights A"}, ITEMS, 3) as rows:
        assert np.array_equal(rows.done, ROWS[:3])
        rows.append(ROWS[3])
        assert np.array_equal(rows.done, ROWS)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("lost", [1, 5, 11])
def test_a_part_of_a_row_is_dropped(tmp_path, lost):
    stop_after(tmp_path / "s.npz", 2)
    kept = next(tmp_path.iterdir())
    kept.write_bytes(kept.read_bytes()[:-lost])
    stop_after(tmp_path / "s.npz", 3)
    with resumable_rows(tmp_path / "s.npz", {"from": "weights A"}, ITEMS, 3) as rows:
        assert np.array_equal(rows.done, ROWS[:3])


def test_rows_of_something_else_are_not_used(tmp_path):
    stop_after(tmp_path / "s.npz", 2)
    with resumable_rows(tmp_path / "s.npz", {"from": "weights B"}, ITEMS, 3) as rows:
        assert rows.done == []


def test_a_header_cut_short_is_no_progress(tmp_path):
    stop_after(tmp_path / "s.npz", 2)
    kept = next(tmp_path.iterdir())
    kept.write_bytes(kept.read_bytes()[:5])
    with resumable_rows(tmp_path / "s.npz", {"from": "weights A"}, ITEMS, 3) as rows:
        assert rows.done == []


def test_two_runs_for_one_file_do_not_mix(tmp_path):
    with resumable_rows(tmp_path / "s.npz", {}, ITEMS, 3) as rows:
        with pytest.raises(InputError, match="another run"), resumable_rows(tmp_path / "s.npz", {}, ITEMS, 3):
            pass
        rows.append(ROWS[0])


@pytest.mark.parametrize(("changed", "usable"), [(0, 0), (1, 1), (2, 2), (3, 3)])
def test_rows_count_up_to_the_first_item_that_has_changed(tmp_path, changed, usable):
    stop_after(tmp_path / "s.npz", 3)
    items = [[name, size + (n == changed)] for n, (name, size) in enumerate(ITEMS)]
    with resumable_rows(tmp_path / "s.npz", {"from": "weights A"}, items, 3) as rows:
        assert np.array_equal(rows.done, ROWS[:usable].tolist())
