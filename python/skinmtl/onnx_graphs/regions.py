"""The layers of type Python that find regions, as ONNX nodes: TopK, NonMaxSuppression, RoiAlign and arithmetic.

For one image: N is 1. Each is the layer of skinmtl.layers of the same name, step by step as `regions` has it; boxes of
equal scores may come in another order.
"""

from __future__ import annotations

from typing import Any, Callable

import numpy as np

from skinmtl.layers.param_str import read_param_str
from skinmtl.layers.region_settings import DetectionOutputSettings, ProposalsSettings, RoIAlignSettings
from skinmtl.onnx_graphs.graph import LayerView
from skinmtl.regions.anchors import anchors
from skinmtl.regions.boxes import LARGEST_LOG
from skinmtl.regions.detections import FIXED

OPSET, IR_VERSION = 16, 8  # RoiAlign has its half pixel since
LEFT_OUT, ABOVE_LEFT_OUT = -1.0, -0.5  # the score of what is no candidate, and what all others, from 0 on, are above


class _Steps:
    """Nodes of a layer, named one after the other."""

    def __init__(self, layer: LayerView) -> None:
        self._layer, self._count = layer, 0

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Adds a node of one output; returns its name."""
        return self._layer.graph.add(kind, self._name(), inputs, self._last, **attributes)

    def top_k(self, values: str, count: int) -> tuple[str, str]:
        """The highest of (n,), highest first, and their indices."""
        name = self._name()
        self._layer.graph.add("TopK", name, [values, self.wholes([count])], [f"{name}/values", f"{name}/indices"])
        return f"{name}/values", f"{name}/indices"

    def to(self, top: int, kind: str, *inputs: str, **attributes: Any) -> None:
        """Adds the node that writes a top."""
        name = self._layer.tops[top]
        self._layer.graph.add(kind, f"{self._layer.name}/{name}", inputs, name, **attributes)

    def floats(self, values: Any) -> str:
        return self._layer.graph.constant(self._name(), np.asarray(values))

    def wholes(self, values: Any) -> str:
        return self._layer.graph.whole(self._name(), np.asarray(values))

    def columns(self, of: str, *numbers: int) -> str:
        """(n, len(numbers)) of (n, m)."""
        return self.op("Gather", of, self.wholes(numbers), axis=1)

    def column(self, of: str, number: int) -> str:
        """(n,) of (n, m)."""
        return self.op("Gather", of, self.wholes(number), axis=1)

    def rows(self, of: str, first: int, end: int) -> str:
        return self.op("Slice", of, self.wholes([first]), self.wholes([end]), self.wholes([0]))

    def shaped(self, of: str, *shape: int) -> str:
        return self.op("Reshape", of, self.wholes(shape))

    def sides(self, boxes: str) -> str:
        """(n, 2), widths and heights of (n, 4)."""
        return self.op("Sub", self.columns(boxes, 2, 3), self.columns(boxes, 0, 1))

    def have_area(self, boxes: str) -> str:
        """bool (n,)."""
        smallest = self.op("ReduceMin", self.sides(boxes), axes=[1], keepdims=0)
        return self.op("Greater", smallest, self.floats(0))

    def decoded(self, deltas: str, references: str, std: Any, window: str) -> str:
        """(n, 4): `regions.boxes.decode`, clipped to the window (1, 4)."""
        deltas = self.op("Mul", deltas, self.floats([std]))
        sides = self.sides(references)
        half = self.floats(0.5)
        centres = self.op("Add", self.columns(references, 0, 1), self.op("Mul", sides, half))
        centres = self.op("Add", centres, self.op("Mul", self.columns(deltas, 0, 1), sides))
        grown = self.op("Exp", self.op("Min", self.columns(deltas, 2, 3), self.floats(LARGEST_LOG)))
        halves = self.op("Mul", self.op("Mul", grown, sides), half)
        corners = self.op("Sub", centres, halves), self.op("Add", centres, halves)
        boxes = self.op("Max", self.op("Concat", *corners, axis=1), self.columns(window, 0, 1, 0, 1))
        return self.op("Min", boxes, self.columns(window, 2, 3, 2, 3))

    def suppressed(self, boxes: str, scores: str, most: int, threshold: float) -> str:
        """(k,) int64: rows of boxes (n, 4) that a suppression keeps, in each class of scores (1, C, n)."""
        boxes = self.op("Unsqueeze", boxes, self.wholes([0]))
        limits = self.wholes([most]), self.floats([threshold]), self.floats([ABOVE_LEFT_OUT])
        return self.column(self.op("NonMaxSuppression", boxes, scores, *limits), 2)

    def _name(self) -> str:
        self._count += 1
        self._last = f"{self._layer.name}/{self._count}"
        return self._last


def _settings(layer: LayerView, kind: Any) -> Any:
    return read_param_str(kind, layer.param.python_param.param_str, f"layer {layer.name!r}")


def _proposals(layer: LayerView) -> None:
    rules, steps = _settings(layer, ProposalsSettings), _Steps(layer)
    prob, deltas, window = layer.bottoms
    places = layer.bottom_shapes[0][2]
    scores, best = steps.top_k(
        steps.shaped(steps.op("Gather", prob, steps.wholes(1), axis=1), places), min(rules.before, places)
    )
    all_anchors = steps.floats(anchors(rules.side, rules.scales, rules.ratios, rules.strides))
    moved = steps.op("Gather", steps.shaped(deltas, 4, places), best, axis=1)
    moved = steps.op("Transpose", moved, perm=[1, 0])
    boxes = steps.decoded(moved, steps.op("Gather", all_anchors, best, axis=0), rules.std, window)
    smallest = steps.op("ReduceMin", steps.sides(boxes), axes=[1], keepdims=0)
    large = steps.op("And", steps.have_area(boxes), steps.op("GreaterOrEqual", smallest, steps.floats(rules.smallest)))
    ranked = steps.op("Where", large, scores, steps.floats(LEFT_OUT))
    kept = steps.suppressed(boxes, steps.shaped(ranked, 1, 1, -1), rules.after, rules.nms)
    found = [steps.op("Gather", each, kept, axis=0) for each in (boxes, steps.shaped(scores, -1, 1))]
    rows = steps.op("Concat", steps.op("Concat", *found, axis=1), steps.floats(np.zeros((rules.after, 5))), axis=0)
    rows = steps.rows(rows, 0, rules.after)
    steps.to(0, "Unsqueeze", rows, steps.wholes([0]))
    if len(layer.tops) > 1:
        steps.to(1, "Concat", steps.floats(np.zeros((rules.after, 1))), steps.columns(rows, 0, 1, 2, 3), axis=1)


def _roi_align(layer: LayerView) -> None:
    """Every level is read for all regions, and of each region the level is taken that it belongs to."""
    rules, steps = _settings(layer, RoIAlignSettings), _Steps(layer)
    *levels, rois = layer.bottoms
    count = layer.bottom_shapes[-1][0]
    boxes, images = steps.columns(rois, 1, 2, 3, 4), steps.wholes(np.zeros(count))
    sides = steps.sides(boxes)
    area = steps.op("Mul", steps.column(sides, 0), steps.column(sides, 1))
    side = steps.op("Sqrt", steps.op("Max", area, steps.floats(np.finfo(np.float32).tiny)))
    step = steps.op(
        "Div", steps.op("Log", steps.op("Div", side, steps.floats(rules.canonical))), steps.floats(np.log(2))
    )
    step = steps.op("Add", step, steps.floats(np.log2(16 / rules.strides[0])))
    whole = steps.op("Round" if rules.levels == "round" else "Floor", step)
    level = steps.op("Clip", whole, steps.floats(0), steps.floats(len(levels) - 1))
    level = steps.shaped(level, count, 1, 1, 1)
    pooled = ""
    for number, (features, stride) in enumerate(zip(levels, rules.strides)):
        read = steps.op(
            "RoiAlign", features, boxes, images, output_height=rules.pooled, output_width=rules.pooled,
            sampling_ratio=rules.samples, spatial_scale=1 / stride, coordinate_transformation_mode="half_pixel",
        )  # fmt: skip
        own = steps.op("Equal", level, steps.floats(number))
        pooled = steps.op("Where", own, read, pooled) if pooled else read
    steps.to(0, "Identity", pooled)


def _detection_output(layer: LayerView) -> None:
    rules, steps = _settings(layer, DetectionOutputSettings), _Steps(layer)
    proposals, *of_heads, window = layer.bottoms
    bottoms = dict(zip([head for head in ("class", "box") if head in rules.heads], of_heads))
    count, classes, most = layer.bottom_shapes[0][1], rules.classes, rules.detections
    proposed = steps.shaped(proposals, count, 5)
    boxes = steps.columns(proposed, 0, 1, 2, 3)
    is_one = lesion = steps.have_area(boxes)
    if "class" in bottoms:
        lesions = steps.op("Slice", bottoms["class"], *map(steps.wholes, ([1], [classes + 1], [1])))
        labels = steps.op("ArgMax", lesions, axis=1, keepdims=0)
        scores = steps.op("ReduceMax", lesions, axes=[1], keepdims=0)
        lesion = steps.op("And", lesion, steps.op("Greater", scores, steps.column(bottoms["class"], 0)))
        sums = steps.op("ReduceSum", lesions, steps.wholes([1]), keepdims=1)
        any_sum = steps.op("Greater", sums, steps.floats(0))
        divided = steps.op("Div", lesions, steps.op("Where", any_sum, sums, steps.floats(1)))
        shares = steps.op("Where", any_sum, divided, steps.floats(1 / classes))
    else:
        labels, scores = steps.wholes(np.zeros(count)), steps.column(proposed, 4)
        shares = steps.floats(np.full((count, classes), 1 / classes))
    if "box" in bottoms:
        width = layer.bottom_shapes[layer.bottoms.index(bottoms["box"])][1] // 4
        own = steps.op("Add", labels, steps.wholes(np.arange(count) * width + 1))
        deltas = steps.op("Gather", steps.shaped(bottoms["box"], count * width, 4), own, axis=0)
        refined = steps.decoded(deltas, boxes, rules.std, window)
        has_area = steps.have_area(refined)
        boxes = steps.op("Where", steps.shaped(has_area, count, 1), refined, boxes)
        lesion = steps.op("And", lesion, has_area)
    found = steps.op("And", lesion, steps.op("GreaterOrEqual", scores, steps.floats(rules.score)))
    own_class = steps.op("Equal", steps.shaped(labels, 1, count), steps.wholes(np.arange(classes)[:, None]))
    ranked = steps.op("Where", steps.op("And", own_class, found), scores, steps.floats(LEFT_OUT))
    kept = steps.suppressed(boxes, steps.op("Unsqueeze", ranked, steps.wholes([0])), most, rules.nms)
    numbers = steps.op("Cast", steps.op("Add", labels, steps.wholes(1)), to=1)
    parts = [boxes, *(steps.shaped(each, count, 1) for each in (numbers, scores)), "", shares]
    rows = {}
    for detected in (0, 1):
        parts[3] = steps.floats(np.full((count, 1), detected))
        rows[detected] = steps.op("Concat", *parts, axis=1)
    # behind what was kept, rows of zeros of a score that is below all
    rows[1] = steps.op("Concat", rows[1], steps.floats(np.zeros((1, FIXED + classes))), axis=0)
    index = steps.op("Concat", kept, steps.wholes(np.full(most, count)), axis=0)
    of_kept = steps.op("Gather", scores, kept, axis=0)
    _, best = steps.top_k(steps.op("Concat", of_kept, steps.floats(np.full(most, 2 * LEFT_OUT)), axis=0), most)
    told = steps.op("Gather", rows[1], steps.op("Gather", index, best, axis=0), axis=0)
    rest = steps.floats([[1, 0, 0, *[1 / classes] * classes]])
    nothing = steps.op("Concat", window, rest, axis=1)
    likeliest = steps.op("Where", steps.rows(is_one, 0, 1), steps.rows(rows[0], 0, 1), nothing)
    none = steps.op("Equal", steps.op("Size", kept), steps.wholes(0))
    first = steps.op("Where", none, likeliest, steps.rows(told, 0, 1))
    told = steps.op("Concat", first, steps.rows(told, 1, most), axis=0) if most > 1 else first
    steps.to(0, "Unsqueeze", told, steps.wholes([0]))
    if len(layer.tops) > 1:
        steps.to(1, "Concat", steps.floats(np.zeros((most, 1))), steps.columns(told, 0, 1, 2, 3), axis=1)


REGION_CONVERTERS: dict[str, Callable[[LayerView], None]] = {
    "Proposals": _proposals,
    "RoIAlign": _roi_align,
    "DetectionOutput": _detection_output,
}
