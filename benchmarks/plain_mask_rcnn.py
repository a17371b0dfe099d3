"""torchvision's Mask R-CNN with the sizes and counts of the mask net, its weights, and a training step of it."""

from __future__ import annotations

from collections import OrderedDict
from typing import Callable, Iterator

import numpy as np
import torch
from drawn_regions import POSITIVE
from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops.misc import FrozenBatchNorm2d

from caffe_torch.layers.layer import Layer
from caffe_torch.net import Net
from caffe_torch.precision import casting

BLOCKS = (3, 4, 6, 3)


def plain_mask_rcnn(side: int, classes: int) -> MaskRCNN:
    """As maskrcnn_resnet50_fpn makes it with pretrained weights: BatchNorm is fixed. All else learns."""
    backbone = resnet_fpn_backbone(
        backbone_name="resnet50", weights=None, norm_layer=FrozenBatchNorm2d, trainable_layers=5
    )
    model = MaskRCNN(
        backbone,
        1 + classes,
        min_size=side,
        max_size=side,
        image_mean=[0.0] * 3,
        image_std=[1.0] * 3,
        rpn_pre_nms_top_n_train=2000,  # a level; ours 6000 of all levels
        rpn_post_nms_top_n_train=2000,
        box_batch_size_per_image=200,
        box_positive_fraction=0.33,
        box_fg_iou_thresh=POSITIVE,
        box_bg_iou_thresh=POSITIVE,
    )
    for norm in backbone.modules():
        if isinstance(norm, FrozenBatchNorm2d):
            norm.eps = 1e-5
    return model.train()


@torch.no_grad()
def same_weights(model: MaskRCNN, net: Net) -> None:
    """Fills the model from a net of caffe_torch."""
    for to, layer in parts(model, net):
        weights = [to.weight, to.bias] if to.bias is not None else [to.weight]
        for values, blob in zip(weights, layer.blobs):
            values.copy_(blob.reshape(values.shape))
    body = model.backbone.body
    for name, norm in [("conv1", body.bn1), *norms(body)]:
        norm.running_mean.copy_(net.layer(f"bn{_tail(name)}").statistics()[0])
        norm.running_var.copy_(net.layer(f"bn{_tail(name)}").statistics()[1])
        for values, blob in zip((norm.weight, norm.bias), net.layer(f"scale{_tail(name)}").blobs):
            values.copy_(blob)
    # torchvision's deltas are anchor by anchor, and in it coordinate by coordinate; here the other way round
    deltas, layer = model.rpn.head.bbox_pred, net.layer("rpn_deltas_p2")
    deltas.weight.copy_(layer.blob0.unflatten(0, (4, 3)).transpose(0, 1).flatten(0, 1))
    deltas.bias.copy_(layer.blob1.unflatten(0, (4, 3)).transpose(0, 1).flatten())
    # a score of background and one of lesion: the sigmoid of their difference is the softmax
    scores, layer = model.rpn.head.cls_logits, net.layer("rpn_score_p2")
    scores.weight.copy_(layer.blob0[3:] - layer.blob0[:3])
    scores.bias.copy_(layer.blob1[3:] - layer.blob1[:3])


def _tail(name: str) -> str:
    """Of bn... and scale..., for a convolution."""
    return f"_{name}" if name == "conv1" else name[3:]


def blocks(body: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The published name of each block, and the block."""
    for stage, count in enumerate(BLOCKS, 1):
        for letter, block in zip("abcdef"[:count], getattr(body, f"layer{stage}")):
            yield f"res{stage + 1}{letter}", block


def norms(body: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Of each convolution of the blocks by its name, the BatchNorm behind it."""
    for name, block in blocks(body):
        for number, letter in enumerate("abc", 1):
            yield f"{name}_branch2{letter}", getattr(block, f"bn{number}")
        if block.downsample is not None:
            yield f"{name}_branch1", block.downsample[1]


def parts(model: MaskRCNN, net: Net) -> Iterator[tuple[nn.Module, Layer]]:
    """Each module with weights of its own, but for the proposals' outputs, and the layer that has the same."""
    body, fpn, heads = model.backbone.body, model.backbone.fpn, model.roi_heads
    found: dict[str, nn.Module] = {"conv1": body.conv1, "rpn_conv_p2": model.rpn.head.conv[0][0]}
    for name, block in blocks(body):
        found.update((f"{name}_branch2{letter}", getattr(block, f"conv{n}")) for n, letter in enumerate("abc", 1))
        if block.downsample is not None:
            found[f"{name}_branch1"] = block.downsample[0]
    for level, (lateral, output) in enumerate(zip(fpn.inner_blocks, fpn.layer_blocks), 2):
        found[f"fpn_lateral{level}"], found[f"fpn_output{level}"] = lateral[0], output[0]
    found.update(roi_fc6=heads.box_head.fc6, roi_fc7=heads.box_head.fc7)
    found.update(roi_class=heads.box_predictor.cls_score, roi_box=heads.box_predictor.bbox_pred)
    found.update((f"mask_conv{number}", convolution[0]) for number, convolution in enumerate(heads.mask_head, 1))
    found.update(mask_deconv=heads.mask_predictor.conv5_mask, mask_score=heads.mask_predictor.mask_fcn_logits)
    for name, module in found.items():
        yield module, net.layer(name)


def plain_step(
    model: MaskRCNN, batch: dict[str, np.ndarray], rate: float, clip: float, precision: str, channels_last: bool
) -> Callable[[], Tensor]:
    """A step of the usual loop, on the batch that the mask net has; returns the loss."""
    tensors = {name: torch.from_numpy(values) for name, values in batch.items()}
    images = list(tensors["data"])
    if channels_last:
        model = model.to(memory_format=torch.channels_last)
    targets = [
        {"boxes": box[None], "labels": label[None].long(), "masks": mask.to(torch.uint8)}
        for box, label, mask in zip(tensors["box"], tensors["class_label"], tensors["mask"])
    ]
    learned = [each for each in model.parameters() if each.requires_grad]
    optimiser = torch.optim.SGD(learned, rate, momentum=0.9, weight_decay=1e-4)

    def step() -> Tensor:
        optimiser.zero_grad(set_to_none=True)
        with casting(precision, torch.device("cpu")):
            losses: OrderedDict[str, Tensor] = model(images, targets)
            loss = sum(losses.values())
        loss.backward()
        nn.utils.clip_grad_norm_(learned, clip)
        optimiser.step()
        return loss.detach()

    return step
