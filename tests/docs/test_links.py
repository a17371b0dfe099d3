"""Every link of README.md and the documents leads somewhere, and the documents build as a site."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from documents import GENERATED, PAGES, text_of


def anchors_of(page: Path) -> set[str]:
    """What GitHub and mkdocs both make of a page's headings."""
    prose = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.*)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", [*PAGES, *GENERATED])
def test_every_link_leads_to_a_file_and_a_heading(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if re.match("https?://", target):
            continue
        file, _, anchor = target.partition("#")
        found = (ROOT / page).parent / file if file else ROOT / page
        assert found.is_file(), target
        assert not anchor or anchor in anchors_of(found), target


def test_every_page_is_reached_from_the_readme_and_from_the_sites_start():
    for start, folder in (("README.md", "docs/"), ("docs/index.md", "")):
        for path in (ROOT / "docs").glob("*.md"):
            assert path.name == "index.md" or f"({folder}{path.name})" in text_of(start), path.name


def test_the_pictures_are_small():
    pictures = [*(ROOT / "docs/images").glob("*.jpg"), *(ROOT / "docs/images").glob("*.png")]
    assert {path.name for path in pictures} == {"figure3.jpg", "outlines.jpg", "report.jpg"}
    assert all(path.stat().st_size < 300_000 for path in pictures)


def test_the_readme_is_short():
    assert len(text_of("README.md").splitlines()) <= 140


def test_the_site_is_built_without_a_warning(tmp_path):
    pytest.importorskip("mkdocs")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(tmp_path / "site")]
    built = subprocess.run(command, cwd=str(ROOT), capture_output=True, text=True)
    assert (built.returncode, built.stdout, built.stderr) == (0, "", "")
    page = (tmp_path / "site/tutorial.html").read_text(encoding="utf-8")
    assert "tools/make_demo_data.py" in page
    loaded = re.findall(r'(?:src|<link[^>]* href)="(https?:[^"]*)"', page)
    assert not loaded  # the site needs no network


def test_contributing_names_every_room():
    named = set(re.findall(r"`(\w+)`", text_of("docs/CONTRIBUTING.md")))
    rooms = {path.parent.name for path in (ROOT / "python/skinmtl").glob("*/__init__.py")}
    assert not rooms - named
