"""Text from elsewhere as it may be shown: what a terminal or a page would obey is written as its number."""

from __future__ import annotations

import re

# Unicode's control characters but for tab and line feed; what turns the direction of writing; the other line ends
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
BAR = re.compile(r"(\r|\x1b\[A)")  # how a progress bar goes to the start of its line, and a line up


def shown(text: str) -> str:
    """The text with escapes for the characters that would be obeyed and not seen.

    >>> shown("a\\x1b[2Jb\\u202e")
    'a\\\\x1b[2Jb\\\\u202e'
    """
    return OBEYED.sub(lambda found: found.group().encode("unicode_escape").decode("ascii"), text)


def shown_with_bars(text: str) -> str:
    """The same for a stream that has progress bars too."""
    return "".join(part if BAR.fullmatch(part) else shown(part) for part in BAR.split(text))
