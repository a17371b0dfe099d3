"""The loss of a net's lesions: the paper's, or one that rare lesions, or images of one lesion each, ask for."""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf.message import Message

from skinmtl.layers.label_settings import WeightedSigmoidLossSettings, WeightedSoftmaxLossSettings
from skinmtl.layers.param_str import Settings, settings_text
from skinmtl.nets.class_weights import BETA, positive_weights, softmax_weights

LESION_LOSSES = ("sigmoid", "softmax", "focal")
GAMMA = 2.0  # of the focal loss: the best of those that Lin et al. (2017) tried, their table 1b


@dataclass(frozen=True)
class LesionLoss:
    """kind       sigmoid, the paper's: each lesion by itself; softmax: one of them an image; focal: Lin et al. (2017),
               with sigmoids, without their alpha, which `weighting` has the place of
    weighting  of class_weights.WEIGHTINGS
    counts     where it is not "none": how many training images, how many with each lesion; None: not known yet
    beta       of the effective numbers
    gamma      of the focal loss
    """

    kind: str = "sigmoid"
    weighting: str = "none"
    counts: tuple[int, ...] | None = None
    beta: float = BETA
    gamma: float = GAMMA

    @property
    def is_papers(self) -> bool:
        """Whether Caffe's own layer computes it."""
        return self.kind == "sigmoid" and self.weighting == "none"

    @property
    def probability(self) -> str:
        """The type of the layer that makes probabilities of the scores."""
        return "Softmax" if self.kind == "softmax" else "Sigmoid"

    @property
    def weights(self) -> tuple[float, ...]:
        """One for each lesion; none where none are wanted."""
        if self.weighting == "none":
            return ()
        images, *counts = self.counts
        if self.kind == "softmax":
            return softmax_weights(self.weighting, counts, self.beta)
        return positive_weights(self.weighting, images, counts, self.beta)

    def append(self, net: Message) -> None:
        """Appends the layer lesion_loss, of fc_lesion and lesion_label, where it is not the paper's."""
        name, settings = self._layer()
        layer = net.layer.add(name="lesion_loss", type="Python", top=["lesion_loss"], loss_weight=[1])
        layer.bottom.extend(["fc_lesion", "lesion_label"])
        layer.python_param.module = "skinmtl.layers"
        layer.python_param.layer = name
        layer.python_param.param_str = settings_text(settings)

    def _layer(self) -> tuple[str, Settings]:
        if self.kind == "softmax":
            return "WeightedSoftmaxLoss", WeightedSoftmaxLossSettings(self.weights)
        gamma = self.gamma if self.kind == "focal" else 0
        return "WeightedSigmoidLoss", WeightedSigmoidLossSettings(self.weights, gamma)

    def comment(self) -> str:
        """Lines for the head of a net's files that say where its weights are from; nothing where it has none."""
        if self.weighting == "none":
            return ""
        images, *counts = self.counts
        effective = f"effective number (Cui et al. 2019, beta {self.beta:g})"
        if self.kind == "softmax":
            how = (
                f"1 / {effective if self.weighting == 'effective' else 'number'} of the images of each, to a mean of 1"
            )
        else:
            of = f" by their {effective}" if self.weighting == "effective" else ""
            how = f"images without / images with it{of}, which multiplies the loss where it is true"
        return (
            f"# The weights of lesion_loss are, for each lesion in its order: {how}.\n"
            f"# Counted in the training data: {images} images; with each lesion {' '.join(map(str, counts))}.\n"
        )


PAPERS = LesionLoss()
