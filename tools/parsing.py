"""A parser of a tool's arguments that still takes what some of them were called before, and says so."""

import argparse
import sys
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Set, Tuple


class OldName(NamedTuple):
    """What took the place of a flag: `new`, to be typed as `words`, or for each of its values as `of_values` has it."""

    new: str
    words: Sequence[str]
    of_values: Optional[Dict[str, Sequence[str]]]


class Parser(argparse.ArgumentParser):
    """Takes flags by their whole names only, so that a mistyped one is an error, and by their old names."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **settings)
        self.old_names: Dict[str, OldName] = {}
        self.old_positional: Optional[argparse.Action] = None

    def parse_known_args(
        self, args: Optional[Sequence[str]] = None, namespace: Optional[argparse.Namespace] = None
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
