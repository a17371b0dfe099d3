"""The figures of the paper: mAP-class (equation 9), mAP-image (equation 10), location top-1 and top-3.

Average precision of one ranking, both equations' inner sum, with no interpolation:

    AP = sum over k of precision(k) x (recall(k) - recall(k - 1))

mAP-class ranks all images by the score of one class, and means the APs over the classes. mAP-image ranks all classes
for one image, and means the APs over the images.

Policy, wherever the equations leave a choice:

- Ties. Tied scores share one threshold k: precision and recall are read only where the score changes, so the order in
  which tied entries happen to stand cannot matter. This is scikit-learn's rule. Counted: positives whose score another
  entry of the same ranking has too.
- A class with no positive has no AP. It is left out of mAP-class, named and counted; in mAP-image it stays in every
  image's ranking, as one more class to rank low.
- An image with no lesion has no AP. It is left out of mAP-image and counted; in mAP-class it stays in every class's
  ranking, as one more negative.
- Location. The true location is among the top k where fewer than k others score as high or higher: a tie counts
  against the model, as in the Accuracy layer of Caffe. Counted: images whose true location is tied with another.
- A mean over nothing is None, never 0 and never NaN.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from skinmtl.scores.scores_file import Scores

LESION_FIGURES = (
    "map_class",
    "map_image",
    "chance_map_class",
    "chance_map_image",
    "n_classes",
    "n_classes_used",
    "classes_without_positive",
    "n_images_used",
    "n_images_without_lesion",
    "n_tied_in_classes",
    "n_tied_in_images",
    "support",
    "average_precision",
)
LOCATION_FIGURES = (
    "location_top1",
    "location_top3",
    "chance_location_top1",
    "chance_location_top3",
    "n_locations",
    "n_tied_locations",
)


def evaluate(scores: Scores) -> dict[str, Any]:
    """All figures, ready for JSON. The figures of a head that the model does not have are None.

    `average_precision` and `support` (the number of positives) are by class name. What a model gets without looking at
    an image is there to compare with: `chance_map_class` is the expectation of a random order of the images,
    `chance_map_image` ranks the classes of every image by their support (those of equal support in their order), and
    `chance_location_top1` and `chance_location_top3` always answer the most frequent locations.
    """
    figures: dict[str, Any] = {"n_images": len(scores.image)}
    if scores.lesion_scores is None:
        figures.update(dict.fromkeys(LESION_FIGURES))
    else:
        figures.update(_lesion_figures(scores.lesion_labels, scores.lesion_scores, scores.lesion_names))
    if scores.location_scores is None:
        figures.update(dict.fromkeys(LOCATION_FIGURES))
    else:
        figures.update(_location_figures(scores.location_labels, scores.location_scores))
    return figures


def average_precision(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The average precision of each row: N rankings of M entries.

    labels  (N, M), 0 or 1
    scores  (N, M), finite; the higher, the earlier in the ranking; tied scores share one threshold
    returns (N,) float64; nan where a row has no positive

    The same numbers as sklearn.metrics.average_precision_score row by row, all rows at once.

    >>> average_precision(np.array([[0, 1, 1, 0]]), np.array([[0.9, 0.8, 0.5, 0.1]]))  # 1/2 x 1/2 + 2/3 x 1/2
    array([0.58333333])
    """
    labels, last_of_tie = _ranked(labels, scores)
    found = np.cumsum(labels, axis=1)
    precision = found / np.arange(1.0, labels.shape[1] + 1)
    at_threshold = np.where(last_of_tie, found, 0)  # its running maximum is what the last threshold had found
    before = np.zeros_like(at_threshold)
    before[:, 1:] = np.maximum.accumulate(at_threshold, axis=1)[:, :-1]
    gained = np.where(last_of_tie, found - before, 0)
    positives = found[:, -1]
    total = (precision * gained).sum(axis=1)
    return np.divide(total, positives, out=np.full(len(labels), np.nan), where=positives > 0)


def tied_positives(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """For each row (N,), how many positives have a score that another entry of the row has too. Shapes (N, M)."""
    labels, last_of_tie = _ranked(labels, scores)
    first_of_tie = np.ones_like(last_of_tie)
    first_of_tie[:, 1:] = last_of_tie[:, :-1]
    return (labels & ~(first_of_tie & last_of_tie)).sum(axis=1)


def in_top_k(labels: np.ndarray, scores: np.ndarray, k: int) -> np.ndarray:
    """Whether the true class is among the k best, for each image: (N,) bool. A tie counts against the model.

    labels (N,) integers in [0, Q), scores (N, Q). With k >= Q all are True.
    """
    others_as_high = (scores >= _true_score(labels, scores)).sum(axis=1) - 1
    return others_as_high < k


def random_average_precision(positives: np.ndarray, length: int) -> np.ndarray:
    """The expected AP of a random order of `length` entries, for each number of positives (at least 1).

    With R positives of N, E[x_k] = R / N and E[x_j x_k] = R (R - 1) / (N (N - 1)), so the expectation of
    1/R x sum over k of x_k x (sum over j <= k of x_j) / k is H + (1 - H) (R - 1) / (N - 1), where H is the mean of
    1 / k for k = 1..N. It tends to the prevalence R / N, and is well above it for a short ranking.
    """
    mean_reciprocal = (1 / np.arange(1.0, length + 1)).mean()
    return mean_reciprocal + (1 - mean_reciprocal) * (np.asarray(positives) - 1) / max(length - 1, 1)


def _ranked(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The labels (N, M) as bool, best score first, and whether each is the last entry with its score."""
    scores = np.asarray(scores, dtype=np.float64)
    order = np.argsort(-scores, axis=1)
    scores = np.take_along_axis(scores, order, axis=1)
    last_of_tie = np.ones(scores.shape, dtype=bool)
    last_of_tie[:, :-1] = scores[:, :-1] != scores[:, 1:]
    return np.take_along_axis(np.asarray(labels) != 0, order, axis=1), last_of_tie


def _true_score(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    return np.take_along_axis(scores, labels[:, None], axis=1)


def _lesion_figures(labels: np.ndarray, scores: np.ndarray, names: list[str]) -> dict[str, Any]:
    by_class = average_precision(labels.T, scores.T)
    by_image = average_precision(labels, scores)
    support = labels.sum(axis=0, dtype=np.int64)
    with_positive, with_lesion = support > 0, labels.any(axis=1)
    # each in a place of its own: tied, those of equal support would all be taken for the last of them
    rank = np.argsort(np.argsort(-support, kind="stable"), kind="stable")
    by_frequency = average_precision(labels, np.broadcast_to(-rank, labels.shape))
    return {
        "map_class": _mean(by_class[with_positive]),
        "map_image": _mean(by_image[with_lesion]),
        "chance_map_class": _mean(random_average_precision(support[with_positive], len(labels))),
        "chance_map_image": _mean(by_frequency[with_lesion]),
        "n_classes": len(names),
        "n_classes_used": int(with_positive.sum()),
        "classes_without_positive": [name for name, used in zip(names, with_positive) if not used],
        "n_images_used": int(with_lesion.sum()),
        "n_images_without_lesion": int((~with_lesion).sum()),
        "n_tied_in_classes": int(tied_positives(labels.T, scores.T).sum()),
        "n_tied_in_images": int(tied_positives(labels, scores).sum()),
        "support": dict(zip(names, support.tolist())),
        "average_precision": {name: None if np.isnan(ap) else float(ap) for name, ap in zip(names, by_class)},
    }


def _location_figures(labels: np.ndarray, scores: np.ndarray) -> dict[str, Any]:
    frequency = np.sort(np.bincount(labels, minlength=scores.shape[1]))[::-1] / len(labels)
    return {
        "location_top1": _mean(in_top_k(labels, scores, 1)),
        "location_top3": _mean(in_top_k(labels, scores, 3)),
        "chance_location_top1": float(frequency[:1].sum()),
        "chance_location_top3": float(frequency[:3].sum()),
        "n_locations": scores.shape[1],
        "n_tied_locations": int(((scores == _true_score(labels, scores)).sum(axis=1) > 1).sum()),
    }


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None
