"""A pipe or a device in place of a file is said at once: no reader waits for what may never come."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from caffe_files.errors import InputError
from caffe_files.inputs import regular_file


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
            with pytest.raises(InputError, match=f"^{path}: is {what}, which has no end"):
                regular_file(Path(path))
