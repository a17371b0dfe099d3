"""The README's commands exist: every tool, every flag, every file that it links to."""

from __future__ import annotations

import re

import pytest
from conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = README + (ROOT / "docker/README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    (tools/\w.*)$", README.replace("\\\n", " "), re.MULTILINE)


@pytest.mark.parametrize("command", [part for line in COMMANDS for part in line.split("&&")])
def test_every_flag_of_every_command_is_one_of_the_tool(command, tool):
    words = command.split()
    start = next((at for at, word in enumerate(words) if word.startswith("--")), len(words))
    known = tool(words[0].partition("/")[2], *words[1:start], "--help")  # a flag may be one of a subcommand
    assert known.returncode == 0, known.stderr
    for flag in (word for word in words if word.startswith("--")):
        assert re.search(rf"{flag}\b", known.stdout), flag


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)]+)\)", README))
def test_every_link_leads_to_a_file(target):
    assert (ROOT / target).exists()


@pytest.mark.parametrize("target", re.findall(r"(?:^    |`)make (\w+)", README, re.MULTILINE))
def test_every_make_target_is_in_the_makefile(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("name", sorted(set(re.findall(r"\b((?:benchmarks/)?\w+\.py)\b", PAGES))))
def test_every_tool_that_is_named_is_there(name):
    assert (ROOT / "tools" / name).is_file() or (ROOT / name).is_file()


def test_no_place_is_left_to_fill_in():
    assert not re.findall(r"^ *[A-Z]{4,}$", PAGES, re.MULTILINE)
