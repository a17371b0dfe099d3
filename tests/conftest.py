"""What the tests share: the library from a clone, the tools as a user runs them, and what a test needs to run."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "python"))


def pytest_collection_modifyitems(items):
    """A test whose part is missing here is skipped with the reason, never failed and never silently left out."""
    if importlib.util.find_spec("caffe") is None:
        no_caffe = pytest.mark.skip(reason="BVLC Caffe is not importable here: make caffe, then .caffe/bin/pytest")
        for item in items:
            if item.get_closest_marker("caffe"):
                item.add_marker(no_caffe)


@pytest.fixture(scope="session")
def tool():
    """Runs tools/NAME as a user would, from another folder; returns the CompletedProcess with text output."""

    def run(name, *arguments, cwd=None, timeout=120, env=None):
        command = [sys.executable, str(ROOT / "tools" / name), *map(str, arguments)]
        return subprocess.run(
            command,
            cwd=str(cwd or ROOT),
            capture_output=True,
            text=True,
            timeout=timeout,
            env=dict(os.environ, **(env or {})),
        )

    return run
