"""The loss of a net's locations: the paper's softmax, or the same with weights for locations that few images have."""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf.message import Message

from skinmtl.layers.label_settings import WeightedSoftmaxLossSettings
from skinmtl.layers.param_str import settings_text
from skinmtl.nets.class_weights import BETA, softmax_weights


@dataclass(frozen=True)
class LocationLoss:
    """weighting  of class_weights.WEIGHTINGS
    counts     where it is not "none": how many training images are of each location; None: not known yet
    beta       of the effective numbers
    """

    weighting: str = "none"
    counts: tuple[int, ...] | None = None
    beta: float = BETA

    @property
    def is_papers(self) -> bool:
        """Whether Caffe's own layer computes it."""
        return self.weighting == "none"

    def append(self, net: Message) -> None:
        """Appends the layer location_loss, of fc_location and location_label, where it is not the paper's."""
        layer = net.layer.add(name="location_loss", type="Python", top=["location_loss"], loss_weight=[1])
        layer.bottom.extend(["fc_location", "location_label"])
        layer.python_param.module = "skinmtl.layers"
        layer.python_param.layer = "WeightedSoftmaxLoss"
        weights = softmax_weights(self.weighting, self.counts, self.beta)
        layer.python_param.param_str = settings_text(WeightedSoftmaxLossSettings(weights))

    def comment(self) -> str:
        """Lines for the head of a net's files that say where its weights are from; nothing where it has none."""
        if self.is_papers:
            return ""
        effective = f"effective number (Cui et al. 2019, beta {self.beta:g})"
        what = effective if self.weighting == "effective" else "number"
        return (
            f"# The weights of location_loss are, for each location in its order: 1 / {what} of its images, to a mean "
            "of 1.\n"
            f"# Counted in the training data: {' '.join(map(str, self.counts))} images.\n"
        )


PAPERS_LOCATIONS = LocationLoss()
