"""The trunks by name. Each appends itself to a net and says which blob the heads stand on."""

from __future__ import annotations

from functools import partial
from typing import Union

from skinmtl.nets.alexnet import AlexNet
from skinmtl.nets.given_trunk import GivenTrunk
from skinmtl.nets.resnet import ResNet

Trunk = Union[ResNet, AlexNet, GivenTrunk]


class OnTrunk:
    """What options of a net on a trunk have in common; they have model, trunk, mean and trunk_layers."""

    @property
    def subtracted(self) -> tuple[float, float, float]:
        """The mean (B, G, R)."""
        return self.mean or self.trunk_layers.mean

    @property
    def net_name(self) -> str:
        """The model's name, or that of the same on another trunk: tiny_mtl, tiny_mask_rcnn."""
        return f"{self.trunk}_{self.model.partition('_')[2]}"


# He et al. 2016, table 1; the strides and names are those of the published prototxts
PUBLISHED_RESNET = partial(ResNet, stem=64, widths=(64, 128, 256, 512), strides=(1, 2, 2, 2))
# the deeper ones, whose published conv1 has no bias, number the blocks of the two long stages
DEEPER_RESNET = partial(PUBLISHED_RESNET, numbered=(3, 4), stem_bias=False)

TRUNKS: dict[str, Trunk] = {
    "resnet50": PUBLISHED_RESNET(blocks=(3, 4, 6, 3)),
    "resnet101": DEEPER_RESNET(blocks=(3, 4, 23, 3)),
    "resnet152": DEEPER_RESNET(blocks=(3, 8, 36, 3)),
    # our choice, for the demo and for tests: trains in minutes on a CPU; the last stage ends in res5c as the big one
    # does and keeps 4 x 4 places of a crop of 64. Its statistics forget in 50 iterations: Caffe's 0.999 remembers a
    # thousand, half of the demo's run.
    "tiny": ResNet(
        stem=16,
        widths=(8, 16, 32, 32),
        blocks=(1, 1, 1, 3),
        strides=(1, 2, 2, 1),
        moving_average=0.98,
        pretrained=False,
    ),
    # BVLC's models/bvlc_alexnet/train_val.prototxt: Krizhevsky et al. 2012, in two groups as on their two GPUs
    "alexnet": AlexNet(
        kernel=11, stride=4, channels=(96, 256, 384, 384, 256), full=4096, convolution_std=0.01, full_std=0.005
    ),
    # our choice, for the demo and for tests: a smaller first kernel and stride leave 3 x 3 places of a crop of 64; with
    # so few channels the published 0.01 would let next to nothing through
    "tiny_alexnet": AlexNet(
        kernel=5, stride=2, channels=(24, 48, 64, 64, 48), full=256, convolution_std=0.03, full_std=0.03
    ),
}
