"""The one entry point: `skinmtl make-lmdb ...` is tools/make_lmdb.py ..., run in this process's place by this Python.

All that one waits for is the tool's own start, so nothing is imported here before it is needed.
"""

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Dict, List

if TYPE_CHECKING:
    import argparse

HERE = Path(__file__).resolve().parent
# tells cli.py what the user has typed
NAME = "SKINMTL_COMMAND"

# the steps in the order in which data flows through them
STEPS = {
    "everything at once": ("run",),
    "get data": ("import-dataset", "make-demo-data", "describe", "correlate", "refine-labels"),
    "split": ("make-folds", "leakage"),
    "build LMDBs and nets": (
        *("make-lmdb", "check-lmdb", "make-prototxt", "show-training-images"),
        *("fetch-weights", "convert-weights", "check-weights"),
    ),
    "train": ("train", "plot-log"),
    "score": ("score", "ensemble", "calibrate", "evaluate", "report"),
    "look": ("list-errors", "attend", "evaluate-maps", "extract-features", "retrieve", "figure3"),
    "publish": ("novelty", "export", "predict"),
    "for your shell": ("completion",),
}
NEEDS = {"run": "snakemake", "completion": "shtab"}
COMMANDS = [name for names in STEPS.values() for name in names]

USAGE = """\
usage: skinmtl COMMAND [ARGUMENT ...]
       skinmtl help COMMAND
       skinmtl --version
"""


def main() -> int:
    """Runs the command that sys.argv names; comes back only where there is none to run."""
    # the tool has handlers of its own; until then neither Ctrl-C nor a reader that leaves (`| head`) is a traceback
    if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    words = sys.argv[1:]
    if words[:1] == ["help"] and len(words) > 1:
        words = [words[1], "--help"]
    if not words or words[0] in ("help", "--help", "-h"):
        print(overview())
    elif words[0] == "--version":
        print(version())
    elif words[0] in COMMANDS:
        start(words[0], words[1:])
    else:
        print(f"skinmtl: {unknown(words[0])}", file=sys.stderr)
        return 2
    return 0


def path_of(command: str) -> Path:
    """The tool that a command runs."""
    return HERE / f"{command.replace('-', '_')}.py"


def parser_of(command: str) -> "argparse.ArgumentParser":
    """The parser of a command's tool, for what is made from all of them. The tools must be on sys.path."""
    import importlib

    return importlib.import_module(path_of(command).stem).make_parser()


def start(command: str, arguments: List[str]) -> None:
    """Becomes the tool: same process, so that signals reach it and its exit status is this program's."""
    os.environ[NAME] = f"skinmtl {command}"
    python = python_for(command)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # while that Python starts; stops.py takes it
    os.execv(python, [python, str(path_of(command)), *arguments])


def python_for(command: str) -> str:
    """This Python; the clone's .venv for a command that needs what this one has not: .caffe's is too old for it."""
    needed = NEEDS.get(command)
    made = HERE.parent / ".venv" / "bin"
    there = needed and (made / needed).is_file()  # a program of the package's own name
    if there and os.access(str(made / "python"), os.X_OK):
        import importlib.util

        if importlib.util.find_spec(needed) is None:
            return str(made / "python")
    return sys.executable


def summaries() -> Dict[str, str]:
    """Each command's one line: how its tool's docstring starts."""
    import ast
    import re

    lines = {}
    for command in COMMANDS:
        first = ast.get_docstring(ast.parse(path_of(command).read_text(encoding="utf-8"))).splitlines()[0]
        lines[command] = re.split("[:;] ", first)[0].rstrip(".")
    return lines


def overview() -> str:
    """All commands by step, as --help shows them."""
    import shutil
    import textwrap

    described = summaries()
    name_width = max(map(len, COMMANDS)) + 4
    width = min(120, shutil.get_terminal_size((120, 24)).columns)
    lines = [USAGE]
    for step, names in STEPS.items():
        lines.append(f"{step}:")
        for name in names:
            lines += textwrap.wrap(
                described[name],
                width=max(width, name_width + 20),
                initial_indent=f"  {name}".ljust(name_width),
                subsequent_indent=" " * name_width,
                break_on_hyphens=False,
            )
        lines.append("")
    lines.append("skinmtl COMMAND --help has a command's arguments; each command is a file of tools/ too.")
    return "\n".join(lines)


def version() -> str:
    """The project's version, and where it and its Python are: several may be installed."""
    import platform

    sys.path.insert(0, str(HERE.parent / "python"))  # a clone
    import skinmtl

    return f"skinmtl {skinmtl.__version__} ({HERE}; Python {platform.python_version()}, {sys.executable})"


def unknown(word: str) -> str:
    """What to say of a word that is no command."""
    import difflib

    near = difflib.get_close_matches(word.replace("_", "-").rpartition("/")[2], COMMANDS, 1)
    meant = f"did you mean {near[0]}? " if near else ""
    return f"{word!r} is not a command; {meant}skinmtl --help lists them all"


if __name__ == "__main__":
    sys.exit(main())
