"""docs/commands.md is made from the tools' own parsers, and names every command, flag and old name."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT
from documents import text_of

pytestmark = pytest.mark.once

PAGE = "docs/commands.md"


def make(folder, *words):
    command = [sys.executable, str(folder / "make_commands.py"), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_the_page_is_as_it_is_made():
    checked = make(ROOT / "docs", "--check")
    assert (checked.returncode, checked.stderr) == (0, "")


def test_an_edited_page_is_named_and_made_anew(tmp_path):
    for name in ("tools", "python"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "docs").mkdir()
    shutil.copy(str(ROOT / "docs" / "make_commands.py"), str(tmp_path / "docs"))
    page = tmp_path / PAGE
    assert make(page.parent, "--check").returncode == 1
    page.write_text(text_of(PAGE) + "mine\n")
    checked = make(page.parent, "--check")
    assert (checked.returncode, checked.stderr) == (1, f"{PAGE}: not as made; run make commands\n")
    assert make(page.parent).returncode == 0
    assert page.read_text() == text_of(PAGE)


def test_every_command_has_a_section_and_each_link_one_heading():
    page = text_of(PAGE)
    tools = [path.stem.replace("_", "-") for path in (ROOT / "tools").glob("*.py") if path.stat().st_mode & 0o100]
    headings = [
        re.sub(r"[^\w -]", "", line.lstrip("# ")).lower().replace(" ", "-")
        for line in page.split("\n")
        if line[:1] == "#"
    ]
    assert len(set(headings)) == len(headings), "an anchor that is there twice"
    assert set(tools) <= set(headings)
    assert set(re.findall(r"\]\(#([^)]*)\)", page)) <= set(headings)


def test_flags_and_old_names_are_listed_with_their_commands():
    page = text_of(PAGE)
    assert (
        "| `--json-lines FILE` | also write one JSON object per image; - is standard output | [predict](#predict) |"
        in page
    )
    assert "| [make-prototxt](#make-prototxt) | `--jitter online` | `--online-jitter` |" in page
    assert "| [describe](#describe) | `CSV` without a flag | `--manifest CSV` |" in page
