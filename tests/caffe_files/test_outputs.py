"""Whole files and folders or none."""

from __future__ import annotations

import errno
import multiprocessing
import os
import stat
import time
from pathlib import Path

import pytest

from caffe_files.errors import InputError
from caffe_files.made_folder import LOCK_NAME, MADE
from caffe_files.outputs import all_or_none, new_file, new_folder


def entries(folder):
    return sorted(entry.name for entry in folder.iterdir())


def build_for_ever(target, ready):
    with new_folder(target) as folder:
        (folder / "half").write_text("half")
        ready.set()
        time.sleep(60)


@pytest.fixture
def builder(tmp_path):
    """Starts a process that builds tmp_path/out and never ends; returns it when its folder is there."""
    processes = []

    def start(target):
        context = multiprocessing.get_context("fork")
        ready = context.Event()
        process = context.Process(target=build_for_ever, args=(target, ready))
        process.start()
        processes.append(process)
        assert ready.wait(20)
        return process

    yield start
    for process in processes:
        process.kill()
        process.join()


def test_a_file_is_there_when_the_block_ends(tmp_path):
    target = tmp_path / "deep" / "a.csv"
    with new_file(target) as partial:
        assert partial.parent == target.parent
        assert partial.suffix == ".csv"  # numpy and others add their own to a name without
        partial.write_text("new")
        assert not target.exists()
    assert target.read_text() == "new"
    assert entries(target.parent) == ["a.csv"]


def test_a_failed_block_leaves_the_old_file(tmp_path):
    target = tmp_path / "a.csv"
    target.write_text("old")
    with pytest.raises(KeyboardInterrupt), new_file(target) as partial:
        partial.write_text("new")
        raise KeyboardInterrupt
    assert target.read_text() == "old"
    assert entries(tmp_path) == ["a.csv"]


def test_permissions_are_those_of_any_new_file_and_folder(tmp_path):
    before = os.umask(0o027)
    try:
        with new_file(tmp_path / "a.csv") as partial:
            partial.write_text("")
        with new_folder(tmp_path / "b") as partial:
            assert stat.S_IMODE(partial.stat().st_mode) == 0o700
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.csv").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "b").stat().st_mode) == 0o750


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real.csv").write_text("old")
    (tmp_path / "link.csv").symlink_to("real.csv")
    with new_file(tmp_path / "link.csv") as partial:
        partial.write_text("new")
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "real.csv").read_text() == "new"


def test_a_device_or_a_folder_is_never_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(str(pipe))
    for target in (Path("/dev/null"), pipe, tmp_path):
        with pytest.raises(InputError, match="is no file"), new_file(target):
            raise AssertionError("must not get here")
    assert entries(tmp_path) == ["pipe"]


def test_a_folder_is_there_when_the_block_ends(tmp_path):
    target = tmp_path / "a folder [1]" / "out"
    with new_folder(target) as partial:
        assert partial.parent == target.parent
        (partial / "x").write_text("1")
        assert not target.exists()
    assert entries(target) == [MADE, "x"]
    assert entries(target.parent) == ["out"]


def test_a_failed_block_leaves_no_folder(tmp_path):
    with pytest.raises(ZeroDivisionError), new_folder(tmp_path / "out") as partial:
        (partial / "x").write_text("1")
        raise ZeroDivisionError
    assert entries(tmp_path) == []


@pytest.mark.parametrize("kind", ["folder", "file", "dangling link"])
def test_what_is_there_is_never_touched(tmp_path, kind):
    target = tmp_path / "out"
    if kind == "folder":
        target.mkdir()
        (target / "mine").write_text("1")
    elif kind == "file":
        target.write_text("1")
    else:
        target.symlink_to("nowhere")
    with pytest.raises(InputError, match="out: exists already"), new_folder(target):
        raise AssertionError("must not get here")
    assert entries(tmp_path) == ["out"]


def test_the_second_of_two_builders_loses(tmp_path):
    with pytest.raises(InputError, match="out: appeared while"), new_folder(tmp_path / "out") as late:
        (late / "late").write_text("")
        with new_folder(tmp_path / "out") as early:
            assert late.exists()
            (early / "early").write_text("")
    assert entries(tmp_path) == ["out"]
    assert entries(tmp_path / "out") == [MADE, "early"]


@pytest.mark.parametrize("name", ["out", "out[1]*", "out put"])
def test_what_a_killed_builder_left_goes_with_the_next(tmp_path, builder, name):
    process = builder(tmp_path / name)
    process.kill()
    process.join()
    assert len(entries(tmp_path)) == 1
    with new_folder(tmp_path / name):
        pass
    assert entries(tmp_path) == [name]


class TestAllOrNone:
    def test_files_come_into_their_places_together(self, tmp_path):
        with all_or_none():
            for name in "ab":
                with new_file(tmp_path / name) as partial:
                    partial.write_text(name)
            assert not [name for name in entries(tmp_path) if not name.startswith(".")]
        assert entries(tmp_path) == ["a", "b"]
        assert [(tmp_path / name).read_text() for name in "ab"] == ["a", "b"]

    def test_what_is_refused_late_leaves_none_and_keeps_the_old_one(self, tmp_path):
        (tmp_path / "a").write_text("old")
        (tmp_path / "file").write_text("")
        with pytest.raises(InputError), all_or_none():
            with new_file(tmp_path / "a") as partial:
                partial.write_text("new")
            with new_file(tmp_path / "file" / "b"):
                raise AssertionError("must not get here")
        assert entries(tmp_path) == ["a", "file"]
        assert (tmp_path / "a").read_text() == "old"

    def test_two_of_one_name_are_refused(self, tmp_path):
        with pytest.raises(InputError, match="two outputs have this name"), all_or_none():
            for text in "ab":
                with new_file(tmp_path / "a") as partial:
                    partial.write_text(text)
        assert entries(tmp_path) == []

    def test_after_it_each_file_is_by_itself_again(self, tmp_path):
        with all_or_none():
            pass
        with new_file(tmp_path / "a") as partial:
            partial.write_text("")
        assert entries(tmp_path) == ["a"]


def test_a_living_builders_folder_stays(tmp_path, builder):
    builder(tmp_path / "out")
    (left,) = entries(tmp_path)
    with new_folder(tmp_path / "out"):
        pass
    assert entries(tmp_path) == sorted([left, "out"])
    assert entries(tmp_path / left) == [LOCK_NAME, "half"]


def test_another_targets_left_over_stays(tmp_path, builder):
    process = builder(tmp_path / "other")
    process.kill()
    process.join()
    with new_folder(tmp_path / "oth*"):
        pass
    assert len(entries(tmp_path)) == 2


def test_a_full_disk(mount):
    full_disk = mount("size=64k")
    (full_disk / "a.csv").write_text("old")
    with pytest.raises(InputError, match=r"a.csv: the disk is full"), new_file(full_disk / "a.csv") as partial:
        partial.write_bytes(b"x" * 100_000)
    with pytest.raises(InputError, match="out: the disk is full"), new_folder(full_disk / "out") as partial:
        (partial / "x").write_bytes(b"x" * 100_000)
    assert entries(full_disk) == ["a.csv"]
    assert (full_disk / "a.csv").read_text() == "old"


@pytest.mark.parametrize("new", [new_file, new_folder])
def test_places_that_cannot_be_written(tmp_path, new):
    (tmp_path / "file").write_text("")
    for target in (tmp_path / "file" / "out", tmp_path / ("x" * 300)):
        with pytest.raises(InputError) as error, new(target):
            raise AssertionError("must not get here")
        assert str(error.value).startswith(f"{target}")


@pytest.mark.parametrize("new", [new_file, new_folder])
def test_a_read_only_place(mount, new):
    at = mount("ro")
    with pytest.raises(InputError, match=r"out: cannot be written \(Read-only file system\)"), new(at / "out"):
        raise AssertionError("must not get here")


def test_other_faults_pass_through(tmp_path):
    with pytest.raises(OSError) as error, new_file(tmp_path / "a"):
        raise OSError(errno.ECONNRESET, "the network")
    assert error.value.errno == errno.ECONNRESET
