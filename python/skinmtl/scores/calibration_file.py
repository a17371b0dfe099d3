"""calibration.json: how a net's probabilities are calibrated, and on which images that was fitted.

Made by calibrate.py, read by evaluate.py, and copied into a model folder, without the names of the images.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Mapping

from caffe_files.errors import InputError
from skinmtl.common.json_file import read_json
from skinmtl.common.provenance import sha256
from skinmtl.data.seen import n_trained
from skinmtl.scores.calibration import HeadCalibration, fitted, head_from, record_of
from skinmtl.scores.chosen_thresholds import SAME, TEST, VALIDATION, weights_of
from skinmtl.scores.label_figures import head_of
from skinmtl.scores.pairing import heads_of
from skinmtl.scores.scores_file import HEADS, Scores

FORMAT = "skinmtl calibration, version 1"
NOT_RECORDED = "images of a part that is not recorded"
REMEDY = "make it anew with calibrate.py"


@dataclass(frozen=True)
class Calibration:
    """The heads that are calibrated; `fitted_on` is VALIDATION, TEST or NOT_RECORDED, the part that the images are of.

    `weights` is that of `chosen_thresholds.weights_of`, `same` how the images were shown to the net, `images` their
    names, which a model folder leaves out.
    """

    heads: Mapping[str, HeadCalibration]
    fitted_on: str
    n_images: int
    weights: Any
    same: Mapping[str, Any]
    scores_sha256: str
    images: tuple[str, ...] = field(default=(), compare=False)

    def record(self) -> dict[str, Any]:
        """For JSON, without the names of the images."""
        return {
            "format": FORMAT,
            "heads": {name: record_of(head) for name, head in self.heads.items()},
            "fitted_on": self.fitted_on,
            "n_images": self.n_images,
            "weights": self.weights,
            "same": dict(self.same),
            "scores_sha256": self.scores_sha256,
        }

    def words(self) -> str:
        """What is done, for a person."""
        return ", ".join(f"{name}s: {head.words()}" for name, head in self.heads.items())

    def told(self) -> str:
        """A line to stand beside the probabilities."""
        return f"probabilities are calibrated ({self.words()}), fitted on {self.n_images} {self.fitted_on}"


def fit(path: Path, scores: Scores, method: str) -> Calibration:
    """The calibration of all heads of the scores in `path`. InputError as `calibration.fitted`; where the file does not
    say which weights it is of, and where its images were trained on."""
    if not heads_of(scores):
        raise InputError(f"{path}: has no labels, whose probabilities could be calibrated")
    weights = weights_of(scores.protocol)
    if weights is None:
        raise InputError(f"{path}: does not say which weights it is of; score the images again with score.py")
    if n_trained(scores.protocol):
        raise InputError(f"{path}: {n_trained(scores.protocol)} of its images were trained on; give validation images")
    heads = {name: fitted(str(path), head_of(scores, name), name, method) for name in heads_of(scores)}
    same = {name: scores.protocol.get(name) for name in SAME}
    return Calibration(
        heads,
        part_of(scores.protocol, len(scores.image)),
        len(scores.image),
        weights,
        same,
        sha256(path),
        images=tuple(scores.image),
    )


def part_of(protocol: Mapping[str, Any], count: int) -> str:
    """Which part of the data set the `count` images of scores or features are of, as far as the file's protocol says:
    by its --subset, or because the training has watched them all."""
    arguments = protocol.get("arguments")
    subset = arguments.get("subset") if isinstance(arguments, dict) else None
    seen = protocol.get("trained_on")
    watched = isinstance(seen, dict) and seen.get("watched") == count
    if subset == "validation" or watched:
        return VALIDATION
    return TEST if subset == "test" else NOT_RECORDED


def calibrated(path: Path, scores: Scores, source: Path, calibration: Calibration) -> Scores:
    """The scores of `path`, calibrated. InputError where the calibration is of another net, or was fitted on images
    that were shown to it otherwise."""
    if weights_of(scores.protocol) != calibration.weights:
        raise InputError(f"{source}: is of other weights than {path}; fit one on scores of the same net")
    for name, value in calibration.same.items():
        if scores.protocol.get(name) != value:
            raise InputError(
                f"{source}: {name} was {value}, that of {path} is {scores.protocol.get(name)}; fit it anew"
            )
    changed = {}
    for name in heads_of(scores):
        head = calibration.heads.get(name)
        if head is None or list(head.names) != list(getattr(scores, f"{name}_names")):
            raise InputError(f"{source}: has not the {name}s of {path}; fit one on scores of the same net")
        if not head_of(scores, name).probable:
            raise InputError(f"{path}: the {name} scores are not all from 0 to 1; calibrate scores of score.py")
        changed[f"{name}_scores"] = head.apply(getattr(scores, f"{name}_scores"))
    return replace(scores, **changed)


def fitted_on(scores: Scores, calibration: Calibration) -> str:
    """Where the calibration was fitted, seen from images that are tested with it."""
    return TEST if set(scores.image) & set(calibration.images) else calibration.fitted_on


def read_calibration(path: Path, remedy: str = REMEDY) -> Calibration:
    """InputError where the file is not one of calibrate.py."""
    record = read_json(path, remedy)
    heads = record.get("heads")
    parts = {name: head_from(heads.get(name)) for name in HEADS if name in heads} if isinstance(heads, dict) else {}
    images, same = record.get("images", []), record.get("same")
    whole = (
        record.get("format") == FORMAT
        and parts
        and None not in parts.values()
        and record.get("fitted_on") in (VALIDATION, TEST, NOT_RECORDED)
        and type(record.get("n_images")) is int
        and isinstance(record.get("scores_sha256"), str)
        and isinstance(same, dict)
        and isinstance(images, list)
        and all(isinstance(name, str) for name in images)
    )
    if not whole:
        raise InputError(f"{path}: not a {FORMAT}, or not a whole one; {remedy}")
    weights = record.get("weights")
    return Calibration(
        heads=parts,
        fitted_on=record["fitted_on"],
        n_images=record["n_images"],
        weights=tuple(weights) if isinstance(weights, list) else weights,
        same=same,
        scores_sha256=record["scores_sha256"],
        images=tuple(images),
    )
