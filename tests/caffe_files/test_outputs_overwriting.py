"""What is there already: refused; or, where the caller allows it, replaced as a whole, if a tool has made it."""

from __future__ import annotations

import ctypes
import json
import os

import pytest

from caffe_files.errors import InputError
from caffe_files.made_folder import LOCK_NAME, MADE
from caffe_files.outputs import check_free, new_folder


def entries(folder):
    return sorted(entry.name for entry in folder.iterdir())


@pytest.fixture
def made(tmp_path):
    """A folder that a tool has made."""
    with new_folder(tmp_path / "out") as folder:
        (folder / "old").write_text("old")
        (folder / "below").mkdir()
        (folder / "below" / "x").write_text("x")
    return tmp_path / "out"


def make_anew(out):
    with new_folder(out) as folder:
        (folder / "new").write_text("new")


def test_a_file_and_a_folder_that_exist_are_refused(tmp_path, made):
    (tmp_path / "a.csv").write_text("old")
    with pytest.raises(
        InputError, match=r"a\.csv: exists already; say --overwrite to replace it, or name another file"
    ):
        check_free(tmp_path / "a.csv")
    with pytest.raises(InputError, match="out: exists already; say --overwrite to replace it, or name another folder"):
        check_free(made, folder=True)
    check_free(tmp_path / "free")


@pytest.mark.usefixtures("overwriting")
class TestOverwriting:
    def test_a_folder_is_replaced_as_a_whole(self, tmp_path, made):
        make_anew(made)
        assert entries(made) == [MADE, "new"]
        assert entries(tmp_path) == ["out"]
        make_anew(made)  # and again

    def test_it_is_replaced_where_the_system_cannot_exchange_two(self, tmp_path, made, monkeypatch):
        monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: object())
        make_anew(made)
        assert entries(made) == [MADE, "new"]
        assert entries(tmp_path) == ["out"]

    def test_the_old_one_is_there_until_the_new_one_is_whole(self, tmp_path, made):
        with pytest.raises(ZeroDivisionError), new_folder(made):
            assert (made / "old").exists()
            raise ZeroDivisionError
        assert entries(tmp_path) == ["out"]
        assert entries(made) == [MADE, "below", "old"]

    def test_what_a_kill_leaves_of_the_old_one_goes_with_the_next(self, tmp_path, made):
        """The exchange is done, the old folder not removed yet."""
        (made / LOCK_NAME).touch()
        made.rename(tmp_path / ".out.x.partial")
        make_anew(made)
        assert entries(tmp_path) == ["out"]

    @pytest.mark.parametrize("name", ["mine", "below/mine"])
    def test_a_file_of_the_users_keeps_it(self, made, name):
        (made / name).write_text("precious")
        with pytest.raises(InputError, match=f"out: has '{name}', which was not made with it; move it away first"):
            make_anew(made)
        assert (made / name).read_text() == "precious"
        assert (made / "old").exists()

    def test_one_that_comes_while_the_new_one_is_built_keeps_it_too(self, made):
        with pytest.raises(InputError, match="has 'mine'"), new_folder(made):
            (made / "mine").write_text("precious")
        assert (made / "mine").exists() and (made / "old").exists()

    def test_what_lmdb_and_snakemake_leave_does_not(self, made):
        (made / ".snakemake_timestamp").touch()
        (made / "below" / "lock.mdb").touch()
        make_anew(made)

    @pytest.mark.parametrize("record", [None, "{}", "[]", "{", '{"files": null}', "[" * 100_000])
    def test_a_folder_that_no_tool_has_made_is_left_alone(self, tmp_path, record):
        (tmp_path / "out").mkdir()
        if record is not None:
            (tmp_path / "out" / MADE).write_text(record)
        with pytest.raises(InputError, match="out: --overwrite replaces only what a tool has made"):
            make_anew(tmp_path / "out")
        assert (tmp_path / "out").exists()

    def test_a_pipe_in_place_of_the_list_keeps_nobody_waiting(self, tmp_path):
        (tmp_path / "out").mkdir()
        os.mkfifo(str(tmp_path / "out" / MADE))
        with pytest.raises(InputError, match="is a pipe"):
            make_anew(tmp_path / "out")

    def test_a_file_and_a_link_are_no_folder(self, tmp_path, made):
        (tmp_path / "link").symlink_to(made)
        (tmp_path / "file").write_text("")
        for name in ("link", "file"):
            with pytest.raises(InputError, match=f"{name}: is there and is no folder"):
                make_anew(tmp_path / name)

    def test_a_folder_that_others_fill_is_never_replaced(self, tmp_path):
        with new_folder(tmp_path / "net", replaceable=False):
            pass
        assert entries(tmp_path / "net") == []
        with pytest.raises(InputError, match="nothing here says so"):
            make_anew(tmp_path / "net")


def test_what_is_in_a_folder_is_written_down_by_name(made):
    assert json.loads((made / MADE).read_text())["files"] == ["below", "below/x", "old"]


def test_a_circle_of_links_is_said(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    check_free(tmp_path / "a")  # nothing that could be overwritten
    with pytest.raises(InputError, match="a: exists already"):
        check_free(tmp_path / "a", folder=True)
