#!/usr/bin/env python3
"""Lays a strip of photographs over a wide picture and saves both small, as one JPEG for README.md and docs/."""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

WIDTH, STRIP, GAP = 1200, 150, 6  # pixels


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--row", type=Path, required=True, help="the wide picture")
    parser.add_argument("--images", type=Path, help="a folder of photographs: as many of them as fit (default: none)")
    parser.add_argument("--out", type=Path, required=True, help="the JPEG to write")
    return parser


def scaled(picture: np.ndarray, factor: float) -> np.ndarray:
    size = (round(picture.shape[1] * factor), round(picture.shape[0] * factor))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)


def strip_of(folder: Path) -> np.ndarray:
    """Every 47th photograph in one line, each of the same height, then stretched a little to fill the width."""
    line = np.full((STRIP, 0, 3), 255, np.uint8)
    for path in sorted(folder.iterdir())[::47]:
        picture = cv2.imread(str(path))
        line = np.hstack([line, scaled(picture, STRIP / picture.shape[0]), np.full((STRIP, GAP, 3), 255, np.uint8)])
        if line.shape[1] >= WIDTH:
            break
    return scaled(line[:, :-GAP], WIDTH / (line.shape[1] - GAP))


def main() -> None:
    args = make_parser().parse_args()
    row = cv2.imread(str(args.row))
    parts = [scaled(row, WIDTH / row.shape[1])]
    if args.images:
        parts = [strip_of(args.images), np.full((2 * GAP, WIDTH, 3), 255, np.uint8), *parts]
    cv2.imwrite(str(args.out), np.vstack([part[:, :WIDTH] for part in parts]), [cv2.IMWRITE_JPEG_QUALITY, 85])


if __name__ == "__main__":
    main()
