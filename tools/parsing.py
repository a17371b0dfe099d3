"""A parser of a tool's arguments: it knows which of them are outputs, and takes what some were called before."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Set, Tuple

from caffe_files.outputs import allow_overwriting, check_free

STANDARD_OUTPUT = Path("-")


class OldName(NamedTuple):
    """What took the place of a flag: `new`, to be typed as `words`, or for each of its values as `of_values` has it."""

    new: str
    words: Sequence[str]
    of_values: Optional[Dict[str, Sequence[str]]]


class Output(NamedTuple):
    """A flag that says what to write: a folder or a file, and for a file what else is written beside it."""

    dest: str
    folder: bool
    beside: Callable[[Path, argparse.Namespace], Iterable[Path]]


class Parser(argparse.ArgumentParser):
    """Takes flags by their whole names only, so that a mistyped one is an error, and by their old names.

    Outputs that exist are refused before anything is done, and none is an input, whatever --overwrite says.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **settings)
        self.old_names: Dict[str, OldName] = {}
        self.old_positional: Optional[argparse.Action] = None
        self.outputs: List[Output] = []

    def add_output_argument(
        self,
        flag: str,
        folder: bool = False,
        beside: Callable[[Path, argparse.Namespace], Iterable[Path]] = lambda out, args: (),
        **settings: Any,
    ) -> argparse.Action:
        """A flag for a path to write to; the first brings --overwrite with it. `beside` says from the path and the
        arguments what else is written."""
        action = self.add_argument(flag, type=Path, metavar="DIR" if folder else "FILE", **settings)
        self.outputs.append(Output(action.dest, folder, beside))
        self.add_overwrite_argument()
        return action

    def add_overwrite_argument(self) -> None:
        """--overwrite, unless it is there."""
        if "--overwrite" not in self._option_string_actions:
            self.add_argument("--overwrite", action="store_true", help="replace an output that is there already")

    def parse_known_args(
        self, args: Optional[Sequence[str]] = None, namespace: Optional[argparse.Namespace] = None
    ) -> Tuple[argparse.Namespace, List[str]]:
        parsed, left = self._parse_words(args, namespace)
        if "--overwrite" in self._option_string_actions:
            allow_overwriting(parsed.overwrite)
            del parsed.overwrite  # nothing of what is written depends on it
            if not left:
                self._check_outputs(parsed)
        return parsed, left

    def _check_outputs(self, parsed: argparse.Namespace) -> None:
        named = [
            (output, out)
            for output in self.outputs
            for out in _paths(getattr(parsed, output.dest))
            if out != STANDARD_OUTPUT
        ]
        outputs = {output.dest for output in self.outputs}
        inputs = [path for dest, value in vars(parsed).items() if dest not in outputs for path in _paths(value)]
        for n, (output, out) in enumerate(named):
            others = [other for m, (_, other) in enumerate(named) if m != n]
            for written in (out, *output.beside(out, parsed)):
                if output.folder:
                    check_free(written, folder=True)
                self.refuse_inputs(written, *inputs, folder=output.folder)
                if _real(written) in map(_real, others):
                    self.error(f"{written}: is named for two outputs; name another place to write")
                check_free(written, output.folder)

    def refuse_inputs(self, out: Path, *inputs: Optional[Path], folder: bool = False) -> None:
        """Exits with a usage error where the output is one of the inputs, or a folder that one of them is in."""
        place = _real(out)
        for path in inputs:
            if path is None:
                continue
            given = _real(path)
            if given == place or _same_file(given, place):
                self.error(
                    f"{out}: is an input of this command; name another {'folder' if folder else 'file'} to write"
                )
            if folder and place in given.parents and given.exists():
                self.error(f"{out}: has {path} in it, an input of this command; name another place to write")

    def _parse_words(
        self, args: Optional[Sequence[str]], namespace: Optional[argparse.Namespace]
    ) -> Tuple[argparse.Namespace, List[str]]:
        words = self._with_new_names(sys.argv[1:] if args is None else list(args))
        action = self.old_positional
        if action is None:
            return super().parse_known_args(words, namespace)
        action.required = False  # the value may come without its flag
        try:
            parsed, left = super().parse_known_args(words, namespace)
        finally:
            action.required = True
        flag, value = action.option_strings[0], getattr(parsed, action.dest)
        if len(left) == 1 and not left[0].startswith("-"):
            if value is not None:
                self.error(f"{left[0]}: {flag} says {value}; give one of them")
            self._warn(f"{left[0]} without a flag", f"{flag} {left[0]}")
            setattr(parsed, action.dest, self._get_values(action, left))
            return parsed, []
        if value is None:
            self.error(f"the following arguments are required: {flag}")
        return parsed, left

    def _with_new_names(self, words: List[str]) -> List[str]:
        """The command line in today's names, with one warning for each old name in it."""
        end = words.index("--") if "--" in words else len(words)
        flags = {word.partition("=")[0] for word in words[:end]}
        for old in sorted(flags & set(self.old_names)):
            if self.old_names[old].new in flags:
                self.error(f"{old} is the old name of {self.old_names[old].new}; give one of them")
        made: List[str] = []
        warned: Set[str] = set()
        rest = words[:end]
        while rest:
            word = rest.pop(0)
            name, equals, value = word.partition("=")
            if name not in self.old_names:
                made.append(word)
                continue
            new, instead, of_values = self.old_names[name]
            if of_values is not None:
                value = value if equals else (rest.pop(0) if rest else "")
                if value not in of_values:
                    self.error(
                        f"{name} {value or 'without a value'}: not one of {', '.join(of_values)}; see {new} in --help"
                    )
                instead = of_values[value]
            elif equals:
                instead = [*instead[:-1], f"{instead[-1]}={value}"]
            made += instead
            if name not in warned:
                warned.add(name)
                typed = word if of_values is None else f"{name} {value}"
                self._warn(typed, " ".join(instead) or f"what happens without {new}")
        return made + words[end:]

    def _warn(self, old: str, new: str) -> None:
        print(f"{self.prog}: {old} is now {new}; the next version takes the new form alone", file=sys.stderr)


def _paths(value: Any) -> Iterator[Path]:
    """The paths in an argument's value: one, or a list of them."""
    for each in value if isinstance(value, (list, tuple)) else [value]:
        if isinstance(each, Path):
            yield each


def _real(path: Path) -> Path:
    """Without links; a circle of links is left as it is, for whoever opens it to say so."""
    return Path(os.path.realpath(str(path)))


def _same_file(one: Path, other: Path) -> bool:
    """Whether two names are of one file: by a hard link, or where the disk makes no difference of case."""
    try:
        return one.samefile(other)
    except OSError:
        return False


def renamed(
    parser: Parser,
    old: str,
    new: str,
    words: Optional[Sequence[str]] = None,
    of_values: Optional[Dict[str, Sequence[str]]] = None,
) -> None:
    """Takes a flag by its old name for one version more: not in --help, with a warning, never beside the new one.

    It is read as `new`, or as `words` where these are more than that, or as `of_values` has it for each of its values.
    """
    parser.old_names[old] = OldName(new, [new] if words is None else words, of_values)


def renamed_positional(parser: Parser, action: argparse.Action) -> None:
    """Takes the value of a required flag without the flag for one version more, as `renamed`."""
    parser.old_positional = action
