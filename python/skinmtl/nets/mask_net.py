"""The nets of Song et al. (2020): boxes, classes and masks of lesions, by a Mask R-CNN of stock layers and our own."""

from __future__ import annotations

from google.protobuf.message import Message

from caffe_files.schema import caffe_messages
from skinmtl.layers.param_str import settings_text
from skinmtl.layers.region_settings import (
    AnchorTargetsSettings,
    DetectionOutputSettings,
    FocalLossSettings,
    JaccardLossSettings,
    ProposalsSettings,
    ProposalTargetsSettings,
    SmoothL1LossSettings,
)
from skinmtl.layers.settings import LesionDataSettings
from skinmtl.nets.mask_options import MaskNetOptions
from skinmtl.nets.multi_task import append_head, append_label, append_loss, append_probability
from skinmtl.nets.pyramid import append_pyramid
from skinmtl.nets.region_heads import RegionLayers

LESION_DATA_TOPS = ("data", "window", "box", "class_label", "mask", "draw")
IGNORED = -1  # a label that counts in no loss


def make_mask_net(options: MaskNetOptions, split: str) -> Message:
    """The net of one split. Train and test differ in their data alone, deploy in its ends.

    Tops: those of LesionData, the trunk's by their published names, P2 to P6, rpn_scores and rpn_deltas; in train and
    test rpn_class_loss, rpn_box_loss, class_loss, box_loss, mask_loss, jaccard_loss; in deploy, of `data` (1, 3, S, S)
    and `window` (1, 4), detections (N, D, 7 + K) and detection_masks (N D, K + 1, m, m). Those of heads that the net
    has not are not there. With `also` as in the nets of multi_task.py: fc_lesion, lesion_loss, lesion_prob, and the
    same of location. InputError where options do not go together.
    """
    options.check()
    net = caffe_messages().NetParameter(name=options.net_name)
    layers = RegionLayers(net, options)
    if split == "deploy":
        for top, sides in (("data", [1, 3, options.side, options.side]), ("window", [1, 4])):
            net.layer.add(name=top, type="Input", top=[top]).input_param.shape.add(dim=sides)
    else:
        _data_layers(layers, split)
    c5 = append_pyramid(net, options)
    layers.proposing()
    if split == "deploy":
        _detections(layers)
    else:
        _proposal_losses(layers)
        _subnet_losses(layers)
    if options.also:
        layers.pool("pool5", c5, "AVE", kernel=options.side // 32, stride=1)
    for head, outputs in options.outputs.items():
        append_head(net, f"fc_{head}", "pool5", outputs)
    for head in options.also:
        (append_probability if split == "deploy" else append_loss)(net, head)
    return net


def _data_layers(layers: RegionLayers, split: str) -> None:
    """Images with their boxes, classes and masks; the labels of `also`, read in step."""
    options = layers.options
    folder = options.train_data if split == "train" else options.test_data
    batch_size = options.batch_size if split == "train" else options.test_batch_size
    layer = layers.net.layer.add(name="data", type="Python", top=LESION_DATA_TOPS)
    layer.python_param.module = "skinmtl.layers"
    layer.python_param.layer = "LesionData"
    settings = LesionDataSettings(
        source=f"{folder}/image_lmdb",
        batch_size=batch_size,
        side=options.side,
        mean=options.subtracted,
        seed=options.seed,
        augment=options.augment if split == "train" else 0,
        # as matterport does: batches that never change have statistics of their own, which BatchNorm learns by heart.
        # The labels of `also` come from Data layers, which keep the order of their records
        shuffle=split == "train" and not options.also,
    )
    layer.python_param.param_str = settings_text(settings)
    for head in options.also:
        append_label(layers.net, head, folder, batch_size)


def _proposals(layers: RegionLayers, after: int, tops: list[str]) -> None:
    options = layers.options
    settings = ProposalsSettings(
        side=options.side, scales=options.scales, ratios=options.ratios, strides=options.strides, after=after
    )
    layers.own("proposals", "Proposals", ["rpn_prob", "rpn_deltas", "window"], tops, settings)


def _proposal_losses(layers: RegionLayers) -> None:
    """Losses of the anchors: of Faster R-CNN's equation 1, with the paper's rho for its lambda."""
    options = layers.options
    settings = AnchorTargetsSettings(
        side=options.side,
        scales=options.scales,
        ratios=options.ratios,
        strides=options.strides,
        normaliser=options.normaliser,
        sample=options.rpn_sample,
    )
    targets = ["rpn_labels", "rpn_box_targets", "rpn_box_weights"]
    layers.own("rpn_targets", "AnchorTargets", ["box", "class_label", "draw"], targets, settings)
    _class_loss(layers, "rpn_class_loss", ["rpn_scores", "rpn_labels"], options.focal in ("rpn", "both"))
    _box_loss(layers, "rpn_box_loss", ["rpn_deltas", *targets[1:]], options.rho)


def _subnet_losses(layers: RegionLayers) -> None:
    """The subnets on regions that are drawn from the proposals, and their losses: all but the classes' of weight 1."""
    options = layers.options
    _proposals(layers, options.proposals[0], ["proposals"])
    settings = ProposalTargetsSettings(classes=options.classes, rois=options.rois, mask_side=options.mask_side)
    tops = ["rois", "roi_labels", "box_targets", "box_weights", "mask_rois", "mask_targets"]
    layers.own("roi_targets", "ProposalTargets", ["proposals", "box", "class_label", "mask", "draw"], tops, settings)
    layers.class_and_box("rois")
    if "class" in options.heads:
        focal = options.focal in ("classifier", "both")
        _class_loss(layers, "class_loss", ["roi_class", "roi_labels"], focal, options.class_weight)
    if "box" in options.heads:
        _box_loss(layers, "box_loss", ["roi_box", "box_targets", "box_weights"], 1)
    if "mask" in options.heads:
        layers.mask("mask_rois")
        _mask_losses(layers)
    of_heads = {"class": ["roi_labels"], "box": ["box_targets", "box_weights"], "mask": ["mask_rois", "mask_targets"]}
    unused = [blob for head, blobs in of_heads.items() if head not in options.heads for blob in blobs]
    layers.silence([*(["rois"] if options.heads == ("mask",) else []), *unused])


def _class_loss(layers: RegionLayers, name: str, bottoms: list[str], focal: bool, weight: float = 1) -> None:
    """The mean over all that is not ignored, of the focal loss or of the cross-entropy."""
    if focal:
        layer = layers.own(name, "FocalLoss", bottoms, [name], FocalLossSettings(), learning=1)
    else:
        layer = layers.add(name, "SoftmaxWithLoss", bottoms, name)
        layers.pass_gradients(layer, 1)
        layer.loss_param.ignore_label = IGNORED
        layer.loss_param.normalization = layer.loss_param.VALID
    layer.loss_weight.append(weight)


def _box_loss(layers: RegionLayers, name: str, bottoms: list[str], weight: float) -> None:
    layer = layers.own(name, "SmoothL1Loss", bottoms, [name], SmoothL1LossSettings(), learning=1)
    layer.loss_weight.append(weight)


def _mask_losses(layers: RegionLayers) -> None:
    """Of the true class's mask: the other channels' targets are all to be ignored."""
    bottoms = ["mask_score", "mask_targets"]
    layer = layers.add("mask_loss", "SigmoidCrossEntropyLoss", bottoms, "mask_loss")
    layers.pass_gradients(layer, 1)
    layer.loss_param.ignore_label = IGNORED
    layer.loss_param.normalization = layer.loss_param.VALID
    layer.loss_weight.append(1)
    if layers.options.jaccard:
        smooth, weight = layers.options.jaccard
        settings = JaccardLossSettings(smooth=smooth, weight=weight)
        layer = layers.own("jaccard_loss", "JaccardLoss", bottoms, ["jaccard_loss"], settings, learning=1)
        layer.loss_weight.append(1)


def _detections(layers: RegionLayers) -> None:
    """The best regions, and the masks of the boxes as refined."""
    options = layers.options
    refined = [head for head in ("class", "box") if head in options.heads]
    _proposals(layers, options.proposals[1], ["proposals", "rois"] if refined else ["proposals"])
    layers.class_and_box("rois")
    bottoms = ["proposals"]
    if "class" in refined:
        layers.add("roi_class_prob", "Softmax", ["roi_class"], "roi_class_prob")
        bottoms.append("roi_class_prob")
    if "box" in refined:
        bottoms.append("roi_box")
    settings = DetectionOutputSettings(classes=options.classes, heads=options.heads, detections=options.detections)
    tops = ["detections", "detection_rois"]
    layers.own("detections", "DetectionOutput", [*bottoms, "window"], tops, settings)
    if "mask" in options.heads:
        layers.mask("detection_rois")
        layers.add("detection_masks", "Sigmoid", ["mask_score"], "detection_masks")
    else:
        layers.silence(["detection_rois"])
