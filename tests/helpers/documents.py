"""The pages that a user reads, and the commands in them: what stands in blocks marked `sh`, line by line."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
# in the order in which they are to be followed: each goes on from those before it
ORDER = (
    *("index", "install", "tutorial", "data", "importing", "folds", "training", "real-photographs"),
    *("evaluation", "box-class-and-mask", "what-the-net-looks-at", "publishing", "the-whole-experiment"),
    *("engine", "docker", "differences-from-the-paper", "benchmarks"),
    *("questions-and-answers", "CONTRIBUTING"),
)
PAGES = (*(f"docs/{name}.md" for name in ORDER), "prototxt/README.md", "README.md")
GENERATED = ("docs/commands.md",)


class Command(NamedTuple):
    page: str
    number: int  # of the line that it begins in
    line: str  # without its comment, its continuations in one line


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def commands_of(page: str) -> list[Command]:
    """The command lines of the page's `sh` blocks."""
    found, inside, began, held = [], False, 0, ""
    for number, line in enumerate(text_of(page).splitlines(), 1):
        if line.startswith("```"):
            inside = line == "```sh"
        elif inside:
            began = began if held else number
            held += line
            if held.endswith("\\"):
                held = held[:-1]
            else:
                found.append(Command(page, began, " ".join(re.sub(r"\s#\s.*", "", held).split())))
                held = ""
    return [command for command in found if command.line]


def all_commands() -> list[Command]:
    return [command for page in PAGES for command in commands_of(page)]


def simple_commands(line: str) -> list[list[str]]:
    """The words of each simple command of a line: parted at && and pipes, without NAME=value before it."""
    parts: list[list[str]] = [[]]
    for word in shlex.split(line):
        if word in ("&&", "|"):
            parts.append([])
        elif word != "2>&1":
            parts[-1].append(word)
    kept = []
    for words in parts:
        while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
            words = words[1:]
        kept.append(words[: words.index("<")] if "<" in words else words)
    return [words for words in kept if words]


def as_tool(words: list[str]) -> tuple[str, list[str]] | None:
    """The tool and its arguments, of `tools/make_lmdb.py ...`, with or without a Python, or `skinmtl make-lmdb ...`."""
    if words[0] == ".venv/bin/python":
        words = words[1:]
    program = words[0]
    if re.fullmatch(r"tools/\w+\.py", program):
        return program[len("tools/") : -len(".py")], words[1:]
    if program == "skinmtl" and len(words) > 1 and (ROOT / "tools" / f"{words[1].replace('-', '_')}.py").is_file():
        return words[1].replace("-", "_"), words[2:]
    return None
