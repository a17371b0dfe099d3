"""Numbers of things in words."""

from __future__ import annotations

from typing import Sequence


def counted(n: int, what: str, more: str = "") -> str:
    """A number and its noun; `more` is the plural where it is not what + s.

    >>> counted(1, "image"), counted(1200, "image"), counted(2, "query", "queries")
    ('1 image', '1,200 images', '2 queries')
    """
    return f"{n:,} {what if n == 1 else more or what + 's'}"


def first_of(names: Sequence[str], shown: int = 5) -> str:
    """Names with commas between, of many the first ones and how many more there are.

    >>> first_of(["a", "b"]), first_of(["a", "b", "c", "d"], shown=2)
    ('a, b', 'a, b and 2 more')
    """
    if len(names) <= shown + 1:  # one more name is no longer than to say so
        return ", ".join(names)
    return f"{', '.join(names[:shown])} and {len(names) - shown:,} more"


def cut(text: str, longest: int = 40) -> str:
    """A text with its middle left out where it is longer: labels may begin alike, and end alike.

    >>> cut("naevus"), cut("abcdefghijkl", 7)
    ('naevus', 'abc...l')
    """
    if len(text) <= longest:
        return text
    ending = (longest - 3) // 3
    return f"{text[: longest - 3 - ending]}...{text[len(text) - ending :]}"
