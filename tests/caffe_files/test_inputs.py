"""A pipe or a device in place of a file is said at once: no reader waits for what may never come."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from caffe_files.errors import InputError
from caffe_files.inputs import own_file, regular_file


def test_a_file_a_folder_and_what_is_missing_go_on_to_the_reader(tmp_path):
    file = tmp_path / "file"
    file.write_text("text")
    link = tmp_path / "link"
    link.symlink_to(file)
    for path in (file, link, tmp_path, tmp_path / "missing", "nul\0in it"):
        assert regular_file(path) == Path(path)


def test_a_pipe_a_socket_and_a_device_are_refused(tmp_path, monkeypatch):
    os.mkfifo(str(tmp_path / "pipe"))
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        for path, what in (("pipe", "a pipe"), ("link", "a pipe"), ("socket", "a socket"), ("/dev/zero", "a device")):
            with pytest.raises(InputError, match=f"^{path}: is {what}, whose length is unknown"):
                regular_file(Path(path))


def test_what_is_written_in_place_is_no_link_to_another_file(tmp_path):
    (tmp_path / "file").write_text("text")
    for path in (tmp_path / "file", tmp_path / "not there yet"):
        assert own_file(path) == path
    for target in ("file", "nowhere"):
        link = tmp_path / f"to {target}"
        link.symlink_to(tmp_path / target)
        with pytest.raises(InputError, match=f"to {target}: is a link, through which another file would be written"):
            own_file(link)
