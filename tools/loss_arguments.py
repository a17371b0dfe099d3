"""The flags of make_prototxt.py for the losses of the heads, and what they mean for nets.lesion_loss and its like."""

import argparse

from cli import finite, from_zero, not_negative
from skinmtl.nets.class_weights import BETA, WEIGHTINGS
from skinmtl.nets.lesion_loss import GAMMA, LESION_LOSSES, LesionLoss
from skinmtl.nets.location_loss import LocationLoss
from skinmtl.nets.multi_task import MODELS


def add_loss_arguments(parser: argparse.ArgumentParser) -> None:
    """All of them."""
    group = parser.add_argument_group(
        "the loss of the lesions", "Of models with a lesion head; the paper has neither weights nor another loss."
    )
    add = group.add_argument
    add(
        "--lesion-loss",
        choices=LESION_LOSSES,
        default="sigmoid",
        help="each lesion by itself, as the paper (default); softmax, where each image has one lesion; focal (Lin et "
        "al. 2017), which makes little of what is learned already",
    )
    add(
        "--class-weights",
        choices=WEIGHTINGS,
        default="none",
        help="more for lesions that few training images have: inverse, by their number; effective, by their effective "
        "number (Cui et al. 2019), which is less (default: none)",
    )
    add(
        "--class-weights-beta",
        type=_beta,
        metavar="BETA",
        default=BETA,
        help="of effective weights of lesions and locations, between 0 and 1; near 1 they are inverse (default: "
        "%(default)s)",
    )
    add(
        "--class-counts",
        type=not_negative,
        nargs="+",
        metavar="N",
        help="of --class-weights: training images, then those with each lesion (default: as the data has)",
    )
    add(
        "--focal-gamma",
        type=from_zero,
        metavar="GAMMA",
        default=GAMMA,
        help="exponent of --lesion-loss focal (default: %(default)s, its paper's)",
    )


def add_location_arguments(parser: argparse.ArgumentParser) -> None:
    """Those of the locations."""
    group = parser.add_argument_group("the loss of the locations", "Of models with a location head.")
    group.add_argument(
        "--location-weights",
        choices=WEIGHTINGS,
        default="none",
        help="more for locations that few training images are of, as --class-weights for lesions (default: none)",
    )
    group.add_argument(
        "--location-counts",
        type=not_negative,
        nargs="+",
        metavar="N",
        help="of --location-weights: training images of each location (default: as the data has)",
    )


def check_location_arguments(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """A usage error where flags do not go together."""
    if args.location_counts is not None and args.location_weights == "none":
        parser.error("--location-counts goes with --location-weights")
    if args.location_weights != "none" and "location" not in getattr(MODELS.get(args.model), "heads", ()):
        parser.error(f"--location-weights: of models with a location head and without masks; {args.model} is none")
    if args.location_counts is not None and len(args.location_counts) != args.locations:
        parser.error("--location-counts: the number of images of each of --locations Q locations")


def location_loss_of(args: argparse.Namespace) -> LocationLoss:
    """What the flags say."""
    counts = None if args.location_counts is None else tuple(args.location_counts)
    return LocationLoss(args.location_weights, counts, args.class_weights_beta)


def check_loss_arguments(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """A usage error where flags do not go together."""
    asked = [
        name
        for name in ("lesion_loss", "class_weights", "class_weights_beta", "class_counts", "focal_gamma")
        if getattr(args, name) != parser.get_default(name)
    ]
    flag = f"--{asked[0].replace('_', '-')}" if asked else ""
    if asked == ["class_weights_beta"] and args.location_weights == "effective":
        return
    if asked and "lesion" not in getattr(MODELS.get(args.model), "heads", ()):
        parser.error(f"{flag}: for models with a lesion head and without masks alone, which {args.model} is not")
    if "effective" not in (args.class_weights, args.location_weights) and "class_weights_beta" in asked:
        parser.error("--class-weights-beta goes with --class-weights effective or --location-weights effective")
    if args.lesion_loss != "focal" and "focal_gamma" in asked:
        parser.error("--focal-gamma goes with --lesion-loss focal")
    if args.class_counts is None:
        return
    if args.class_weights == "none":
        parser.error("--class-counts goes with --class-weights")
    images, *counts = args.class_counts
    if args.lesions is None or len(counts) != args.lesions or max(counts, default=0) > images:
        parser.error("--class-counts: the number of images, then of those with each of --lesions P lesions")


def lesion_loss_of(args: argparse.Namespace) -> LesionLoss:
    """What the flags say."""
    return LesionLoss(
        kind=args.lesion_loss,
        weighting=args.class_weights,
        counts=None if args.class_counts is None else tuple(args.class_counts),
        beta=args.class_weights_beta,
        gamma=args.focal_gamma,
    )


def _beta(text: str) -> float:
    value = finite(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number between 0 and 1")
    return value
