"""What a layer of type "Python" is told: the JSON text in its `param_str`, read into a frozen dataclass and written.

A layer's settings are a dataclass of `Settings` whose fields are made by `setting`: each says in words what it takes.
"""

from __future__ import annotations

import difflib
import json
import math
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any, Callable, TypeVar

from caffe_files.errors import InputError

LARGEST = 2**63 - 1  # of a whole number: what an int64 holds


class Settings:
    """The settings of a layer."""

    remedy = "correct the param_str, or make the net with make_prototxt.py"

    def fault(self) -> str:
        """What is wrong with fields that do not fit each other, and what to do; nothing where they do."""
        return ""


Some = TypeVar("Some", bound=Settings)


@dataclass(frozen=True)
class Kind:
    """wanted  what a field takes, in words that follow "give"
    fits    whether a value out of JSON is that; a list that fits becomes a tuple
    """

    wanted: str
    fits: Callable[[Any], bool]


def setting(kind: Kind, default: Any = MISSING) -> Any:
    """A field of that kind; one without a default must be given."""
    return field(default=default, metadata={"kind": kind})


def whole(smallest: int, largest: int | None = None, or_null: bool = False) -> Kind:
    """A whole number from `smallest` to `largest`, both included."""
    most = LARGEST if largest is None else largest
    words = f"a whole number from {smallest}" + ("" if largest is None else f" to {largest}")
    return Kind(words, lambda value: (or_null and value is None) or (_is_whole(value) and smallest <= value <= most))


def number(smallest: float, largest: float = math.inf, above: bool = False) -> Kind:
    """A number from `smallest` to `largest`, both included; with `above` the smallest is not."""
    most = "" if largest == math.inf else f" to {largest:g}"
    return Kind(
        f"a number {'above' if above else 'from'} {smallest:g}{most}",
        lambda value: is_number(value) and smallest <= value <= largest and not (above and value == smallest),
    )


def numbers(words: str, count: int | None = None, above: float = -math.inf, largest: float = math.inf) -> Kind:
    """A list of `count` numbers (None: of one or more), each above `above` and up to `largest`; `words` say so."""
    return Kind(
        words,
        lambda value: _is_list(value, count) and all(is_number(one) and above < one <= largest for one in value),
    )


def wholes(words: str, count: int | None = None, smallest: int = 1) -> Kind:
    """A list of `count` whole numbers (None: of one or more) from `smallest`; `words` say so."""
    return Kind(
        words,
        lambda value: _is_list(value, count) and all(_is_whole(one) and one >= smallest for one in value),
    )


def one_of(*names: str) -> Kind:
    """One of some texts."""
    return Kind(f"{', '.join(map(json.dumps, names[:-1]))} or {json.dumps(names[-1])}", names.__contains__)


def some_of(*names: str) -> Kind:
    """A list of one or more of some texts, each once."""
    return Kind(
        f"a list of some of {', '.join(map(json.dumps, names))}",
        lambda value: (
            _is_list(value, None) and all(one in names for one in value) and all(value.count(one) == 1 for one in value)
        ),
    )


def true_or_false() -> Kind:
    """A truth value."""
    return Kind("true or false", lambda value: isinstance(value, bool))


def text(words: str) -> Kind:
    """A text that is not empty; `words` say of what."""
    return Kind(words, lambda value: isinstance(value, str) and bool(value))


def read_param_str(settings: type[Some], param_str: str, where: str) -> Some:
    """The settings in a param_str. InputError names `where` and the field that is missing, unknown or wrong."""
    try:
        given = json.loads(param_str or "{}")
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: param_str is not JSON ({error}); {settings.remedy}") from None
    if not isinstance(given, dict):
        raise InputError(f"{where}: param_str is not a JSON object {{...}}; {settings.remedy}")
    known = {one.name: one for one in fields(settings)}
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            meant = f", did you mean {near[0]!r}?" if near else f"; there are {', '.join(known)}"
            raise InputError(f"{where}: param_str has an unknown field {name!r}{meant}")
    for name, one in known.items():
        if one.default is MISSING and name not in given:
            raise InputError(f"{where}: param_str has no {name!r}; {settings.remedy}")
    for name, value in given.items():
        kind = known[name].metadata["kind"]
        if not kind.fits(value):
            raise InputError(f"{where}: {name} in param_str is {json.dumps(value)}; give {kind.wanted}")
    made = settings(**{name: tuple(value) if isinstance(value, list) else value for name, value in given.items()})
    if made.fault():
        raise InputError(f"{where}: {made.fault()}")
    return made


def settings_text(settings: Settings) -> str:
    """The param_str of settings: only what is needed and what is not the default."""
    defaults = {one.name: one.default for one in fields(settings)}
    return json.dumps(
        {name: value for name, value in asdict(settings).items() if value != defaults[name]}, ensure_ascii=False
    )


def is_number(value: Any) -> bool:
    """A finite number of JSON, whole or not; a whole one that an int64 holds."""
    return _is_whole(value) or (isinstance(value, float) and math.isfinite(value))


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST


def _is_list(value: Any, count: int | None) -> bool:
    return isinstance(value, list) and (len(value) == count if count else bool(value))
