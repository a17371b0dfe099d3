"""Batches of jittered crops, with and without worker processes: the same numbers, and what is wrong in one line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from caffe_files.batches import Advice, batches_of
from caffe_files.errors import InputError
from skinmtl.data.dataset import LMDB_NAMES
from skinmtl.layers.jittered_images import plan_of, recipe_of
from skinmtl.layers.settings import JitterSettings


@pytest.fixture(scope="module")
def jitter_of(small_set):
    """Settings on the small set's 16 training images of 72 pixels, with what a test wants otherwise."""

    def make(**changes):
        source = str(small_set.train / LMDB_NAMES[0])
        return replace(JitterSettings(source, 6, 48, (56, 72), (0.0, 0.0, 0.0), 1), **changes)

    return make


def taken(settings, workers, count):
    """The images of some batches, as planes."""
    advice = Advice("fewer", "none", "less")
    ahead = batches_of(recipe_of(settings, planes=True), plan_of(settings), 0, workers, advice)
    try:
        return np.concatenate([ahead.next_batch()[0].copy() for _ in range(count)])
    finally:
        ahead.close()


def test_the_numbers_do_not_depend_on_workers_prefetch_or_batches(jitter_of):
    expected = taken(jitter_of(), 0, 6)
    for changes, workers, count in (({}, 1, 6), ({"prefetch": 1}, 3, 6), ({"batch_size": 1}, 2, 36)):
        np.testing.assert_array_equal(taken(jitter_of(**changes), workers, count), expected)
    assert (taken(jitter_of(seed=2), 0, 6) != expected).any()
    later = jitter_of(start=7, batch_size=5)
    np.testing.assert_array_equal(taken(later, 2, 3), expected[7:22])


def test_as_planes_or_not_the_pixels_are_the_same(jitter_of):
    planes, pixels = (recipe_of(jitter_of(), planes).make().sample(9, 1)[0] for planes in (True, False))
    np.testing.assert_array_equal(planes, pixels.transpose(2, 0, 1))


def test_a_record_that_cannot_be_used_is_named_also_by_workers(jitter_of, small_set, monkeypatch):
    monkeypatch.chdir(small_set.test)  # a path that begins with dots
    source = f"../{small_set.train.relative_to(small_set.test.parent)}/{LMDB_NAMES[0]}"
    for workers in (0, 2):
        with pytest.raises(InputError, match=r"^\.\./.*image_lmdb: record 000000\d\d: its shorter side is 72"):
            taken(jitter_of(source=source, scales=(56, 90)), workers, 1)


def test_records_that_hold_no_image_are_named(jitter_of, small_set):
    labels = jitter_of(source=str(small_set.train / LMDB_NAMES[1]))
    with pytest.raises(InputError, match=r"/lesion_lmdb: record 00000000: holds no encoded image"):
        taken(labels, 0, 1)


def test_sources_that_are_no_whole_lmdb_are_refused(jitter_of, tmp_path):
    (tmp_path / "data.mdb").write_text("no LMDB")
    (tmp_path / "cut").mkdir()
    whole = (Path(jitter_of().source) / "data.mdb").read_bytes()
    (tmp_path / "cut" / "data.mdb").write_bytes(whole[:-1])
    for source, words in ((tmp_path / "none", "no LMDB"), (tmp_path, "not an LMDB"), (tmp_path / "cut", "bytes of")):
        with pytest.raises(InputError, match=words):
            taken(jitter_of(source=str(source)), 0, 1)
