"""The label names of a model folder: read in a time that grows with their number alone."""

from __future__ import annotations

import time

import pytest

from caffe_files.errors import InputError
from skinmtl.publishing.model_folder import read_labels, write_labels


def test_many_names_are_read_and_written_at_once(tmp_path):
    names = [f"name {number}" for number in range(200_000)]
    begun = time.process_time()
    write_labels(tmp_path / "lesions.txt", names)
    assert read_labels(tmp_path / "lesions.txt") == names
    assert time.process_time() - begun < 5  # it was more than an hour


def test_a_name_that_is_there_twice_is_told_with_both_lines(tmp_path):
    (tmp_path / "lesions.txt").write_text("a\nb\na\n")
    with pytest.raises(InputError, match=r"lesions.txt:3: 'a' stands on line 1 too"):
        read_labels(tmp_path / "lesions.txt")
