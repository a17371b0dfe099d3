"""The parts of a mask net above its pyramid: proposals, the subnets of class and box, and that of the mask."""

from __future__ import annotations

from typing import Sequence

from google.protobuf.message import Message

from skinmtl.layers.param_str import Settings, settings_text
from skinmtl.layers.region_settings import RoIAlignSettings
from skinmtl.nets.mask_options import COARSEST, FINEST, MaskNetOptions
from skinmtl.nets.pyramid import LearningLayers

POOLING = 7  # of class and box: the paper
LEVELS = [f"P{level}" for level in range(FINEST, COARSEST + 1)]


class RegionLayers(LearningLayers):
    """Layers of our own, of type Python, and those of the heads."""

    def __init__(self, net: Message, options: MaskNetOptions) -> None:
        super().__init__(net)
        self.options = options

    def own(
        self, name: str, kind: str, bottoms: Sequence[str], tops: Sequence[str], settings: Settings, learning: int = 0
    ) -> Message:
        """A layer of skinmtl.layers. Gradients pass to the first `learning` of its bottoms alone."""
        layer = self.net.layer.add(name=name, type="Python", bottom=bottoms, top=tops)
        layer.python_param.module = "skinmtl.layers"
        layer.python_param.layer = kind
        layer.python_param.param_str = settings_text(settings)
        self.pass_gradients(layer, learning)
        return layer

    def proposing(self) -> None:
        """rpn_scores (N, 2, M) and rpn_deltas (N, 4, M) of the M anchors of all levels, by one head that they share:
        level by level, in it anchor by anchor, and then row by row."""
        anchors = len(self.options.ratios)
        parts: dict[str, list[str]] = {"score": [], "deltas": []}
        for level in self.options.rpn_levels:
            hidden = f"rpn_conv_p{level}"
            # from scratch and with few channels, 0.01 lets next to nothing through: our choice
            filler = ("gaussian", 0.01) if self.options.trunk_layers.pretrained else ("msra", 0.0)
            self._shared(hidden, f"P{level}", self.options.rpn_channels, 3, "rpn_conv", filler)
            self.relu(f"rpn_relu_p{level}", hidden)
            for part, rows in (("score", 2), ("deltas", 4)):
                name = f"rpn_{part}_p{level}"
                self._shared(name, hidden, rows * anchors, 1, f"rpn_{part}")
                parts[part].append(self.reshape(f"{name}_flat", name, [0, rows, -1]))
        for part, name in (("score", "rpn_scores"), ("deltas", "rpn_deltas")):
            self.add(name, "Concat", parts[part], name).concat_param.axis = 2
        self.add("rpn_prob", "Softmax", ["rpn_scores"], "rpn_prob")

    def class_and_box(self, rois: str) -> None:
        """roi_class (M, K + 1) and roi_box (M, 4 (K + 1)) of rois (M, 5), as far as the net has these heads."""
        heads = [head for head in ("class", "box") if head in self.options.heads]
        if not heads:
            return
        self.pooled("roi_pool", rois, POOLING)
        bottom = "roi_pool"
        for number in (6, 7):
            name = f"roi_fc{number}"
            self._full(name, bottom, self.options.full, "xavier")  # Detectron
            self.relu(f"roi_relu{number}", name)
            bottom = name
        classes = self.options.classes + 1
        if "class" in heads:
            self._full("roi_class", bottom, classes, "gaussian", 0.01)  # Detectron, py-faster-rcnn
        if "box" in heads:
            self._full("roi_box", bottom, 4 * classes, "gaussian", 0.001)  # the same

    def mask(self, rois: str) -> None:
        """mask_score (M, K + 1, mask_side, mask_side) of rois (M, 5): four convolutions, twice the size, one more."""
        channels = self.options.mask_channels
        self.pooled("mask_pool", rois, self.options.mask_pooling)
        bottom = "mask_pool"
        for number in range(1, 5):
            name = f"mask_conv{number}"
            layer = self.convolution(name, bottom, channels, 3, 1, 1)
            self.start(layer, layer.convolution_param, "msra")  # Detectron's e2e_mask_rcnn_R-50-FPN
            self.relu(f"mask_relu{number}", name)
            bottom = name
        layer = self.convolution("mask_deconv", bottom, channels, 2, 0, 2)
        layer.type = "Deconvolution"
        self.start(layer, layer.convolution_param, "msra")
        self.relu("mask_relu5", "mask_deconv")
        layer = self.convolution("mask_score", "mask_deconv", self.options.classes + 1, 1, 0, 1)
        # Detectron again; of one class, it has a smaller start against divergence
        agnostic = "class" not in self.options.heads
        self.start(layer, layer.convolution_param, "gaussian" if agnostic else "msra", 0.001 if agnostic else 0.0)

    def pooled(self, name: str, rois: str, side: int) -> None:
        """(M, channels, side, side) of rois (M, 5), each from the level of its size."""
        settings = RoIAlignSettings(pooled=side, levels=self.options.levels)
        self.own(name, "RoIAlign", [*LEVELS, rois], [name], settings, learning=len(LEVELS))

    def _shared(
        self,
        name: str,
        bottom: str,
        channels: int,
        kernel: int,
        shared: str,
        filler: tuple[str, float] = ("gaussian", 0.01),  # Detectron, py-faster-rcnn
    ) -> None:
        layer = self.convolution(name, bottom, channels, kernel, kernel // 2, 1)
        self.start(layer, layer.convolution_param, *filler, shared)

    def _full(self, name: str, bottom: str, outputs: int, filler: str, std: float = 0.0) -> None:
        layer = self.add(name, "InnerProduct", [bottom], name)
        layer.inner_product_param.num_output = outputs
        self.start(layer, layer.inner_product_param, filler, std)
