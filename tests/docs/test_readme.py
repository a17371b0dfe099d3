"""The README's commands exist: every tool, every flag, every file that it links to."""

from __future__ import annotations

import re
from functools import lru_cache

import pytest
from conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {
    folder: (ROOT / folder / "README.md").read_text(encoding="utf-8")
    for folder in ("", "docker", "python/caffe_torch", "benchmarks")
}
COMMANDS = re.findall(r"^    (?:\.venv/bin/python )?(tools/\w.*)$", README.replace("\\\n", " "), re.MULTILINE)
NAMED = {
    (folder, name) for folder, page in PAGES.items() for name in re.findall(r"\b((?:benchmarks/)?\w+\.py)\b", page)
}


@pytest.fixture(scope="module")
def help_of(tool):
    return lru_cache(maxsize=None)(lambda *words: tool(*words, "--help"))


@pytest.mark.parametrize("command", [part for line in COMMANDS for part in line.split("&&")])
def test_every_flag_of_every_command_is_one_of_the_tool(command, help_of):
    words = command.split()
    start = next((at for at, word in enumerate(words) if word.startswith("--")), len(words))
    subcommand = words[1:start] if words[0] == "tools/import_dataset.py" else []
    known = help_of(words[0].partition("/")[2], *subcommand)
    assert known.returncode == 0, known.stderr
    for flag in (word for word in words if word.startswith("--")):
        assert re.search(rf"{flag}\b", known.stdout), flag


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)]+)\)", README))
def test_every_link_leads_to_a_file(target):
    assert (ROOT / target).exists()


@pytest.mark.parametrize("target", re.findall(r"(?:^    |`)make (\w+)", README, re.MULTILINE))
def test_every_make_target_is_in_the_makefile(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize(("folder", "name"), sorted(NAMED))
def test_every_tool_and_module_that_is_named_is_there(folder, name):
    assert any((ROOT / place / name).is_file() for place in ("tools", "", folder))


@pytest.mark.parametrize("folder", PAGES)
def test_no_place_is_left_to_fill_in(folder):
    assert not re.findall(r"^ *[A-Z_]{4,}$", PAGES[folder], re.MULTILINE)
