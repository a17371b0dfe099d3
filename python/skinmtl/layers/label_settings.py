"""What the losses of labels are told: the JSON text in their `param_str`."""

from __future__ import annotations

from dataclasses import dataclass

from skinmtl.layers.param_str import Settings, number, numbers, setting

LARGEST_WEIGHT = 1e6  # our choice: far above use, far below where a float32 loses a loss in a sum
WEIGHTS = numbers("a list of numbers above 0, one a label", above=0, largest=LARGEST_WEIGHT)
GAMMA = number(0, 100)


@dataclass(frozen=True)
class WeightedSigmoidLossSettings(Settings):
    """positive  weight of each label where it is true; none given: 1
    gamma     exponent of the focal loss; 0: the cross-entropy
    """

    positive: tuple[float, ...] = setting(WEIGHTS, ())
    gamma: float = setting(GAMMA, 0)


@dataclass(frozen=True)
class WeightedSoftmaxLossSettings(Settings):
    """weights  of each label; none given: 1"""

    weights: tuple[float, ...] = setting(WEIGHTS, ())


LABEL_SETTINGS = {
    "WeightedSigmoidLoss": WeightedSigmoidLossSettings,
    "WeightedSoftmaxLoss": WeightedSoftmaxLossSettings,
}
