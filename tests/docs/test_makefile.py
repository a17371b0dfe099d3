"""Bare `make` says what can be made."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from conftest import ROOT

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="no make")


def made(*targets):
    return subprocess.run(["make", *targets], cwd=str(ROOT), capture_output=True, text=True, check=True).stdout


def test_bare_make_lists_every_target_and_makes_nothing():
    listed = [re.match(r"make ([a-z-]+) +\S", line) for line in made().splitlines()]
    phony = re.search(r"(?m)^\.PHONY: (.*)", (ROOT / "Makefile").read_text()).group(1).split()
    assert sorted(match.group(1) for match in listed) == sorted(phony)


def test_make_help_says_the_same():
    assert made("help") == made()
