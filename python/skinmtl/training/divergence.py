"""Whether a training has diverged.

Diverged is: a loss that is NaN or infinite; or losses that, summed and averaged over the last `WINDOW` iterations, are
more than `EXPLODED` times what a model has that knows nothing: P ln 2 for P lesions (each answered with 1/2; ln P where
each image has one of them), ln Q for Q locations (each with 1/Q), and `OTHER` for any other loss. The factor is our
choice: Caffe's softmax loss cannot exceed 87, so that a much larger one would never find a location net that is lost.
"""

from __future__ import annotations

import math

WINDOW = 10
EXPLODED = 20.0
# Of a loss of which nothing is known. A mask net's begin at 0.1 to 1, those of boxes at up to 20 where anchors fit the
# lesions badly: 20 x 6 is far above their sum.
OTHER = 1.0


class LossGuard:
    """Takes the losses of every iteration; `recent` is what it remembers."""

    def __init__(self, chance_loss: float, recent: list[float]) -> None:
        self._chance = chance_loss
        self.recent = list(recent)

    def fault(self, losses: dict[str, float]) -> str:
        """What is wrong after these losses, by name, in words; nothing where nothing is."""
        for name, loss in losses.items():
            if not math.isfinite(loss):
                return f"{name}_loss is {loss}"
        self.recent = [*self.recent, sum(losses.values())][-WINDOW:]
        mean = sum(self.recent) / len(self.recent)
        if len(self.recent) == WINDOW and mean > EXPLODED * self._chance:
            return f"the loss is {mean:.4g}, more than {EXPLODED:g} times that of a model that knows nothing"
        return ""


def chance_loss(lesions: int, locations: int, others: int = 0, one_lesion: bool = False) -> float:
    """The loss of a model that knows nothing, of P lesions, Q locations (0 where there is no such head) and other
    losses; with `one_lesion` the P are one choice, by a softmax. Weights of the lesions at most double it.

    >>> round(chance_loss(25, 23), 3)
    20.464
    """
    of_lesions = math.log(max(2, lesions)) if one_lesion else lesions * math.log(2)
    return of_lesions + (math.log(locations) if locations else 0.0) + others * OTHER
