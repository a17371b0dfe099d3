"""The ResNet trunk: the published ResNet-50, layer for layer, and a tiny one of the same family."""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf.message import Message

from skinmtl.common.errors import InputError

CAFFES_MOVING_AVERAGE = 0.999


@dataclass(frozen=True)
class Trunk:
    """A ResNet of bottleneck blocks. Stage s has `blocks[s]` blocks and starts with stride `strides[s]`.

    A block has `widths[s]` channels inside and four times as many at its end; `stem` are conv1's channels.
    `moving_average` is how much of BatchNorm's running statistics stays at each iteration, where they are not frozen.
    """

    stem: int
    widths: tuple[int, ...]
    blocks: tuple[int, ...]
    strides: tuple[int, ...]
    moving_average: float = CAFFES_MOVING_AVERAGE


TRUNKS = {
    # He et al. 2016, table 1 (50-layer); the strides and names are those of the published prototxt
    "resnet50": Trunk(stem=64, widths=(64, 128, 256, 512), blocks=(3, 4, 6, 3), strides=(1, 2, 2, 2)),
    # our choice, for the demo and for tests: trains in minutes on a CPU; the last stage ends in res5c as the big one
    # does and keeps 4 x 4 places of a crop of 64. Its statistics forget in 50 iterations: Caffe's 0.999 remembers a
    # thousand, half of the demo's run.
    "tiny": Trunk(stem=16, widths=(8, 16, 32, 32), blocks=(1, 1, 1, 3), strides=(1, 2, 2, 1), moving_average=0.98),
}


class TrunkLayers:
    """Appends a trunk's layers to a net, from the blob `data` to the blob `pool5`.

    `frozen` BatchNorm uses the stored statistics in training too; otherwise Caffe's default holds: statistics of the
    batch in training, the stored ones in testing. The published file has neither fillers nor param blocks: blobs
    learn with Caffe's lr_mult 1 and decay_mult 1, and the fillers here (He et al. 2015, "msra") only matter where
    no pretrained weights are loaded.
    """

    def __init__(self, net: Message, trunk: Trunk, frozen: bool) -> None:
        self.net = net
        self.trunk = trunk
        self.frozen = frozen

    def append(self, crop: int) -> None:
        side = self._stem(crop)
        bottom = "pool1"
        stages = zip(self.trunk.widths, self.trunk.blocks, self.trunk.strides)
        for stage, (width, blocks, stride) in enumerate(stages, 2):
            for block in range(blocks):
                name = f"{stage}{chr(ord('a') + block)}"
                bottom = self._block(name, bottom, width, stride if block == 0 else 1, projected=block == 0)
            side = _convolved(side, 1, 0, stride)
        if side < 1:
            raise InputError(f"a crop of {crop} is too small for the net; give a larger --crop")
        self._pool("pool5", bottom, "AVE", kernel=side, stride=1)

    def _stem(self, crop: int) -> int:
        # the published conv1 has a bias, the only convolution that has one
        self._convolution("conv1", "data", self.trunk.stem, kernel=7, pad=3, stride=2, bias=True)
        self._normalise("conv1", "_conv1")
        self._relu("conv1_relu", "conv1")
        self._pool("pool1", "conv1", "MAX", kernel=3, stride=2)
        side = _convolved(crop, 7, 3, 2)
        return -(-(side - 3) // 2) + 1  # Caffe's pooling rounds up

    def _block(self, name: str, bottom: str, width: int, stride: int, projected: bool) -> str:
        """A bottleneck block res{name}; the stride sits on the first 1x1 and on the shortcut's."""
        shortcut = bottom
        if projected:
            shortcut = f"res{name}_branch1"
            self._convolution(shortcut, bottom, 4 * width, kernel=1, pad=0, stride=stride)
            self._normalise(shortcut, f"{name}_branch1")
        branch = f"{name}_branch2"
        steps = (("a", width, 1, 0, stride), ("b", width, 3, 1, 1), ("c", 4 * width, 1, 0, 1))
        for step, channels, kernel, pad, step_stride in steps:
            top = f"res{branch}{step}"
            self._convolution(top, bottom, channels, kernel, pad, step_stride)
            self._normalise(top, branch + step)
            if step != "c":
                self._relu(f"{top}_relu", top)
            bottom = top
        self._layer(f"res{name}", "Eltwise", [shortcut, bottom], f"res{name}")
        self._relu(f"res{name}_relu", f"res{name}")
        return f"res{name}"

    def _convolution(
        self, name: str, bottom: str, channels: int, kernel: int, pad: int, stride: int, bias: bool = False
    ) -> None:
        layer = self._layer(name, "Convolution", [bottom], name)
        settings = layer.convolution_param
        settings.num_output = channels
        settings.kernel_size.append(kernel)
        settings.pad.append(pad)
        settings.stride.append(stride)
        settings.weight_filler.type = "msra"
        if not bias:
            settings.bias_term = False

    def _normalise(self, blob: str, suffix: str) -> None:
        normal = self._layer(f"bn{suffix}", "BatchNorm", [blob], blob)
        if self.frozen:
            normal.batch_norm_param.use_global_stats = True
        elif self.trunk.moving_average != CAFFES_MOVING_AVERAGE:
            normal.batch_norm_param.moving_average_fraction = self.trunk.moving_average
        self._layer(f"scale{suffix}", "Scale", [blob], blob).scale_param.bias_term = True

    def _relu(self, name: str, blob: str) -> None:
        self._layer(name, "ReLU", [blob], blob)

    def _pool(self, name: str, bottom: str, method: str, kernel: int, stride: int) -> None:
        settings = self._layer(name, "Pooling", [bottom], name).pooling_param
        settings.pool = settings.PoolMethod.Value(method)
        settings.kernel_size = kernel
        settings.stride = stride

    def _layer(self, name: str, kind: str, bottoms: list[str], top: str) -> Message:
        return self.net.layer.add(name=name, type=kind, bottom=bottoms, top=[top])


def _convolved(side: int, kernel: int, pad: int, stride: int) -> int:
    return (side + 2 * pad - kernel) // stride + 1
