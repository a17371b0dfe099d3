"""Saved maps against the masks of a manifest: figures, how far they would move with other patients, and whether the
maps lie on the lesion more than looking at the middle would."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Sequence

import numpy as np
from tqdm import tqdm

from caffe_files.errors import InputError
from skinmtl.data.manifest import Manifest
from skinmtl.explanation.attention_file import AttentionFile
from skinmtl.explanation.mask_figures import LEVELS, Values, centre_pixel, gaussian, values_of
from skinmtl.images.masks import ImageError, nearest, read_mask
from skinmtl.scores.bootstrap import FEWEST, blocks, ends_of

LEVEL = 0.95
GAUSSIAN, PIXEL = "gaussian", "centre_pixel"
# figure -> what it is held against: a point has no mass, and nothing is more in the middle than its pixel
AGAINST = {"evidence": GAUSSIAN, "mass": GAUSSIAN, "hit": PIXEL, "overlap": GAUSSIAN}
BETTER, WORSE, OPEN = "better", "worse", "not better"


@dataclass
class Measured:
    """Of each picture: its group, the mask's share of it, and what the map and what needs no net are worth."""

    groups: list[str] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)
    maps: list[Values] = field(default_factory=list)
    gaussian: list[Values] = field(default_factory=list)
    pixel: list[Values] = field(default_factory=list)

    def add(self, group: str, attention: np.ndarray, mask: np.ndarray) -> None:
        self.groups.append(group)
        self.shares.append(float(mask.mean()))
        for values, one in ((self.maps, attention), (self.gaussian, gaussian(*mask.shape))):
            values.append(values_of(one, mask))
        self.pixel.append(values_of(centre_pixel(*mask.shape), mask))


def evaluate_maps(
    files: Sequence[AttentionFile], manifest: Manifest, masks: Path, resamples: int, seed: int
) -> dict[str, Any]:
    """Figures for JSON: by head those of all images and of each label, what was left out, how intervals were made.

    InputError where a file has an image that the manifest or another file has not or has too, where a mask does not fit
    its image, and where no image has a mask with lesion and skin.
    """
    by_head: dict[str, Measured] = {}
    by_label: dict[str, dict[str, Measured]] = {}
    left_out: dict[str, str] = {}
    rows = {row.image: row for row in manifest.rows}
    seen: dict[str, Path] = {}
    pictures = [(file, row, image) for file in files for row, image in enumerate(file.images)]
    for file, row, image in tqdm(pictures, "measuring maps", unit="image", disable=None):
        if image in seen:
            raise InputError(f"{file.path}: image {image!r} is in {seen[image]} too; give each image's maps once")
        seen[image] = file.path
        if image not in rows:
            raise InputError(f"{file.path}: image {image!r} is not in {manifest.path}; give its manifest")
        if not rows[image].mask:
            left_out[image] = "has no mask"
            continue
        attentions = {head: file.read(row, head) for head in file.heads}
        mask = _mask(masks / rows[image].mask, attentions[file.heads[0]].maps.shape[1:])
        if mask.all() or not mask.any():
            left_out[image] = "its mask is all lesion" if mask.all() else "its mask has no lesion at the maps' size"
            continue
        for head, attention in attentions.items():
            by_head.setdefault(head, Measured()).add(rows[image].group, attention.shown, mask)
            of_labels = by_label.setdefault(head, {})
            for label, one in zip(attention.labels, attention.maps):
                of_labels.setdefault(label, Measured()).add(rows[image].group, one, mask)
    if not by_head:
        raise InputError(f"{manifest.path}: no image of {len(pictures)} has a mask with lesion and skin; fill 'mask'")
    parts = [(head, "", measured) for head, measured in by_head.items()]
    parts += [(head, label, by_label[head][label]) for head in by_head for label in sorted(by_label[head])]
    heads: dict[str, Any] = {}
    for (head, label, _), found in zip(parts, figures_of([one for _, _, one in parts], resamples, seed)):
        if label:
            heads[head]["by_label"][label] = found
        else:
            heads[head] = {**found, "by_label": {}}
    made = {"resamples": resamples, "seed": seed, "level": LEVEL, "fewest": FEWEST}
    return {"heads": heads, "left_out": left_out, "bootstrap": made}


def figures_of(parts: Sequence[Measured], resamples: int, seed: int) -> list[dict[str, Any]]:
    """Of each part by figure: the map's value, what it is held against, chance, how much better it is, with intervals.

    The groups of all parts are drawn together, so that all are of the same resamples; where one has no image of a
    part, that part has no figure there. The threshold of the overlap is one for all pictures, the best; it is chosen
    again for the Gaussian and in every resample. Intervals are null where a part has fewer than FEWEST groups, and
    where all resamples are the same.
    """
    names = sorted({group for part in parts for group in part.groups})
    place = {name: number for number, name in enumerate(names)}
    sums = [_sums(part, [place[group] for group in part.groups], len(names)) for part in parts]
    drawn: list[list[np.ndarray]] = [[] for _ in parts]
    if len(names) >= FEWEST:
        for counts in blocks(np.max([of_part[-1] for of_part in sums], axis=0).astype(int), resamples, seed, "maps"):
            weights = counts.astype(np.float64)
            for of_part, values in zip(sums, drawn):
                values.append(_figures(of_part @ weights))
    found = []
    for part, of_part, values in zip(parts, sums, drawn):
        enough = len(set(part.groups)) >= FEWEST
        resampled = np.concatenate(values, axis=1)[:, :resamples] if values and enough else None
        found.append(_said(part, _figures(of_part.sum(axis=1, keepdims=True))[:, 0], resampled))
    return found


def _said(part: Measured, whole: np.ndarray, resampled: np.ndarray | None) -> dict[str, Any]:
    """For JSON; `whole` are _figures of all images, `resampled` those of each resample."""
    said: dict[str, Any] = {
        "n_images": len(part.groups),
        "n_groups": len(set(part.groups)),
        "n_without_evidence": int(sum(one.evidence == 0 for one in part.maps)),
    }
    for number, (name, against) in enumerate(AGAINST.items()):
        of_map, of_gaussian, of_pixel = number, number + len(AGAINST), number + 2 * len(AGAINST)
        of_middle = of_gaussian if against == GAUSSIAN else of_pixel
        ends = None if resampled is None else ends_of(resampled[of_map] - resampled[of_middle], LEVEL, True)
        said[name] = {
            "map": float(whole[of_map]),
            "interval": None if resampled is None else ends_of(resampled[of_map], LEVEL, True),
            GAUSSIAN: float(whole[of_gaussian]),
            PIXEL: float(whole[of_pixel]),
            "chance": float(np.mean(part.shares)),
            "against": against,
            "better_by": float(whole[of_map] - whole[of_middle]),
            "better_by_interval": ends,
            "verdict": None if ends is None else BETTER if ends[0] > 0 else WORSE if ends[1] < 0 else OPEN,
        }
    return said


def _mask(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """(H, W) bool as large as the maps. InputError where it cannot be read, or is of a picture of another shape."""
    try:
        mask = read_mask(path).pixels
    except ImageError as error:
        raise InputError(f"{path}: {error}; mend it, or take it out of the manifest") from None
    scale = min(shape) / min(mask.shape)
    if max(abs(wanted - scale * there) for wanted, there in zip(shape, mask.shape)) > 1 + scale:
        raise InputError(
            f"{path}: is {mask.shape[1]} x {mask.shape[0]} pixels, of another shape than its image's maps, {shape[1]} "
            f"x {shape[0]}; correct the manifest"
        )
    return nearest(mask, *shape)


def _sums(part: Measured, places: Sequence[int], n_groups: int) -> np.ndarray:
    """(3 x (3 + LEVELS) + 1, G): by group the sums of evidence, mass, hit and overlaps, of the maps, of the Gaussian
    and of the pixel; and how many images it has."""
    columns = []
    for values in (part.maps, part.gaussian, part.pixel):
        columns += np.array([(one.evidence, one.mass, one.hit, *one.overlaps) for one in values]).T.tolist()
    columns.append([1.0] * len(places))
    return np.stack([np.bincount(places, weights=column, minlength=n_groups) for column in columns])


def _figures(sums: np.ndarray) -> np.ndarray:
    """(3 x 4, B): evidence, mass, hit and overlap of the maps, of the Gaussian and of the pixel, of sums over groups as
    _sums makes them (K, B); nan where there is no image."""
    with np.errstate(invalid="ignore", divide="ignore"):
        means = (sums[:-1] / sums[-1]).reshape(3, 3 + LEVELS, -1)
    return np.concatenate([np.concatenate([of[:3], of[3:].max(axis=0)[None]]) for of in means])
