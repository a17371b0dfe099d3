#!/usr/bin/env python3
"""Outlines of lesions on photographs, the truth and a net's answer: eight of a scores file, from best to worst."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

from cli import new_parser, run  # first: it finds the library

# isort: split
import cv2
import numpy as np

from skinmtl.data.manifest import Manifest, read_manifest
from skinmtl.figures.outlines import ANSWER, TRUTH, Drawn, outlined
from skinmtl.images import image_file
from skinmtl.images.masks import read_mask
from skinmtl.report.outlines import said
from skinmtl.scores.mask_files import default_folder, mask_name
from skinmtl.scores.region_metrics import of_masks
from skinmtl.scores.scores_file import Scores, read_scores

COLUMNS, ROWS = 4, 2
SIDE, WORDS, GAP = 294, 34, 6  # pixels: of a square, of the two lines below it, between squares


def parse_args() -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("--scores", type=Path, required=True, metavar="S.npz", help="with its masks beside it")
    parser.add_argument("--manifest", type=Path, required=True, metavar="CSV", help="that names the true masks")
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help="of photographs and true masks")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the JPEG to write")
    return parser.parse_args()


def square(pixels: np.ndarray) -> np.ndarray:
    """(SIDE, SIDE, 3), the whole picture in it, white around."""
    height, width = pixels.shape[:2]
    size = [round(SIDE * each / max(height, width)) for each in (width, height)]
    small = cv2.resize(pixels, tuple(size), interpolation=cv2.INTER_AREA)
    result = np.full((SIDE, SIDE, 3), 255, np.uint8)
    top, left = SIDE - size[1], (SIDE - size[0]) // 2  # its words come right below it
    result[top : top + size[1], left : left + size[0]] = small
    return result


def tile(args: argparse.Namespace, manifest: Manifest, scores: Scores, row: int, jaccard: float) -> np.ndarray:
    """One photograph with outlines, and below it what is true and what the net says."""
    image = scores.image[row]
    (mask,) = (each.mask for each in manifest.rows if each.image == image)
    pixels = image_file.resized(image_file.read(args.images / image), 2 * SIDE).pixels
    sides = np.tile(scores.image_sizes[row][::-1], 2).astype(float)
    answer = read_mask(default_folder(args.scores) / mask_name(image)).pixels
    drawn = [
        Drawn(read_mask(args.images / mask).pixels, None, TRUTH),
        Drawn(answer, scores.boxes[row] / sides, ANSWER),
    ]
    words = np.full((WORDS, SIDE, 3), 255, np.uint8)
    for line, text in enumerate((said(scores, row), f"JA {jaccard:.2f}")):
        at = (1, 14 + 15 * line)
        cv2.putText(words, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.42, (60, 60, 60), 1, cv2.LINE_AA)
    return np.vstack([square(outlined(pixels, drawn)), words])


def main() -> None:
    args = parse_args()
    scores, manifest = read_scores(args.scores), read_manifest(args.manifest)
    jaccards = of_masks(scores.mask_counts)[:, 0]
    order = np.argsort(-jaccards, kind="stable")
    shown = order[np.linspace(0, len(order) - 1, COLUMNS * ROWS).round().astype(int)]
    tiles = [tile(args, manifest, scores, row, jaccards[row]) for row in shown]
    padded = [cv2.copyMakeBorder(each, 0, GAP, 0, GAP, cv2.BORDER_CONSTANT, value=(255, 255, 255)) for each in tiles]
    rows = [np.hstack(padded[start : start + COLUMNS]) for start in range(0, len(padded), COLUMNS)]
    cv2.imwrite(str(args.out), np.vstack(rows)[:-GAP, :-GAP], [cv2.IMWRITE_JPEG_QUALITY, 85])


if __name__ == "__main__":
    run(main)
