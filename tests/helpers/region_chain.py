"""All of Song et al.'s layers in a chain, from what the data layer gives to the losses, each head a layer."""

from __future__ import annotations

import numpy as np
from python_nets import fill, input_layer, net_of, python_layer

N, SIDE, K, P = 3, 64, 2, 30
LEVELS = {"side": SIDE, "scales": [16, 32, 48, 64], "strides": [4, 8, 16, 32]}
M = 3 * (16**2 + 8**2 + 4**2 + 2**2)
SHAPES = {
    **{"box": (N, 4), "class_label": (N,), "draw": (N, 2), "window": (N, 4), "mask": (N, 1, SIDE, SIDE)},
    **{"rpn_score": (N, 2, M), "rpn_deltas": (N, 4, M), "fc": (N * 20, 3), "box_deltas": (N * 20, 12)},
    **{f"P{level}": (N, 4, SIDE >> level, SIDE >> level) for level in (2, 3, 4, 5)},
}
ROIS = {"classes": K, "rois": 20, "mask_side": 6}
SOFTMAX = 'layer { name: "softmax" type: "Softmax" bottom: "rpn_score" top: "rpn_prob" }\n'
ANCHOR_TARGETS = python_layer(
    "AnchorTargets", "box class_label draw", "rpn_labels rpn_box_targets rpn_box_weights", **LEVELS
)
PROPOSALS = python_layer("Proposals", "rpn_prob rpn_deltas window", "proposals all_rois", after=P, **LEVELS)
PROPOSAL_TARGETS = python_layer(
    "ProposalTargets",
    "proposals box class_label mask draw",
    "rois roi_labels box_targets box_weights mask_rois mask_targets",
    **ROIS,
)
FEATURES = "P2 P3 P4 P5"
CHAIN = (
    "".join(input_layer(name, shape) for name, shape in SHAPES.items() if name not in ("fc", "box_deltas"))
    + SOFTMAX
    + ANCHOR_TARGETS
    + PROPOSALS
    + PROPOSAL_TARGETS
    + python_layer("FocalLoss", "rpn_score rpn_labels", "rpn_class_loss", 1)
    + python_layer("SmoothL1Loss", "rpn_deltas rpn_box_targets rpn_box_weights", "rpn_box_loss", 10)
    + python_layer("RoIAlign", f"{FEATURES} rois", "pooled", pooled=3)
    + """
    layer { name: "fc" type: "InnerProduct" bottom: "pooled" top: "fc" inner_product_param {
            num_output: 3 weight_filler { type: "gaussian" std: 0.1 } } }
    layer { name: "fb" type: "InnerProduct" bottom: "pooled" top: "fb" inner_product_param {
            num_output: 12 weight_filler { type: "gaussian" std: 0.1 } } }
    layer { name: "class_loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "roi_labels" top: "class_loss"
            propagate_down: true propagate_down: false loss_param { ignore_label: -1 } }
    """
    + python_layer("SmoothL1Loss", "fb box_targets box_weights", "box_loss", 1)
    + python_layer("RoIAlign", f"{FEATURES} mask_rois", "mask_pooled", pooled=6)
    + """
    layer { name: "masks" type: "Convolution" bottom: "mask_pooled" top: "masks" convolution_param {
            num_output: 3 kernel_size: 1 weight_filler { type: "gaussian" std: 0.1 } } }
    """
    + python_layer("JaccardLoss", "masks mask_targets", "jaccard_loss", 1)
)


def given(seed=0):
    """What the inputs hold: lesions of class 1 and 2, and an image without one."""
    random = np.random.RandomState(seed)
    made = {name: random.randn(*shape).astype(np.float32) for name, shape in SHAPES.items()}
    made["box"] = np.float32([[10, 12, 40, 50], [20, 20, 60, 44], [0, 0, 0, 0]])
    made["class_label"] = np.float32([1, 2, 0])
    made["draw"] = np.float32(random.randint(0, 2**24, (N, 2)))
    made["window"] = np.float32([[0, 0, SIDE, SIDE], [0, 8, SIDE, 56], [4, 0, 60, SIDE]])
    made["mask"][...] = 0
    made["mask"][0, 0, 12:50, 10:40] = made["mask"][1, 0, 20:44, 20:60] = 1
    return made


def filled(folder, text, phase="TRAIN", **changes):
    net = net_of(folder, text, phase)
    blobs = {**given(), **changes}
    fill(net, **{name: array for name, array in blobs.items() if name in net.inputs})
    return net
