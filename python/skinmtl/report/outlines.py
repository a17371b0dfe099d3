"""Outlines on photographs: the truth and a net's answer, for the images where it was best, middling and worst, and for
those where it found no lesion."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from caffe_files.errors import InputError
from skinmtl.figures.outlines import ANSWER, TRUTH, Drawn, outlined
from skinmtl.images import image_file
from skinmtl.images.decoder import ImageError
from skinmtl.images.masks import read_mask
from skinmtl.report.experiment import scores_path
from skinmtl.report.mask_experiment import MaskExperiment
from skinmtl.scores.mask_files import default_folder, mask_name
from skinmtl.scores.region_metrics import of_masks, overlaps
from skinmtl.scores.scores_file import Scores

EACH = 4  # images of a kind
LONGER_SIDE = 600  # of a picture on the page, in pixels: two to four stand side by side
QUALITY = 85  # of its JPEG
KINDS = ("best", "median", "worst", "missed")


class Folders(NamedTuple):
    """Where the photographs and their true masks are."""

    images: Path
    masks: Path


@dataclass(frozen=True)
class Picture:
    """A photograph with outlines: `kind` of KINDS; `jaccard` of the mask, or the boxes' IoU where the net has no masks;
    `said` is what is true and what the net says of it; `jpeg` the picture's bytes; `group` is the
    patient, case or lesion that it is of, "" where nobody says."""

    kind: str
    image: str
    fold: int
    jaccard: float
    said: str
    jpeg: bytes
    group: str = ""

    @property
    def uri(self) -> str:
        return "data:image/jpeg;base64," + base64.b64encode(self.jpeg).decode("ascii")


class Ranked(NamedTuple):
    """An image of a fold: its row in the fold's scores, how well it is drawn, and whether anything was detected."""

    fold: int
    row: int
    image: str
    agreement: float
    detected: bool


def pictures(experiment: MaskExperiment, variant: str, folders: Folders) -> list[Picture]:
    """Those of one variant, at most EACH of a kind. An image with neither true mask nor true box is none of them.

    InputError where a photograph or a mask that is to be shown cannot be read.
    """
    found, group_of = [], {row.image: row.group for row in experiment.manifest.rows if row.group != row.image}
    for kind, ranked in chosen(ranking(experiment, variant)).items():
        for each in ranked:
            scores = experiment.scores[variant, each.fold]
            masks = default_folder(scores_path(experiment.path, variant, each.fold))
            found.append(
                Picture(
                    kind, each.image, each.fold, each.agreement, said(scores, each.row),
                    _drawn(experiment, scores, each, folders, masks), group_of.get(each.image, ""),
                )
            )  # fmt: skip
    return found


def ranking(experiment: MaskExperiment, variant: str) -> list[Ranked]:
    """All images that have a truth, the best first."""
    found = []
    for fold in experiment.folds_of(variant):
        scores = experiment.scores[variant, fold]
        has_box = ~np.isnan(scores.true_boxes).any(axis=1)
        if scores.mask_counts is not None:
            agreement, there = of_masks(scores.mask_counts)[:, 0], scores.mask_counts.any(axis=1)
        else:
            agreement, there = overlaps(scores.boxes, np.where(has_box[:, None], scores.true_boxes, 0)), has_box
        found += [
            Ranked(fold, row, image, float(agreement[row]), bool(scores.detected[row]))
            for row, image in enumerate(scores.image)
            if there[row]
        ]
    return sorted(found, key=lambda each: (-each.agreement, each.fold, each.image))


def chosen(ranked: list[Ranked]) -> dict[str, list[Ranked]]:
    """Kind -> images; missed: nothing was detected, the others are of the detected ones. An image is shown once."""
    seen = [each for each in ranked if each.detected]
    best = seen[:EACH]
    rest = seen[len(best) :]
    worst = rest[len(rest) - min(EACH, len(rest)) :][::-1]
    middle = rest[: len(rest) - len(worst)]
    start = max(0, min(len(seen) // 2 - len(best) - EACH // 2, len(middle) - EACH))
    missed = [each for each in ranked if not each.detected][::-1]
    return {"best": best, "median": middle[start : start + EACH], "worst": worst, "missed": missed[:EACH]}


def said(scores: Scores, row: int) -> str:
    """The true class, and the likeliest one with its share."""
    if scores.class_names is None:
        return f"score {scores.detection_scores[row]:.2f}"
    true = scores.class_names[scores.class_labels[row]]
    likeliest = int(scores.class_scores[row].argmax())
    return f"{true}; said {scores.class_names[likeliest]} ({scores.class_scores[row, likeliest]:.2f})"


def _drawn(experiment: MaskExperiment, scores: Scores, each: Ranked, folders: Folders, masks: Path) -> bytes:
    row_of = {row.image: row for row in experiment.manifest.rows}
    path = folders.images / each.image
    try:
        pixels = image_file.fitted(image_file.read(path), LONGER_SIDE).pixels
    except ImageError as error:
        raise InputError(f"{path}: {error}; give the folder of --images as it was scored") from None
    if max(pixels.shape[:2]) < LONGER_SIDE:  # a line is a pixel at least: on a small picture it would hide the lesion
        pixels = image_file.resize_short_side(
            pixels, max(1, round(LONGER_SIDE * min(pixels.shape[:2]) / max(pixels.shape[:2])))
        )
    true_mask, answer = row_of[each.image].mask, masks / mask_name(each.image)
    height, width = scores.image_sizes[each.row].tolist()
    sides = np.array([width, height, width, height], np.float64)
    true_box = scores.true_boxes[each.row]
    drawn = [
        Drawn(
            _mask(folders.masks / true_mask) if true_mask else None,
            None if true_mask or np.isnan(true_box).any() else true_box / sides,
            TRUTH,
        ),
        Drawn(_mask(answer) if scores.mask_counts is not None else None, scores.boxes[each.row] / sides, ANSWER),
    ]
    return image_file.encode_jpeg(outlined(pixels, drawn), QUALITY)


def _mask(path: Path) -> np.ndarray:
    try:
        return read_mask(path).pixels
    except (ImageError, OSError) as error:
        raise InputError(f"{path}: {error}; score the images again, or give their --masks") from None
