"""Bare `make` says what can be made."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import pytest
from conftest import ROOT

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="no make")


def made(*targets):
    """As from a terminal, also below `make test`, whose variables would have it tell the folders that it enters."""
    environment = {
        name: value for name, value in os.environ.items() if name not in ("MAKELEVEL", "MAKEFLAGS", "MFLAGS")
    }
    done = subprocess.run(
        ["make", *targets], cwd=str(ROOT), env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_bare_make_lists_every_target_and_makes_nothing():
    listed = [re.match(r"make ([a-z-]+) +\S", line) for line in made().splitlines()]
    phony = re.search(r"(?m)^\.PHONY: (.*)", (ROOT / "Makefile").read_text()).group(1).split()
    assert sorted(match.group(1) for match in listed) == sorted(phony)


def test_make_help_says_the_same():
    assert made("help") == made()
