#!/usr/bin/env python3
"""Writes docs/commands.md: every command with its flags, and every flag with its meaning, from the tools' own parsers.

usage: docs/make_commands.py [--check]      --check: write nothing; exit 1 where the page is not as it would be made
"""

import argparse
import html
import re
import sys
from pathlib import Path
from typing import Dict, Iterable, List

HERE = Path(__file__).resolve().parent
PAGE = HERE / "commands.md"
sys.path.insert(0, str(HERE.parent / "tools"))

from commands import STEPS, parser_of, path_of, summaries  # noqa: E402
from flag_table import Flag, flags_of, help_of  # noqa: E402
from flags import CHOICE, FLAGS  # noqa: E402

INTRO = """\
# Commands

Made by `docs/make_commands.py` from the commands' own parsers; `make check` holds it. Each command is `skinmtl NAME`,
and a file of `tools/` as well. `--help` after a command says the same. A flag means the same in every command that has
it: [all flags](#all-flags). What was called otherwise in the version before works for one version more, with a warning:
[old names](#old-names).

Every command ends with status 0 when it is done, 1 when the input is at fault (a line on standard error says which
file, what is wrong, and what to do), and 2 when the command line is; [more](questions-and-answers.md). A file or folder
is written whole or not at all.
"""


def page() -> str:
    parsers = {name: parser_of(name) for names in STEPS.values() for name in names}
    described = summaries()
    lines = [INTRO]
    for number, (step, names) in enumerate(STEPS.items()):  # numbered, so that no step has a command's own anchor
        lines += [f"## {number}. {step[0].upper()}{step[1:]}", ""]
        for name in names:
            lines += command_section(name, described[name], parsers[name])
    flags = [flag for name, parser in parsers.items() for flag in flags_of(name, parser)]
    return "\n".join([*lines, *all_flags_section(flags), *old_names_section(parsers)])


def command_section(name: str, summary: str, parser: argparse.ArgumentParser) -> Iterable[str]:
    rest = parser.description.partition("\n")[2].strip("\n")
    yield from (f"### {name}", "", f"{text(summary)} (`tools/{path_of(name).name}`).", "")
    if rest:
        yield from ("```text", rest, "```", "")
    below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    yield from arguments_table(name, parser)
    for action in below:
        yield from data_sets(name, action.choices)


def data_sets(name: str, parsers: Dict[str, argparse.ArgumentParser]) -> Iterable[str]:
    """The flags that all data sets have, once, then those of each."""
    of_all = [list(flags_of(name, parser)) for parser in parsers.values()]
    common = [flag for flag in of_all[0] if all(flag in flags for flags in of_all)]
    yield from (f"After the data set's name, such as `skinmtl {name} {next(iter(parsers))}`:", "")
    yield from table(("flag", "meaning"), ((usage(flag), meaning(flag)) for flag in common))
    for below, parser in parsers.items():
        own = [flag for flag in flags_of(name, parser) if flag not in common]
        title, *facts = parser.description.splitlines()
        yield from (f"#### {below}", "", f"{text(title)}: {text('; '.join(facts))}.", "")
        if own:
            yield from table(("flag", "meaning"), ((usage(flag), meaning(flag)) for flag in own))


def arguments_table(name: str, parser: argparse.ArgumentParser) -> Iterable[str]:
    rows = []
    for action in parser._actions:
        if not action.option_strings and not isinstance(action, argparse._SubParsersAction):
            many = " ..." if action.nargs in ("+", "*") else ""
            rows.append((f"`{action.metavar or action.dest.upper()}{many}`", text(help_of(parser, action))))
    rows += [(usage(flag), meaning(flag)) for flag in flags_of(name, parser) if flag.command == name]
    return table(("argument", "meaning"), rows) if rows else []


def all_flags_section(flags: List[Flag]) -> Iterable[str]:
    yield from ("## All flags", "")
    rows = []
    for name in sorted(FLAGS):
        commands = sorted({flag.command.partition(" ")[0] for flag in flags if flag.flag == name})
        links = ", ".join(f"[{command}](#{command})" for command in commands)
        value = FLAGS[name].value.replace(CHOICE, "...")
        rows.append((f"`{f'{name} {value}'.strip()}`", text(FLAGS[name].meaning), links))
    yield from table(("flag", "meaning", "commands"), rows)


def old_names_section(parsers: Dict[str, argparse.ArgumentParser]) -> Iterable[str]:
    yield from ("## Old names", "", "They work in this version, each with a warning, and in no later one.", "")
    rows = []
    for command, parser in parsers.items():
        for old, name in parser.old_names.items():
            forms = {f"{old} {value}": words for value, words in (name.of_values or {}).items()} or {old: name.words}
            for typed, words in forms.items():
                rows.append((f"[{command}](#{command})", f"`{typed}`", f"`{' '.join(words)}`" if words else "left out"))
        if parser.old_positional is not None:
            action = parser.old_positional
            flag = f"`{action.option_strings[0]} {action.metavar}`"
            rows.append((f"[{command}](#{command})", f"`{action.metavar}` without a flag", flag))
    yield from table(("command", "was", "is"), rows)


def usage(flag: Flag) -> str:
    value = flag.value.replace(CHOICE, "{" + ",".join(flag.choices) + "}")
    return f"`{f'{flag.flag} {value}'.strip()}`"


def meaning(flag: Flag) -> str:
    return f"{text(flag.help)}{' (required)' if flag.required else ''}"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterable[str]:
    head = list(head)
    yield from (row(head), row(["---"] * len(head)), *(row(cells) for cells in rows), "")


def row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(map(cell, cells)) + " |"


def cell(words: str) -> str:
    """A bar would end the cell. In code the site's Markdown would show the backslash before one: HTML serves both."""
    if "|" in words and re.fullmatch("`[^`]*`", words):
        words = f"<code>{html.escape(words[1:-1])}</code>"
        return words.replace("|", "&#124;")
    return words.replace("|", "\\|")


def text(words: str) -> str:
    """As Markdown shows it: what is no code has no marks."""
    parts = words.split("`")
    parts[::2] = [part.replace("*", "\\*").replace("<", "&lt;").replace("_", "\\_") for part in parts[::2]]
    return "`".join(parts)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where the page is not as made")
    args = parser.parse_args()
    made = page()
    if not args.check:
        PAGE.write_text(made, encoding="utf-8")
    elif not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != made:
        print(f"{PAGE.relative_to(HERE.parent)}: not as made; run make commands", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
