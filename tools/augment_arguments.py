"""The flags of make_prototxt.py for what else is changed of a training image, and what they mean for layers.augment."""

import argparse

from cli import finite
from mask_net_arguments import has_masks
from skinmtl.layers.augment import NONE, Augmentation

RANGES = {
    "rotate": (180, "DEGREES", "turn by up to so many, either way; beyond its edges an image is mirrored"),
    "brightness": (1, "SHARE", "times 1 - SHARE to 1 + SHARE"),
    "contrast": (1, "SHARE", "the same of the distance from the mean grey"),
    "saturation": (1, "SHARE", "the same of each pixel's distance from grey"),
    "hue": (180, "DEGREES", "turn the colours about grey by up to so many, either way"),
    "white-balance": (1, "SHARE", "blue and red, each by itself, times 1 - SHARE to 1 + SHARE"),
    "blur": (100, "SIGMA", "a Gaussian of up to so many pixels of the crop"),
    "cutout": (1, "SHARE", "a square of up to this share of the crop's side has the mean's colour"),
}


def add_augment_arguments(parser: argparse.ArgumentParser) -> None:
    """All of them."""
    group = parser.add_argument_group(
        "augmentation",
        "With --online-jitter, drawn anew at every visit, each value in its range as likely. The paper has none of it: "
        "all are off by default.",
    )
    for name, (largest, metavar, what) in RANGES.items():
        group.add_argument(f"--{name}", type=UpTo(largest), metavar=metavar, default=0, help=what)
    group.add_argument("--vertical-flip", action="store_true", help="upside down, half of the times")


def check_augment_arguments(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """A usage error without --online-jitter, whose layer it is that changes images."""
    if augmentation_of(args) != NONE and not args.online_jitter:
        given = next(name for name in (*RANGES, "vertical-flip") if getattr(args, name.replace("-", "_")))
        if has_masks(args):
            parser.error(f"--{given}: {args.model} has changes of its own; leave it out, --augment N says how many")
        parser.error(f"--{given} goes with --online-jitter")


def augmentation_of(args: argparse.Namespace) -> Augmentation:
    """What the flags say."""
    names = [name.replace("-", "_") for name in (*RANGES, "vertical-flip")]
    return Augmentation(**{name: getattr(args, name) for name in names})


class UpTo:
    """An argparse type: a number from 0 to `largest`."""

    def __init__(self, largest: float) -> None:
        self._largest = largest

    def __call__(self, text: str) -> float:
        value = finite(text)
        if not 0 <= value <= self._largest:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to {self._largest:g}")
        return value
