"""The commands of README.md and the documents are ones that the programs understand."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from functools import lru_cache

import pytest
from conftest import ROOT
from documents import PAGES, all_commands, as_tool, commands_of, simple_commands, text_of

# parses each command's arguments as its tool does, without running it; prints what argparse said of each
PARSE = """
import contextlib, importlib, io, json, sys
said = []
for name, arguments in json.loads(sys.argv[1]):
    sys.argv = [name, *arguments]
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint), contextlib.redirect_stdout(io.StringIO()):
            importlib.import_module(name).parse_args()
    except SystemExit as end:
        if end.code:
            said.append(complaint.getvalue())
            continue
    said.append(complaint.getvalue())  # a flag that is no longer the tool's name for it is warned of
print(json.dumps(said))
"""
COMMANDS = [(command, words) for command in all_commands() for words in simple_commands(command.line)]
TOOL_COMMANDS = [(command, as_tool(words)) for command, words in COMMANDS if as_tool(words)]
CAFFE_FLAGS = {"-solver", "-weights", "-snapshot", "-model", "-iterations", "-gpu"}
OTHERS_FLAGS = {  # of programs that are not ours
    *("--build-arg", "--gpus", "--shm-size", "--time", "--format", "--cores", "--configfile", "--sdm", "--unlock"),
    *("--workflow-profile", "--encoded", "--help"),
}


def test_every_page_is_read():
    written = {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")} | {"prototxt/README.md", "README.md"}
    assert written - {"docs/commands.md"} == set(PAGES)


def test_every_command_is_one_that_its_tool_takes():
    """Parsed by the tool's own parser: names, types and what goes with what; no flag is one of yesterday's."""
    arguments = json.dumps([tool for _, tool in TOOL_COMMANDS])
    finished = subprocess.run(
        [sys.executable, "-c", PARSE, arguments],
        cwd=str(ROOT),
        env=dict(os.environ, PYTHONPATH=f"{ROOT / 'tools'}:{ROOT / 'python'}"),
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr
    wrong = zip(TOOL_COMMANDS, json.loads(finished.stdout.splitlines()[-1]))
    told = [f"{c.page}:{c.number}: {said.strip().splitlines()[-1]}" for (c, _), said in wrong if said]
    assert not [
        line for line in told if "name a folder with a model" not in line
    ]  # predict looks for the folder that it is given


def test_every_page_has_commands_or_needs_none():
    assert {page for page in PAGES if not commands_of(page)} == {
        *("docs/index.md", "docs/differences-from-the-paper.md", "docs/questions-and-answers.md")
    }


def caffe_commands():
    for command, words in COMMANDS:
        if words[0].rpartition("/")[2] in ("caffe", "caffe-torch"):
            yield command, words


def test_caffes_flags_are_caffes():
    found = list(caffe_commands())
    assert found
    for command, words in found:
        own = {"-precision", "-workers"} if words[0].endswith("caffe-torch") else set()
        assert words[1] in ("train", "test", "time"), command
        assert {word for word in words if word.startswith("-")} <= CAFFE_FLAGS | own, command


@pytest.mark.parametrize("page", PAGES)
def test_every_make_target_is_in_the_makefile(page):
    makefile = (ROOT / "Makefile").read_text()
    typed = [words[1] for command in commands_of(page) for words in simple_commands(command.line) if words[0] == "make"]
    for target in typed + re.findall(r"`make (\w+)", text_of(page)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.fixture(scope="module")
def known_flags():
    """The flags of every tool and of skinmtl, as their sources name them."""
    sources = [
        *(ROOT / "tools").glob("*.py"),
        *(ROOT / "python/skinmtl").rglob("*.py"),
        *(ROOT / "benchmarks").glob("*"),
    ]
    text = "".join(path.read_text(encoding="utf-8") for path in sources if path.is_file())
    return lru_cache(maxsize=None)(lambda flag: re.search(rf'"{flag}"', text) is not None)


@pytest.mark.parametrize("page", PAGES)
def test_every_flag_that_a_text_mentions_is_somebodys(page, known_flags):
    flags = set(re.findall(r"`(--[a-z][a-z0-9-]+)", text_of(page)))
    assert not {flag for flag in flags - OTHERS_FLAGS if not known_flags(flag)}


@pytest.mark.parametrize("page", PAGES)
def test_a_tool_that_a_text_names_is_there(page):
    for name in re.findall(r"\b((?:tools|benchmarks)/\w+\.py)\b", text_of(page)):
        assert (ROOT / name).is_file(), name
    for name in re.findall(r"(?<![/\w])(\w+\.py)\b", text_of(page)):
        assert any((ROOT / place / name).is_file() for place in ("tools", "benchmarks", "python/caffe_torch")), name


@pytest.mark.parametrize("page", PAGES)
def test_every_block_says_what_it_is(page):
    opened = re.findall(r"^```(\w*)$", text_of(page), re.MULTILINE)
    assert opened[::2] == [kind for kind in opened[::2] if kind in ("sh", "text")]
    assert not any(opened[1::2])
