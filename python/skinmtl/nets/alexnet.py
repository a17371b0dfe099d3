"""AlexNet trunks: BVLC's published one (bvlc_alexnet), layer for layer, and others of its family."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from google.protobuf.message import Message

from skinmtl.nets.layers import Layers, check_side, convolved, pooled

# the initial bias of conv2, conv4, conv5, fc6 and fc7, as published; the others start at 0
BIAS = 0.1


@dataclass(frozen=True)
class AlexNet:
    """Five convolutions of `channels`, two fully connected layers of `full` outputs.

    Where no weights are loaded, these start as Gaussian noise of `convolution_std` and `full_std`. conv1 has a kernel
    of `kernel` and the stride `stride`. `crop` is the published net's. That one subtracted a mean image; `mean` (B, G,
    R) is the image's own, rounded as BVLC writes it where it gives numbers (its bvlc_googlenet).
    """

    kernel: int
    stride: int
    channels: tuple[int, int, int, int, int]
    full: int
    convolution_std: float
    full_std: float
    crop: ClassVar[int] = 227
    mean: ClassVar[tuple[float, float, float]] = (104.0, 117.0, 123.0)
    has_batch_norm: ClassVar[bool] = False
    # its pool5 is 6 x 6 places, not their average: neither retrieval nor class activation maps are of this net
    features_blob: ClassVar[None] = None
    maps_blob: ClassVar[None] = None

    def append(self, net: Message, crop: int, frozen: bool) -> str:
        """Appends the layers from the blob `data` to `fc7`, whose name is returned. There is nothing to freeze."""
        check_side(self.side(crop), crop)
        _AlexNetLayers(net, self).append()
        return "fc7"

    def side(self, crop: int) -> int:
        """The side of pool5: fc6 has a weight for each of its places, so that another side needs other weights."""
        side = convolved(crop, self.kernel, 0, self.stride)
        for _ in ("pool1", "pool2", "pool5"):
            side = pooled(side, 3, 2)
        return side

    def fits_published(self, crop: int) -> bool:
        """Whether fc6 has as many weights at this crop as at the published one."""
        return self.side(crop) == self.side(self.crop)


class _AlexNetLayers(Layers):
    """Weights learn with lr_mult 1 and decay_mult 1, biases with 2 and 0, as in the published file."""

    def __init__(self, net: Message, trunk: AlexNet) -> None:
        super().__init__(net)
        self.trunk = trunk

    def append(self) -> None:
        channels = self.trunk.channels
        self._convolution("1", "data", channels[0], self.trunk.kernel, pad=0, stride=self.trunk.stride)
        self._normalise_and_pool("1")
        self._convolution("2", "pool1", channels[1], kernel=5, pad=2, group=2, bias=True)
        self._normalise_and_pool("2")
        self._convolution("3", "pool2", channels[2], kernel=3, pad=1)
        self._convolution("4", "conv3", channels[3], kernel=3, pad=1, group=2, bias=True)
        self._convolution("5", "conv4", channels[4], kernel=3, pad=1, group=2, bias=True)
        self.pool("pool5", "conv5", "MAX", kernel=3, stride=2)
        self._full("6", "pool5")
        self._full("7", "fc6")

    def _convolution(
        self,
        number: str,
        bottom: str,
        channels: int,
        kernel: int,
        pad: int,
        stride: int = 1,
        group: int = 1,
        bias: bool = False,
    ) -> None:
        layer = self.convolution(f"conv{number}", bottom, channels, kernel, pad, stride)
        if group != 1:
            layer.convolution_param.group = group
        self._learning(layer, layer.convolution_param, self.trunk.convolution_std, bias)
        self.relu(f"relu{number}", f"conv{number}")

    def _normalise_and_pool(self, number: str) -> None:
        """Normalised across five neighbouring channels (Krizhevsky et al. 2012, section 3.3), and then pooled."""
        settings = self.add(f"norm{number}", "LRN", [f"conv{number}"], f"norm{number}").lrn_param
        settings.local_size = 5
        settings.alpha = 0.0001
        settings.beta = 0.75
        self.pool(f"pool{number}", f"norm{number}", "MAX", kernel=3, stride=2)

    def _full(self, number: str, bottom: str) -> None:
        name = f"fc{number}"
        layer = self.add(name, "InnerProduct", [bottom], name)
        layer.inner_product_param.num_output = self.trunk.full
        self._learning(layer, layer.inner_product_param, self.trunk.full_std, bias=True)
        self.relu(f"relu{number}", name)
        self.add(f"drop{number}", "Dropout", [name], name).dropout_param.dropout_ratio = 0.5

    def _learning(self, layer: Message, settings: Message, std: float, bias: bool) -> None:
        layer.param.add(lr_mult=1, decay_mult=1)
        layer.param.add(lr_mult=2, decay_mult=0)
        settings.weight_filler.type = "gaussian"
        settings.weight_filler.std = std
        settings.bias_filler.type = "constant"
        settings.bias_filler.value = BIAS if bias else 0
