"""Probabilities that are what they say: a temperature, or Platt's scaling, fitted on the validation images.

Both work on the logits of a head's probabilities: log(p / (1 - p)) of a label that may hold beside others (sigmoid),
log p of labels of which one holds (softmax; rows add up to 1). Probabilities nearer to 0 or 1 than CLIP count as that.

temperature  one number T for the head: logits / T, by the least log loss of all its labels (Guo and others 2017)
platt        a slope and an offset for each label of a sigmoid head, by logistic regression (Platt 1999), with Platt's
             targets (n + 1) / (n + 2) and 1 / (n + 2), so that no label becomes certain. A softmax head has its
             temperature: scaled one by one, its probabilities would not add up to 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Sequence

import numpy as np
from scipy import optimize

from caffe_files.errors import InputError
from skinmtl.scores.bootstrap import FEWEST
from skinmtl.scores.label_figures import Head

TEMPERATURE, PLATT = "temperature", "platt"
METHODS = (TEMPERATURE, PLATT)
SIGMOID, SOFTMAX = "sigmoid", "softmax"
CLIP = 1e-7  # what a float32 below 1 still resolves
# our choice: the temperature of 100 images of one label with a share of 20 % has a standard error of some 20 %
FEWEST_IMAGES = 100
LARGEST = 1e6  # a slope beyond is of no fit
LIMITS = (0.02, 50.0)  # of a temperature: beyond them the scores tell all labels apart, or nothing


@dataclass(frozen=True)
class HeadCalibration:
    """What is done to a head: `kind` SIGMOID or SOFTMAX, the method, and for each of its P labels, whose names are
    here in the order of the outputs, by what its logit is multiplied, and what is added then."""

    kind: str
    method: str
    names: tuple[str, ...]
    slopes: tuple[float, ...]
    offsets: tuple[float, ...]

    def apply(self, probabilities: np.ndarray) -> np.ndarray:
        """Of probabilities (..., P): the same, calibrated, float32."""
        scaled = logits(probabilities, self.kind) * np.array(self.slopes) + np.array(self.offsets)
        return from_logits(scaled, self.kind).astype(np.float32)

    def words(self) -> str:
        """What it is, for a person."""
        if self.method == TEMPERATURE:
            return f"temperature {1 / self.slopes[0]:.3g}"
        return f"platt, slopes {min(self.slopes):.3g} to {max(self.slopes):.3g}"


def kind_of(probabilities: np.ndarray) -> str:
    """SOFTMAX where all rows (N, P) add up to 1, else SIGMOID."""
    return SOFTMAX if np.allclose(probabilities.sum(axis=1), 1, rtol=0, atol=1e-3) else SIGMOID


def logits(probabilities: np.ndarray, kind: str) -> np.ndarray:
    """float64; of a softmax up to a constant of each row."""
    p = np.clip(np.asarray(probabilities, np.float64), CLIP, 1 - CLIP)
    return np.log(p) if kind == SOFTMAX else np.log(p) - np.log1p(-p)


def from_logits(values: np.ndarray, kind: str) -> np.ndarray:
    if kind == SIGMOID:
        return np.exp(-np.logaddexp(0, -values))
    exponents = np.exp(values - values.max(axis=-1, keepdims=True))
    return exponents / exponents.sum(axis=-1, keepdims=True)


def fitted(file: str, head: Head, name: str, method: str) -> HeadCalibration:
    """The calibration of a head, "lesion" or "location", by the labels of its images.

    InputError where the scores are no probabilities, where images or positives are too few, and where the best
    temperature lies outside LIMITS or a label's scores go against its labels.
    """
    if not head.probable:
        raise InputError(f"{file}: the {name} scores are not all from 0 to 1; only probabilities can be calibrated")
    kind = kind_of(head.scores)
    images, positives = len(head.labels), head.labels.sum(axis=0)
    if images < FEWEST_IMAGES:
        raise InputError(f"{file}: {images} images; a calibration needs {FEWEST_IMAGES} or more: score more of them")
    values = logits(head.scores, kind)
    p = len(head.names)
    if kind == SOFTMAX or method == TEMPERATURE:
        if positives.sum() < FEWEST:
            raise InputError(f"{file}: {positives.sum()} images with a {name}; a temperature needs {FEWEST} or more")
        slope = 1 / _temperature(file, values, head.labels, kind, name)
        return HeadCalibration(kind, TEMPERATURE, tuple(head.names), (slope,) * p, (0.0,) * p)
    few = [f"{label} ({n})" for label, n in zip(head.names, positives) if min(n, images - n) < FEWEST]
    if few:
        raise InputError(
            f"{file}: too few images with, or without, {', '.join(few)}: platt needs {FEWEST} of each; take --scaling "
            f"{TEMPERATURE}, or score more images"
        )
    both = [platt(column, labels) for column, labels in zip(values.T, head.labels.T)]
    against = [label for label, (slope, _) in zip(head.names, both) if slope <= 0]
    if against:
        raise InputError(
            f"{file}: the scores go against the labels of {', '.join(against)}: platt would turn their order round; "
            f"take --scaling {TEMPERATURE}"
        )
    slopes, offsets = zip(*both)
    return HeadCalibration(kind, PLATT, tuple(head.names), slopes, offsets)


def log_loss(values: np.ndarray, labels: np.ndarray, kind: str) -> float:
    """The mean over the images of logits (N, P): of the true label's, or of the sum over all labels."""
    if kind == SOFTMAX:
        highest = values.max(axis=1)
        total = highest + np.log(np.exp(values - highest[:, None]).sum(axis=1))
        return float((total - values[labels]).mean())
    return float((np.logaddexp(0, values) - values * labels).sum(axis=1).mean())


def platt(values: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """The slope and the offset for logits (N,) and labels (N,) bool."""
    positives = int(labels.sum())
    negatives = len(labels) - positives
    targets = np.where(labels, (positives + 1) / (positives + 2), 1 / (negatives + 2))

    def loss(both: np.ndarray) -> tuple[float, np.ndarray]:
        scaled = both[0] * values + both[1]
        off = from_logits(scaled, SIGMOID) - targets
        return float((np.logaddexp(0, scaled) - targets * scaled).mean()), np.array([(off * values).mean(), off.mean()])

    best = optimize.minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", options={"ftol": 1e-14}).x
    return float(best[0]), float(best[1])


def _temperature(file: str, values: np.ndarray, labels: np.ndarray, kind: str, name: str) -> float:
    """By the least loss, which has one valley over 1 / T."""
    low, high = np.log(1 / LIMITS[1]), np.log(1 / LIMITS[0])

    def loss(log_slope: float) -> float:
        return log_loss(values * np.exp(log_slope), labels, kind)

    found = optimize.minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-8}).x
    temperature = float(np.exp(-found))
    if not LIMITS[0] * 1.01 < temperature < LIMITS[1] / 1.01:
        raise InputError(
            f"{file}: the best temperature of the {name} scores lies beyond {LIMITS[0]:g} to {LIMITS[1]:g}: they tell "
            "all labels apart, or say nothing of them; score more images, or look at the training"
        )
    return temperature


def record_of(head: HeadCalibration) -> dict[str, Any]:
    """For JSON."""
    return {
        "kind": head.kind,
        "method": head.method,
        "names": list(head.names),
        "slopes": list(head.slopes),
        "offsets": list(head.offsets),
    }


def head_from(record: Any) -> HeadCalibration | None:
    """What `record_of` made; None where it is anything else."""
    if not isinstance(record, dict) or record.get("kind") not in (SIGMOID, SOFTMAX):
        return None
    names, slopes, offsets = (record.get(name) for name in ("names", "slopes", "offsets"))
    whole = (
        record.get("method") in METHODS
        and _all(names, (str,))
        and _all(slopes, (int, float))
        and _all(offsets, (int, float))
        and len(names) == len(slopes) == len(offsets) > 0
        and all(0 < slope <= LARGEST for slope in slopes)
        and all(-LARGEST <= offset <= LARGEST for offset in offsets)
    )
    if not whole:
        return None
    numbers = (tuple(map(float, each)) for each in (slopes, offsets))
    return HeadCalibration(record["kind"], record["method"], tuple(names), *numbers)


def _all(values: Any, kinds: Sequence[type]) -> bool:
    return isinstance(values, list) and all(type(value) in kinds for value in values)
