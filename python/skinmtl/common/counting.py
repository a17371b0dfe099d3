"""Numbers of things in words."""

from __future__ import annotations


def counted(n: int, what: str, more: str = "") -> str:
    """A number and its noun; `more` is the plural where it is not what + s.

    >>> counted(1, "image"), counted(1200, "image"), counted(2, "query", "queries")
    ('1 image', '1,200 images', '2 queries')
    """
    return f"{n:,} {what if n == 1 else more or what + 's'}"
