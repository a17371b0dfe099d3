"""The flags of make_prototxt.py for the nets that find boxes and masks, and what they mean for nets.mask_options."""

import argparse
from typing import Any, Dict

from cli import above_zero, from_zero, not_negative, positive
from skinmtl.layers.region_settings import HEADS
from skinmtl.nets.mask_options import (
    FOCAL,
    MASK_MODELS,
    MASK_POOLING,
    RATIOS,
    SCALES,
    SCALES_WITHOUT_P6,
    SIDE,
    MaskNetOptions,
)

ALSO = ("lesion", "location")


def add_mask_net_arguments(parser: argparse.ArgumentParser) -> None:
    """All of them; none has a default before `set_mask_net_defaults`."""
    group = parser.add_argument_group(
        "nets of boxes and masks (..._mask_rcnn)",
        "Their paper (Song et al. 2020) gives the side, rho, delta and the IoUs; what it leaves open is as in "
        "matterport's Mask R-CNN unless said otherwise.",
    )
    add = group.add_argument
    add("--side", metavar="PIXELS", type=positive, help="of the square input, a multiple of 64 (default: 1024, paper)")
    add(
        "--heads", choices=HEADS, nargs="+", help="of the regions (default: all three; one alone is a study's baseline)"
    )
    add(
        "--also",
        choices=ALSO,
        nargs="+",
        help="heads of resnet50_mtl too, on the pooled last stage of the same trunk: which lesions, which site "
        "(default: none)",
    )
    add(
        "--anchor-scales",
        metavar="PIXELS",
        type=positive,
        nargs="+",
        help="an anchor's sqrt(area), one a level (default: 32 64 128 256 512; with --no-p6 64 128 256 512, our "
        "choice: lesions are large)",
    )
    add(
        "--anchor-ratios",
        metavar="RATIO",
        type=above_zero,
        nargs="+",
        help="of an anchor's width to its height (default: 0.5 1 2)",
    )
    add("--no-p6", action="store_true", help="propose regions on P2 to P5 alone, which are all that the paper names")
    add(
        "--rpn-normaliser",
        choices=("positives", "sampled", "locations"),
        help="what the sum of the anchors' box losses is divided by: the positive anchors (default), the sampled ones, "
        "or all places (Faster R-CNN)",
    )
    add(
        "--rpn-sample",
        metavar="N",
        type=positive,
        help="anchors an image that the proposals learn from, at most half of them positive (default: 256)",
    )
    add("--rho", metavar="WEIGHT", type=from_zero, help="of the anchors' box loss (default: 10, paper)")
    add(
        "--class-weight",
        metavar="WEIGHT",
        type=from_zero,
        help="of the regions' class loss (default: 1, as of the other losses; a net from scratch learns classes last)",
    )
    add(
        "--focal",
        choices=FOCAL,
        help="where the focal loss is: in the proposals' classifier (default; the paper's words), in the regions', in "
        "both, or cross-entropy in both (none)",
    )
    add(
        "--proposals",
        metavar=("TRAIN", "DEPLOY"),
        type=positive,
        nargs=2,
        help="kept an image after non-maximum suppression (default: 2000 1000)",
    )
    add("--rois", metavar="N", type=positive, help="regions an image to train the heads on (default: 200)")
    add("--levels", choices=("round", "floor"), help="how a region's level is rounded (default: round; FPN's is floor)")
    add(
        "--mask-pooling",
        type=positive,
        choices=MASK_POOLING,
        help="side that a region is pooled to for its mask, which has twice that side: 14 (default) or 7 (the paper "
        "names no other)",
    )
    add("--jaccard", choices=("on", "off"), help="the mask's second loss (default: on, paper)")
    add(
        "--jaccard-smooth",
        metavar="DELTA",
        type=from_zero,
        help="that intersection and union are enlarged by (default: 100, the paper's delta)",
    )
    add("--jaccard-weight", metavar="WEIGHT", type=from_zero, help="of that loss (default: 1)")
    add("--channels", metavar="N", type=positive, help="of the pyramid (default: 256)")
    add(
        "--rpn-channels", metavar="N", type=positive, help="of the proposals' convolution (default: 512; Detectron 256)"
    )
    add("--full", metavar="N", type=positive, help="outputs of the two fully connected layers (default: 1024)")
    add("--mask-channels", metavar="N", type=positive, help="of the mask's convolutions (default: 256)")
    add(
        "--augment",
        metavar="N",
        type=not_negative,
        help="at most so many of five kinds of change for each training image (default: 2, as matterport's nucleus "
        "sample; 0: none)",
    )
    add("--detections", metavar="N", type=positive, help="rows an image in the deploy net, at most (default: 10)")


_FIELDS = {
    "side": "side",
    "heads": "heads",
    "also": "also",
    "anchor_scales": "scales",
    "anchor_ratios": "ratios",
    "rpn_normaliser": "normaliser",
    "rpn_sample": "rpn_sample",
    "rho": "rho",
    "class_weight": "class_weight",
    "focal": "focal",
    "proposals": "proposals",
    "rois": "rois",
    "levels": "levels",
    "mask_pooling": "mask_pooling",
    "channels": "channels",
    "rpn_channels": "rpn_channels",
    "full": "full",
    "mask_channels": "mask_channels",
    "augment": "augment",
    "detections": "detections",
}
_JACCARD = ("jaccard", "jaccard_smooth", "jaccard_weight")


def has_masks(args: argparse.Namespace) -> bool:
    """Whether the model is one of these nets."""
    return args.model in MASK_MODELS


def needs_locations(args: argparse.Namespace) -> bool:
    """Whether the number of locations matters."""
    return not has_masks(args) or "location" in (args.also or ())


def set_mask_net_defaults(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """The defaults of a mask net; exits with a usage error where flags do not go together."""
    if not has_masks(args):
        for name in (*_FIELDS, *_JACCARD):
            if getattr(args, name) is not None:
                parser.error(f"--{name.replace('_', '-')} is of the nets of boxes and masks: {', '.join(MASK_MODELS)}")
        if args.no_p6:
            parser.error(f"--no-p6 is of the nets of boxes and masks: {', '.join(MASK_MODELS)}")
        return
    for name in ("crop", "online_jitter", "scales"):
        if getattr(args, name):
            parser.error(f"--{name.replace('_', '-')}: {args.model} takes whole images; leave it out, and see --side")
    if args.jaccard == "off" and (args.jaccard_smooth is not None or args.jaccard_weight is not None):
        parser.error("--jaccard-smooth and --jaccard-weight go with --jaccard on")
    for name, order in (("heads", HEADS), ("also", ALSO)):
        given = getattr(args, name)
        if given:
            setattr(args, name, [head for head in order if head in given])
    fields = MaskNetOptions.__dataclass_fields__
    defaults = {name: fields[field].default for name, field in _FIELDS.items() if name != "side"}
    defaults.update(
        side=SIDE,
        anchor_scales=list(map(int, SCALES_WITHOUT_P6 if args.no_p6 else SCALES)),
        anchor_ratios=list(RATIOS),
        jaccard="on",
        seed=fields["seed"].default,
    )
    if not needs_locations(args):
        if args.locations:
            parser.error("--locations: goes with --also location")
        defaults["locations"] = 0
    if args.jaccard != "off":
        defaults["jaccard_smooth"], defaults["jaccard_weight"] = fields["jaccard"].default
    parser.set_defaults(
        **{name: list(value) if isinstance(value, tuple) else value for name, value in defaults.items()}
    )


def mask_net_settings(args: argparse.Namespace) -> Dict[str, Any]:
    """The fields of MaskNetOptions that these flags say."""
    settings = {}
    for name, field in _FIELDS.items():
        value = getattr(args, name)
        settings[field] = tuple(value) if isinstance(value, list) else value
    jaccard = (args.jaccard_smooth, args.jaccard_weight) if args.jaccard == "on" else None
    return {**settings, "p6": not args.no_p6, "jaccard": jaccard, "seed": args.seed}
