#!/usr/bin/env python3
"""Makes a caffemodel of a ResNet-50 of torchvision's or timm's form, and says which net it belongs in.

Of torchvision's Mask R-CNN on a ResNet-50 (maskrcnn_resnet50_fpn) also pyramid, proposals and subnets are taken, as far
as they fit, and it is said what stays at its initial values.

The classifier is kept as fc1000; a net of make_prototxt.py has none, and check_weights.py says so.
"""

import argparse
from pathlib import Path

from cli import finite, new_parser, run
from parsing import renamed
from skinmtl.nets.resnet import POOLS, STRIDES_ON
from skinmtl.pretrained.converting import convert, record_path
from skinmtl.pretrained.net_check import Preprocessing
from skinmtl.pretrained.resnet50 import EPS

# of ImageNet, as torchvision and timm have it for all their ResNet-50s
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
RGB = ("R", "G", "B")


def make_parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__)
    parser.add_argument(
        "--checkpoint",
        metavar="FILE",
        type=Path,
        required=True,
        help=".safetensors, or .pth (for which PyTorch 2.10 or later must be there); code in it is never run",
    )
    parser.add_output_argument(
        "--out",
        beside=lambda out, args: [record_path(out)],
        required=True,
        help="the caffemodel to write; OUT.json says what made it",
    )
    parser.add_argument(
        "--net",
        metavar="NET",
        type=Path,
        help="the net that it is for, a folder or a prototxt: nothing is written unless it fits",
    )
    parser.add_argument(
        "--rgb-mean",
        type=finite,
        nargs=3,
        metavar=RGB,
        default=MEAN,
        help="the mean that the model's pixels, of 0 to 1, had subtracted (default: ImageNet's, 0.485 0.456 0.406)",
    )
    parser.add_argument(
        "--rgb-std",
        type=finite,
        nargs=3,
        metavar=RGB,
        default=STD,
        help="and divided by (default: ImageNet's, 0.229 0.224 0.225)",
    )
    renamed(parser, "--mean", "--rgb-mean")
    renamed(parser, "--std", "--rgb-std")
    parser.add_argument(
        "--stride-on",
        choices=STRIDES_ON,
        default="3x3",
        help="where the model has its strides; the weights do not tell (default: 3x3, as torchvision and timm)",
    )
    parser.add_argument(
        "--pool1",
        choices=POOLS,
        default="padded",
        help="how its first pooling lies, which they do not tell either (default: padded, as PyTorch)",
    )
    parser.add_argument(
        "--batch-norm-eps",
        metavar="EPS",
        type=finite,
        default=EPS,
        help="what its normalisation adds to variances, which they do not tell either (default: 1e-05, PyTorch's; "
        "torchvision gives its published Mask R-CNN 0)",
    )
    return parser


def parse_args() -> argparse.Namespace:
    parser = make_parser()
    args = parser.parse_args()
    if not all(0 <= value <= 1 for value in args.rgb_mean) or not all(0 < value <= 1 for value in args.rgb_std):
        parser.error("--rgb-mean and --rgb-std are of pixels of 0 to 1")
    if not 0 <= args.batch_norm_eps < 1:
        parser.error("--batch-norm-eps: a small number from 0")
    return args


def main() -> None:
    args = parse_args()
    mean = tuple(255 * value for value in reversed(args.rgb_mean))
    expected = Preprocessing(args.stride_on, args.pool1, mean)
    std = tuple(args.rgb_std)
    converted = convert(args.checkpoint, args.out, expected, std, args.net, vars(args), args.batch_norm_eps)
    entry = f", {converted.entry}" if converted.entry else ""
    print(f"{args.out}: {len(converted.layers)} layers of {args.checkpoint}{entry}")
    if converted.left:
        print(f"left out: {', '.join(converted.left)}")
    if converted.initial:
        print(f"stays initial: {', '.join(converted.initial)}")
    if args.net:
        print(f"fits {args.net}")
    else:
        print(f"it needs a net of: tools/make_prototxt.py {converted.flags}")


if __name__ == "__main__":
    run(main)
