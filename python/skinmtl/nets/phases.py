"""Phases of a training: which layers learn, at which rate, for how long.

A phase is a dict: "trainable" are patterns of layer names (as of a shell: res4*), "base_lr" the learning rate, and
"iterations" how many this phase has. The others of the net's layers are frozen in it.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any, Sequence

from google.protobuf.message import Message

from caffe_files.errors import InputError
from skinmtl.nets.learning import check_shared, freeze, learns
from skinmtl.nets.resnet import ResNet
from skinmtl.nets.trunks import TRUNKS

# what a mask net has above its trunk: the pyramid, the region proposals, the subnets, the heads of --also
HEADS = ("fpn_*", "rpn_*", "roi_*", "mask_*", "fc_*")
# of the ResNets; the normalisation of a convolution res4a_branch1 is bn4a_branch1 and scale4a_branch1
STAGES = {stage: (f"res{stage}*", f"bn{stage}*", f"scale{stage}*") for stage in (4, 5)}


def default_phases(trunk: str) -> list[dict[str, Any]]:
    """The three phases that Song et al. (2020) presumably trained in: heads, stages 4 and up, all.

    They are those of matterport's Mask R-CNN on COCO (samples/coco/coco.py), 1000 iterations an epoch; the paper says
    "three-phase" alone. A trunk without published weights, as "tiny", knows nothing that could be frozen: it has one
    phase, of as many iterations and matterport's first rate.
    """
    layers = TRUNKS[trunk]
    if isinstance(layers, ResNet) and not layers.pretrained:
        return [{"trainable": ["*"], "base_lr": 0.001, "iterations": 160000}]
    stages = [*HEADS, *STAGES[4], *STAGES[5]]
    return [
        {"trainable": list(HEADS), "base_lr": 0.001, "iterations": 40000},
        {"trainable": stages, "base_lr": 0.001, "iterations": 80000},
        {"trainable": ["*"], "base_lr": 0.0001, "iterations": 40000},
    ]


def frozen(net: Message, trainable: Sequence[str]) -> Message:
    """A copy of a train net in which only the layers learn whose names one of the patterns fits.

    All other weights have lr_mult 0 and decay_mult 0, so that Caffe computes no gradient for them, and their blobs stay
    bit for bit. So do the statistics of a frozen BatchNorm, which is told to use those that are stored: they must have
    been set. InputError where a pattern fits no layer that learns, or only some of those that share a weight. Of HEADS,
    which a net may have in part, one has to fit.
    """
    learning = [layer.name for layer in net.layer if learns(layer)]
    fitting = [pattern for pattern in trainable if any(fnmatchcase(name, pattern) for name in learning)]
    for pattern in trainable:
        if pattern not in fitting and not (fitting and pattern in HEADS):
            raise InputError(f"phases: {pattern!r} fits no layer of the net that learns; correct the pattern")
    copy = type(net)()
    copy.CopyFrom(net)
    for layer in copy.layer:
        if layer.name in learning and not any(fnmatchcase(layer.name, pattern) for pattern in trainable):
            freeze(layer)
    check_shared(copy, "phases", "give a pattern that fits both")
    return copy
