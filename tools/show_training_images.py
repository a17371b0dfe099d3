#!/usr/bin/env python3
"""Draws a contact sheet of what training sees: each image as stored, and as the net is shown it at its first visits.

example: tools/show_training_images.py --net work/mtl/net --out sheet.jpg

For nets made with --online-jitter, and for those of boxes and masks (with the outline of the mask), these are the very
images that `caffe train` and, with the same --seed, train.py take. Caffe's own Data layer draws crops and flips by
numbers that nobody else can draw: there they are of the same kind.
"""

import argparse
from pathlib import Path

from caffe_files.outputs import new_file
from cli import new_parser, not_negative, positive, run
from skinmtl.common.counting import counted
from skinmtl.description.training_sheet import largest_sheet, training_sheet
from skinmtl.description.training_views import training_views
from skinmtl.images.image_file import encode_jpeg

QUALITY = 92


def make_parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__)
    parser.add_argument("--net", type=Path, required=True, metavar="NET", help="the folder with train.prototxt")
    parser.add_output_argument("--out", required=True, help="the .jpg to write")
    parser.add_argument("--sheet", type=positive, default=8, metavar="N", help="images to show (default %(default)s)")
    parser.add_argument("--visits", type=positive, default=7, metavar="N", help="of each image (default %(default)s)")
    parser.add_argument(
        "--first", type=not_negative, default=0, metavar="K", help="record to begin with (default %(default)s)"
    )
    parser.add_argument("--seed", type=not_negative, metavar="S", help="of all that is drawn (default: the net's)")
    return parser


def parse_args() -> argparse.Namespace:
    parser = make_parser()
    args = parser.parse_args()
    if args.out.suffix != ".jpg":
        parser.error(f"--out {args.out}: must end in .jpg")
    images, visits = largest_sheet()
    if args.sheet > images or args.visits > visits:
        parser.error(f"at most {images} images and {visits} visits fit on a sheet")
    parser.refuse_inputs(args.out, args.net / "train.prototxt")
    return args


def main() -> None:
    args = parse_args()
    views = training_views(args.net, args.sheet, args.visits, args.first, args.seed)
    sheet = training_sheet(views, f"What training sees: {args.net}")
    with new_file(args.out) as partial:
        partial.write_bytes(encode_jpeg(sheet, QUALITY))
    print(f"{args.out}: {counted(len(views.views), 'image')}, {counted(args.visits, 'visit')} each; {views.drawn}")


if __name__ == "__main__":
    run(main)
