"""Groups that turn out to be one."""

from __future__ import annotations


class Groups:
    """Joins groups; each is named after the first that came (union-find)."""

    def __init__(self) -> None:
        self.joined = 0
        self._into: dict[str, str] = {}

    def join(self, first: str, other: str) -> None:
        first, other = self.of(first), self.of(other)
        if first != other:
            self._into[other] = first
            self.joined += 1

    def of(self, group: str) -> str:
        """The group's name by now."""
        name = group
        while name in self._into:
            name = self._into[name]
        while group != name:  # so that a long chain is walked once
            self._into[group], group = name, self._into[group]
        return name
