"""ResNet trunks: the published ResNet-50, layer for layer, and others of its family."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from google.protobuf.message import Message

from skinmtl.nets.layers import Layers, check_side, convolved, pooled

CAFFES_MOVING_AVERAGE = 0.999
# where the stride of a stage's first block sits: the published net's branch2a, or torchvision's branch2b
STRIDES_ON = ("1x1", "3x3")
# how pool1's windows lie: the published net's, with the last one cut, or PyTorch's, with the first one cut
POOLS = ("unpadded", "padded")


@dataclass(frozen=True)
class ResNet:
    """A ResNet of bottleneck blocks. Stage s has `blocks[s]` blocks and starts with stride `strides[s]`.

    A block has `widths[s]` channels inside and four times as many at its end; `stem` are conv1's channels. Blocks are
    named a, b, c, ...; those of the stages `numbered` (2 is the first) a, b1, b2, ..., as the published ResNet-101's.
    `stem_bias`: conv1 has a bias, as the published ResNet-50's, and not as its deeper sisters'.
    `pretrained` trunks have published weights, so that their statistics can be frozen in training.
    `moving_average` is how much of BatchNorm's running statistics stays at each iteration, where they are not frozen.
    `crop` and `mean` (B, G, R, of ImageNet) are those of the published net. So are `stride_on` (of STRIDES_ON) and
    `pool1` (of POOLS) by default; weights that were trained in PyTorch want the other ones. Each choice has the same
    weights and the same sides: a caffemodel fills either net without a word, and answers well in one of them.
    """

    stem: int
    widths: tuple[int, ...]
    blocks: tuple[int, ...]
    strides: tuple[int, ...]
    moving_average: float = CAFFES_MOVING_AVERAGE
    pretrained: bool = True
    stride_on: str = "1x1"
    pool1: str = "unpadded"
    numbered: tuple[int, ...] = ()
    stem_bias: bool = True
    crop: ClassVar[int] = 224
    mean: ClassVar[tuple[float, float, float]] = (103.0626, 115.9029, 123.1516)
    has_batch_norm: ClassVar[bool] = True
    features_blob: ClassVar[str] = "pool5"
    maps_blob: ClassVar[str] = "res5c"

    def append(self, net: Message, crop: int, frozen: bool) -> str:
        """Appends the layers from the blob `data` to `pool5`, whose name is returned; `res5c` is what is pooled.

        `frozen` BatchNorm uses the stored statistics in training too; otherwise Caffe's default holds: statistics of
        the batch in training, the stored ones in testing.
        """
        layers = _ResNetLayers(net, self, frozen)
        stages, side = layers.append_stages(crop)
        layers.pool("pool5", stages[-1], "AVE", kernel=side, stride=1)
        return "pool5"

    def append_stages(self, net: Message, crop: int, frozen: bool) -> list[str]:
        """The same without pool5: the last blobs of the stages, finest first, are returned."""
        return _ResNetLayers(net, self, frozen).append_stages(crop)[0]

    def block(self, stage: int, number: int) -> str:
        """The name of a block, counted from 0, of a stage, counted from 2: 3a, 3b or 3b1."""
        if stage in self.numbered and number:
            return f"{stage}b{number}"
        return f"{stage}{chr(ord('a') + number)}"


class _ResNetLayers(Layers):
    """The published file has neither fillers nor param blocks: blobs learn with Caffe's lr_mult 1 and decay_mult 1.

    The fillers here (He et al. 2015, "msra") only matter where no pretrained weights are loaded.
    """

    def __init__(self, net: Message, trunk: ResNet, frozen: bool) -> None:
        super().__init__(net)
        self.trunk = trunk
        self.frozen = frozen

    def append_stages(self, crop: int) -> tuple[list[str], int]:
        """The last blob of each stage, and the side of the last one."""
        side = self._stem(crop)
        bottom, ends = "pool1", []
        stages = zip(self.trunk.widths, self.trunk.blocks, self.trunk.strides)
        for stage, (width, blocks, stride) in enumerate(stages, 2):
            for block in range(blocks):
                name = self.trunk.block(stage, block)
                bottom = self._block(name, bottom, width, stride if block == 0 else 1, projected=block == 0)
            ends.append(bottom)
            side = convolved(side, 1, 0, stride)
        check_side(side, crop)
        return ends, side

    def _stem(self, crop: int) -> int:
        # the published ResNet-50's conv1 has a bias, the only convolution that has one
        self._convolution("conv1", "data", self.trunk.stem, 7, pad=3, stride=2, bias=self.trunk.stem_bias)
        self._normalise("conv1", "_conv1")
        self.relu("conv1_relu", "conv1")
        settings = self.pool("pool1", "conv1", "MAX", kernel=3, stride=2)
        side = convolved(crop, 7, 3, 2)
        if self.trunk.pool1 == "unpadded":
            return pooled(side, 3, 2)
        settings.pad = 1
        settings.round_mode = settings.FLOOR  # known to the snapshot in Debian, not to release 1.0
        return convolved(side, 3, 1, 2)

    def _block(self, name: str, bottom: str, width: int, stride: int, projected: bool) -> str:
        """A bottleneck block res{name}; the stride sits on the shortcut and on the branch's first 1x1 or its 3x3."""
        shortcut = bottom
        if projected:
            shortcut = f"res{name}_branch1"
            self._convolution(shortcut, bottom, 4 * width, kernel=1, pad=0, stride=stride)
            self._normalise(shortcut, f"{name}_branch1")
        branch = f"{name}_branch2"
        first, second = (stride, 1) if self.trunk.stride_on == "1x1" else (1, stride)
        steps = (("a", width, 1, 0, first), ("b", width, 3, 1, second), ("c", 4 * width, 1, 0, 1))
        for step, channels, kernel, pad, step_stride in steps:
            top = f"res{branch}{step}"
            self._convolution(top, bottom, channels, kernel, pad, step_stride)
            self._normalise(top, branch + step)
            if step != "c":
                self.relu(f"{top}_relu", top)
            bottom = top
        self.add(f"res{name}", "Eltwise", [shortcut, bottom], f"res{name}")
        self.relu(f"res{name}_relu", f"res{name}")
        return f"res{name}"

    def _convolution(
        self, name: str, bottom: str, channels: int, kernel: int, pad: int, stride: int, bias: bool = False
    ) -> None:
        settings = self.convolution(name, bottom, channels, kernel, pad, stride).convolution_param
        settings.weight_filler.type = "msra"
        if not bias:
            settings.bias_term = False

    def _normalise(self, blob: str, suffix: str) -> None:
        normal = self.add(f"bn{suffix}", "BatchNorm", [blob], blob)
        if self.frozen:
            normal.batch_norm_param.use_global_stats = True
        elif self.trunk.moving_average != CAFFES_MOVING_AVERAGE:
            normal.batch_norm_param.moving_average_fraction = self.trunk.moving_average
        self.add(f"scale{suffix}", "Scale", [blob], blob).scale_param.bias_term = True
