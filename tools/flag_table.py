"""All flags of all commands, read from the tools' own parsers."""

import argparse
from typing import Iterator, List, NamedTuple, Tuple

from commands import COMMANDS, parser_of
from flags import CHOICE, NONE

WHOLE = ("positive", "not_negative", "seed", "solver_seed", "int", "number_or_all")
NUMBERS = ("finite", "share", "rate", "divisor", "probability", "level", "weight")
PATHS = ("Path", "map_path", "several_paths", "weights_path", "folds")


class Flag(NamedTuple):
    """One flag of one command; `command` ends with the data set's name where it is import-dataset's of that set."""

    command: str
    flag: str
    value: str
    kind: str
    repeats: bool
    required: bool
    choices: Tuple[str, ...]
    help: str


def all_flags() -> List[Flag]:
    return [flag for command in COMMANDS for flag in flags_of(command, parser_of(command))]


def flags_of(command: str, parser: argparse.ArgumentParser) -> Iterator[Flag]:
    """The flags of a command and of what is below it."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                yield from flags_of(f"{command} {name}", below)
        elif action.option_strings and not isinstance(action, argparse._HelpAction):
            yield Flag(
                command,
                action.option_strings[-1],
                value_of(action),
                kind_of(action),
                isinstance(action, argparse._AppendAction),
                action.required,
                tuple(map(str, action.choices or ())),
                help_of(parser, action),
            )


def value_of(action: argparse.Action) -> str:
    """What follows the flag, in the words of flags.py."""
    if action.nargs == 0:
        return NONE
    if isinstance(action.metavar, tuple):
        return " ".join(action.metavar)
    name = action.metavar or (CHOICE if action.choices else action.dest.upper())
    return {"?": f"[{name}]", "+": f"{name} ...", "*": f"[{name} ...]"}.get(str(action.nargs), name)


def kind_of(action: argparse.Action) -> str:
    kind = getattr(action.type, "__name__", "str")
    if action.nargs == 0:
        return "nothing"
    if action.choices:
        return "choice"
    return "whole number" if kind in WHOLE else "number" if kind in NUMBERS else "path" if kind in PATHS else "text"


def help_of(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    """The help with its defaults filled in."""
    return " ".join(parser._get_formatter()._expand_help(action).split())
