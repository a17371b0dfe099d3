"""The feature pyramid on a ResNet: P2 to P5, and P6 for the proposals alone (Lin et al. 2017, as Detectron has it)."""

from __future__ import annotations

from google.protobuf.message import Message

from skinmtl.nets.layers import Layers
from skinmtl.nets.mask_options import COARSEST, EXTRA, FINEST, MaskNetOptions


class LearningLayers(Layers):
    """Layers that start from nothing. Weights learn with lr_mult 1 and decay_mult 1, biases with 2 and 0, as in
    py-faster-rcnn and Detectron (BIAS_DOUBLE_LR, BIAS_WEIGHT_DECAY); biases start at 0."""

    def start(self, layer: Message, settings: Message, filler: str, std: float = 0.0, shared: str = "") -> None:
        """Says how a layer's weights start and learn; layers with the same `shared` name have the same weights."""
        settings.weight_filler.type = filler
        if std:
            settings.weight_filler.std = std
        for kind, lr_mult, decay_mult in (("w", 1, 1), ("b", 2, 0)):
            param = layer.param.add(lr_mult=lr_mult, decay_mult=decay_mult)
            if shared:
                param.name = f"{shared}_{kind}"

    def reshape(self, name: str, bottom: str, sides: list[int]) -> str:
        """0 keeps a side, -1 is what is left."""
        self.add(name, "Reshape", [bottom], name).reshape_param.shape.dim.extend(sides)
        return name

    def silence(self, blobs: list[str]) -> None:
        """Blobs that nothing takes: Caffe would print all their numbers."""
        if blobs:
            self.pass_gradients(self.net.layer.add(name="silence", type="Silence", bottom=blobs), 0)

    def pass_gradients(self, layer: Message, learning: int) -> None:
        """Lets gradients pass to the first `learning` bottoms alone.

        Caffe believes that what was made from scores could learn, and its losses refuse to give their labels gradients.
        """
        layer.propagate_down.extend(number < learning for number in range(len(layer.bottom)))


def append_pyramid(net: Message, options: MaskNetOptions) -> str:
    """Appends the trunk, from the blob `data` on, and `P2` to `P5`, each (N, channels, side / 2^level, the same); with
    p6 also `P6`. The last blob of the trunk, C5, is returned.

    P5 is a 1x1 convolution of C5; below it, each level is a 1x1 convolution plus the level above at twice its size. A
    3x3 convolution follows on each.
    """
    stages = options.trunk_layers.append_stages(net, options.side, options.frozen_batch_norm)
    for layer in net.layer:
        if layer.type == "Scale":  # matterport lets them learn, and decays them not
            for _ in range(2):
                layer.param.add(lr_mult=1, decay_mult=0)
    _Pyramid(net).append(dict(enumerate(stages, FINEST)), options)
    return stages[-1]


class _Pyramid(LearningLayers):
    def append(self, stages: dict[int, str], options: MaskNetOptions) -> None:
        merged = {}
        for level in range(COARSEST, FINEST - 1, -1):
            merged[level] = self._convolution(f"fpn_lateral{level}", stages[level], options.channels, 1)
            if level < COARSEST:
                above = self._upsampled(level + 1, merged[level + 1], options.side // 2**level)
                name = f"fpn_sum{level}"
                self.add(name, "Eltwise", [merged[level], above], name)
                merged[level] = name
        for level in range(FINEST, COARSEST + 1):
            self._convolution(f"fpn_output{level}", merged[level], options.channels, 3, f"P{level}")
        if options.p6:
            settings = self.pool(f"P{EXTRA}", f"P{COARSEST}", "MAX", kernel=1, stride=2)
            settings.round_mode = settings.FLOOR  # else a last window would lie outside

    def _convolution(self, name: str, bottom: str, channels: int, kernel: int, top: str = "") -> str:
        layer = self.convolution(name, bottom, channels, kernel, kernel // 2, 1)
        layer.top[0] = top or name
        self.start(layer, layer.convolution_param, "xavier")  # Detectron
        return layer.top[0]

    def _upsampled(self, level: int, bottom: str, side: int) -> str:
        """Each number four times, as nearest neighbours do (N, C, side, side): copies of Tile, exact, no weights."""
        name = f"fpn_up{level}"
        column = self.reshape(f"{name}_column", bottom, [0, 0, 0, 0, 1])
        self._twice(f"{name}_wide", column, axis=4)
        row = self.reshape(f"{name}_row", f"{name}_wide", [0, 0, 0, 1, side])
        self._twice(f"{name}_high", row, axis=3)
        return self.reshape(name, f"{name}_high", [0, 0, side, side])

    def _twice(self, name: str, bottom: str, axis: int) -> None:
        settings = self.add(name, "Tile", [bottom], name).tile_param
        settings.axis = axis
        settings.tiles = 2
