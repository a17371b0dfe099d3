"""The paper's learning rate: divided by 10 when the error plateaus. Caffe has no such policy.

The paper names neither the error nor what a plateau is. Our reading, each number a setting: after every test, the mean
of the watched error over the last `window` tests is held against the best such mean so far. Where `patience` means in
a row are not lower than the best by the share `threshold`, that is a plateau. The rate is then divided by `factor`,
and the window fills anew from tests at the new rate; the best stays what is to be beaten. A plateau after which the
rate would fall below `minimum` ends training.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

SIGNIFICANT_DIGITS = 6  # what a float32 written as text keeps: a rate is the same in memory and in a solver file


@dataclass(frozen=True)
class PlateauRule:
    """What counts as a plateau, and what follows; the defaults are our choice but for the paper's factor."""

    factor: float = 10.0
    window: int = 3
    threshold: float = 0.01
    patience: int = 5
    minimum: float = 1e-5


class Plateau:
    """The learning rate of a run, lowered by the errors that it observes; without a rule it stays.

    >>> plateau = Plateau(PlateauRule(window=1, patience=2, minimum=0.005), base_rate=0.1)
    >>> [plateau.observe(error) for error in (0.5, 0.4, 0.4, 0.4, 0.3)]
    [False, False, False, True, False]
    >>> plateau.rate
    0.01
    """

    def __init__(self, rule: PlateauRule | None, base_rate: float) -> None:
        self.rule = rule
        self.base_rate = base_rate
        self.ended = False
        self._drops = 0
        self._recent: list[float] = []
        self._best: float | None = None
        self._without_gain = 0

    @property
    def rate(self) -> float:
        """The learning rate now."""
        return rounded(self.base_rate / self.rule.factor**self._drops if self.rule else self.base_rate)

    @property
    def best_mean(self) -> float | None:
        """The lowest mean error so far, which is to be beaten; None before there was one."""
        return self._best

    def observe(self, error: float) -> bool:
        """Takes the error of one more test, the lower the better; returns whether the rate fell or training ended."""
        if error != error:
            raise ValueError("an error that is NaN can be no plateau")
        rule = self.rule
        if rule is None:
            return False
        self._recent = [*self._recent, float(error)][-rule.window :]
        if len(self._recent) < rule.window:
            return False
        mean = sum(self._recent) / rule.window
        if self._best is None or mean < self._best * (1 - rule.threshold):
            self._best, self._without_gain = mean, 0
            return False
        self._without_gain += 1
        if self._without_gain < rule.patience:
            return False
        lower = rounded(self.base_rate / rule.factor ** (self._drops + 1))
        if lower < rule.minimum * (1 - 1e-6):
            self.ended = True
        else:
            self._drops += 1
        self._recent, self._without_gain = [], 0
        return True

    def state(self) -> dict[str, Any]:
        """All that it remembers, ready for JSON."""
        return {
            "rule": self.rule and asdict(self.rule),
            "base_rate": self.base_rate,
            "drops": self._drops,
            "recent": self._recent,
            "best": self._best,
            "without_gain": self._without_gain,
            "ended": self.ended,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Plateau:
        """The plateau that `state` was taken of."""
        plateau = cls(PlateauRule(**state["rule"]) if state["rule"] else None, state["base_rate"])
        plateau._drops = state["drops"]
        plateau._recent = list(state["recent"])
        plateau._best = state["best"]
        plateau._without_gain = state["without_gain"]
        plateau.ended = state["ended"]
        return plateau


def rounded(rate: float) -> float:
    """To the digits that a rate keeps."""
    return float(f"{rate:.{SIGNIFICANT_DIGITS}g}")
