"""tests/kills.py is a command to run by hand: that it starts, and what it calls whole."""

from __future__ import annotations

import subprocess
import sys

from conftest import ROOT


def test_it_says_which_tools_it_can_kill():
    command = [sys.executable, str(ROOT / "tests" / "kills.py"), "nothing"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith("nothing: not one of make_lmdb, train, train_torch, score, workflow")


def test_differing_records_are_seen(small_set, tmp_path):
    sys.path.insert(0, str(ROOT / "tests"))
    try:
        from kills import contents
    finally:
        sys.path.pop(0)
    assert contents(small_set.train) == contents(small_set.train) != contents(small_set.test)
    assert contents(tmp_path) is None
