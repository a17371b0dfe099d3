#!/usr/bin/env python3
"""Prints what makes a shell complete skinmtl: its commands, their flags, a flag's choices, and names of files.

examples: skinmtl completion bash > ~/.local/share/bash-completion/completions/skinmtl
          skinmtl completion zsh > ~/.zfunc/_skinmtl      with fpath+=~/.zfunc before compinit in ~/.zshrc
"""

import argparse
import importlib.util
from pathlib import Path

from caffe_files.errors import InputError
from cli import new_parser, run
from commands import COMMANDS, parser_of, summaries

SHELLS = ("bash", "zsh")
# what help calls a folder that is there already
FOLDERS = ("DIR", "FOLDER", "RUN", "EXP")


def make_parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__)
    parser.add_argument("shell", choices=SHELLS, help="the shell to print for")
    return parser


def parse_args() -> argparse.Namespace:
    return make_parser().parse_args()


def parser_of_all() -> argparse.ArgumentParser:
    """One parser with every command as its subcommand."""
    parser = argparse.ArgumentParser(prog="skinmtl", allow_abbrev=False)
    parser.add_argument("--version", action="store_true", help="show the version and where it is installed")
    commands = parser.add_subparsers(metavar="COMMAND")
    for name, line in {**summaries(), "help": "Shows a command's help"}.items():
        commands.add_parser(name, help=line.replace("%", "%%"))
    for name in COMMANDS:
        commands.choices[name] = _with_files(parser_of(name))
    commands.choices["help"].add_argument("command", choices=COMMANDS, help="the command")
    return parser


def _with_files(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """PARSER with the mark of shtab on each argument that is the name of a file or a folder."""
    import shtab

    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                _with_files(below)
        elif _is_path(action):
            action.complete = shtab.DIRECTORY if action.metavar in FOLDERS else shtab.FILE
        if isinstance(action.metavar, tuple):
            action.metavar = " ".join(action.metavar)  # of a flag that takes several: zsh shows it as it is
    return parser


def _is_path(action: argparse.Action) -> bool:
    kind = getattr(action.type, "__name__", "")
    return action.type is Path or "path" in kind or (not action.choices and action.metavar in ("IMAGE", "FILE|NAME"))


def main() -> None:
    args = parse_args()
    if importlib.util.find_spec("shtab") is None:
        raise InputError(
            "this Python has no shtab, which writes completions: pip install shtab (on Python 3.9 or later)"
        )
    import shtab

    print(shtab.complete(parser_of_all(), args.shell))


if __name__ == "__main__":
    run(main)
