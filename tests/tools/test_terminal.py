"""No file does anything to the terminal of who reads what a tool says of it."""

from __future__ import annotations

import re

import pytest

OBEYED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202eevil"


def test_a_message_about_a_prototxt(tool, refused, tmp_path):
    net = tmp_path / "net.prototxt"
    net.write_text(f"layer {{ name: '{HOSTILE}' {HOSTILE} }}", encoding="utf-8")
    said = refused(tool("check_weights.py", "--net", net, "--weights", "w"), "net.prototxt:1:", "\\x1b]0;owned\\x07")
    assert not OBEYED.search(said)


def test_a_file_s_name_and_a_layer_s(tool, refused, tmp_path):
    net = tmp_path / "net\x1b[2J.prototxt"
    net.write_text(f"layer {{ name: '{HOSTILE}' type: 'HDF5Output' }}", encoding="utf-8")
    said = refused(tool("check_weights.py", "--net", net, "--weights", "w"), "net\\x1b[2J.prototxt: layer")
    assert not OBEYED.search(said)


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_whatever_a_tool_prints(stream, tool, tmp_path):
    """By way of a log of Caffe with an output of that name."""
    (tmp_path / "train.log").write_text(
        "I0101 00:00:00.000000 1 solver.cpp:1] Iteration 0, loss = 1\n"
        f"I0101 00:00:00.000000 1 solver.cpp:1]     Train net output #0: {HOSTILE} = 1\n",
        encoding="utf-8",
    )
    done = tool("plot_log.py", tmp_path / "train.log", "--out", tmp_path / "curves.png")
    assert not OBEYED.search(getattr(done, stream))
