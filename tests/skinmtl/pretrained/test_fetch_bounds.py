"""No server keeps fetch_weights.py at work for ever, or fills the disk: a file of unknown size has a largest one."""

from __future__ import annotations

import pytest
from weights_server import HASTE, published

from caffe_files.errors import InputError
from skinmtl.pretrained import download
from skinmtl.pretrained.fetching import fetch
from skinmtl.pretrained.published import PUBLISHED

pytest_plugins = ["weights_server_fixture"]


def said_of(server, folder, way, size=None):
    server.ways = [way]
    with pytest.raises(InputError) as error:
        fetch(published(size=size), folder, server.url, {}, HASTE)
    return str(error.value)


def test_the_largest_size_is_above_that_of_all_weights_that_are_known():
    assert all((published.size or 0) < download.LARGEST / 2 for published in PUBLISHED.values())


@pytest.mark.parametrize("way", ["endless, no length", "whole"])
def test_a_file_of_unknown_size_has_a_largest_one(server, tmp_path, way, monkeypatch):
    monkeypatch.setattr(download, "LARGEST", 600_000)
    assert "far more than weights are" in said_of(server, tmp_path, way)
    assert not list(tmp_path.iterdir())


def test_a_part_that_is_refused_and_thrown_away_again_and_again_ends_it(server, tmp_path):
    said = said_of(server, tmp_path, "cut, 416")
    assert "has a shorter file than its first part here, and does so again and again" in said
    assert len(server.ranges) == 2 * HASTE.tries


def test_a_server_that_brings_a_little_each_time_has_its_number_of_tries(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "MOST_TRIES", 10)
    assert "cut the connection, 10 times" in said_of(server, tmp_path, "drip", size=700_000)
    assert (tmp_path / "some.bin.part").stat().st_size == 10_000  # the same command goes on from there
