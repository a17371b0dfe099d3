"""From two files of features to novelty.npz: what novelty.py does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Sequence

import numpy as np

from caffe_files.errors import InputError
from skinmtl.common.provenance import made_by, sha256
from skinmtl.data.manifest import Manifest
from skinmtl.data.seen import is_known, n_trained
from skinmtl.explanation.extracting import DECIDES, difference
from skinmtl.explanation.features_file import REMEDY, Features, read_features
from skinmtl.explanation.novelty import Novelty, fit, ordinal
from skinmtl.explanation.novelty_file import write_novelty
from skinmtl.scores.calibration_file import part_of
from skinmtl.scores.chosen_thresholds import TEST, VALIDATION
from skinmtl.scores.tables import columns


@dataclass(frozen=True)
class Wish:
    """The files of features, the manifest that says the patients, if any, and how it is measured: `k` and `keep` as in
    Novelty, at most `reference` training images kept, drawn by `seed`."""

    training: Path
    validation: Path
    manifest: Manifest | None
    k: int
    keep: float
    reference: int
    seed: int


def make_novelty(wish: Wish, out: Path, arguments: dict[str, Any]) -> str:
    """Writes `out`; returns what to tell. InputError where the files do not go together, or are too small."""
    training, validation = read_features(wish.training), read_features(wish.validation)
    _check(wish, training, validation)
    of_training, of_validation = _groups(wish, training, validation)
    made = {
        "n_groups": len(np.unique(of_training)) if wish.manifest else None,
        "seed": wish.seed,
        "features_sha256": sha256(wish.training),
        "validation_sha256": sha256(wish.validation),
    }
    try:
        novelty = fit(
            training.features,
            of_training,
            validation.features,
            of_validation,
            _drawn(len(training.image), wish.reference, wish.seed),
            wish.k,
            wish.keep,
            {name: training.protocol[name] for name in DECIDES if name in training.protocol},
            part_of(validation.protocol, len(validation.image)),
            made,
        )
    except InputError as error:
        raise InputError(f"{wish.training} and {wish.validation}: {error}") from None
    write_novelty(out, novelty, made_by(arguments))
    shared = int(np.isin(of_validation, of_training).sum())
    return "\n".join([*_table(out, novelty), *_notes(wish, novelty, training, shared)])


def _check(wish: Wish, training: Features, validation: Features) -> None:
    unlike = difference(training.protocol, validation.protocol)
    if unlike:
        raise InputError(f"{wish.validation}: {unlike} ({wish.training}); extract both alike")
    for path, features in ((wish.training, training), (wish.validation, validation)):
        for name in ("blob", "crops", "weights_sha256"):
            if name not in features.protocol:
                raise InputError(f"{path}: its protocol has no {name}; {REMEDY}")
    twice = sorted(set(training.image) & set(validation.image))
    if twice:
        more = f" and {len(twice) - 1} more" if len(twice) > 1 else ""
        raise InputError(
            f"{wish.validation}: {twice[0]!r}{more}: in {wish.training} too, as training images; give images that were "
            "left out of the training"
        )
    seen = n_trained(validation.protocol)
    if seen:
        raise InputError(f"{wish.validation}: {seen} of its images were trained on; give validation images")


def _groups(wish: Wish, training: Features, validation: Features) -> Sequence[np.ndarray]:
    """The patients of both, as numbers; without a manifest each image is another's."""
    names = [training.image, validation.image]
    if wish.manifest is not None:
        known = {row.image: row.group for row in wish.manifest.rows}
        for path, of_file in zip((wish.training, wish.validation), names):
            missing = next((name for name in of_file if name not in known), None)
            if missing is not None:
                raise InputError(f"{wish.manifest.path}: has no {missing!r} of {path}; give the manifest of both")
        names = [[known[name] for name in of_file] for of_file in names]
    numbers = np.unique([*names[0], *names[1]], return_inverse=True)[1].reshape(-1)
    return numbers[: len(names[0])], numbers[len(names[0]) :]


def _drawn(count: int, most: int, seed: int) -> np.ndarray:
    """The rows to keep, ascending."""
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.RandomState(seed).permutation(count)[:most])


def _table(out: Path, novelty: Novelty) -> list[str]:
    rows = [["distance", "images", "median", "95 %", "largest"]]
    for name, distances in (("training", novelty.training), ("validation", novelty.validation)):
        figures = (f"{value:.4g}" for value in (*np.percentile(distances, (50, 95)), distances[-1]))
        rows.append([name, str(len(distances)), *figures])
    count = len(novelty.validation)
    size = out.stat().st_size / 1e6
    return [
        f"{out}: features of {len(novelty.reference)} training images, {size:.2g} MB; {novelty.words()}",
        *columns(rows),
        f"threshold {novelty.threshold:.4g}, to keep {100 * novelty.keep:g} % of images like these; it refuses "
        f"{novelty.refused} of the {count} validation images ({100 * novelty.refused / count:.1f} %)",
    ]


def _notes(wish: Wish, novelty: Novelty, training: Features, shared: int) -> list[str]:
    lines = []
    if wish.manifest is None:
        lines.append("which images are of one patient is not known: give --manifest, or distances are too small")
    elif shared:
        lines.append(
            f"{shared} validation images are of patients who were trained on: held against other patients' images alone"
        )
    if len(novelty.training) > len(novelty.reference):
        lines.append(
            f"{len(novelty.reference)} of {len(novelty.training)} training images are kept, drawn by seed {wish.seed}; "
            f"the {ordinal(wish.k)} nearest is one of these"
        )
    if is_known(training.protocol) and n_trained(training.protocol) < len(training.image):
        lines.append(
            f"only {n_trained(training.protocol)} of the {len(training.image)} images of {wish.training} were trained "
            "on; give --subset train"
        )
    if novelty.fitted_on == TEST:
        lines.append("these are the test images, of which no figure would be true: export.py refuses it")
    elif novelty.fitted_on != VALIDATION:
        lines.append("nothing says that these are validation images; extract them with --subset validation")
    return [f"note: {line}" for line in lines]
