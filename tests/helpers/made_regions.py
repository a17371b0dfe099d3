"""Scores of a net that draws lesions, drawn at random, and four images whose figures are worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from worked_example import SCORES, UNSEEN

from skinmtl.scores.regions_file import REGIONS
from skinmtl.scores.scores_file import Scores

# Four images of 10 x 10 pixels. Classes: malignant scored 0.9, 0.6, 0.5, 0.2 where 1, 0, 1, 0 is true. Masks, in
# tp, fp, fn, tn: JA 1, 0.5, 0.8 and two empty ones. Boxes: IoU 1, 0.5, 0.75 and one without a true box.
BY_HAND = Scores(
    image=["1.jpg", "2.jpg", "3.jpg", "4.jpg"],
    protocol={"net": "tiny_mask_rcnn", "trained_on": UNSEEN},
    class_scores=np.array([[0.1, 0.9], [0.4, 0.6], [0.5, 0.5], [0.8, 0.2]], np.float32),
    class_labels=np.array([1, 0, 1, 0]),
    class_names=["benign", "malignant"],
    detected=np.array([True, True, True, False]),
    detection_scores=np.array([0.9, 0.8, 0.7, 0.95], np.float32),
    boxes=np.array([[0, 0, 10, 10], [0, 0, 10, 5], [0, 0, 4, 3], [1, 1, 2, 2]], np.float32),
    true_boxes=np.array([[0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 4, 4], [np.nan] * 4], np.float32),
    mask_counts=np.array([[100, 0, 0, 0], [25, 0, 25, 50], [16, 4, 0, 80], [0, 0, 0, 100]]),
    image_sizes=np.full((4, 2), 10),
)
BOTH = replace(SCORES, **{name: getattr(BY_HAND, name) for name in REGIONS})


def drawn_regions(n: int, n_classes: int = 2, seed: int = 0, steps: int = 0, without: float = 0.0) -> Scores:
    """Scores of `n` images. `steps` above 0 rounds scores to so many values, for ties; `without` is the share of images
    without a true mask."""
    random = np.random.RandomState(seed)
    sizes = random.randint(5, 40, (n, 2))
    labels = random.randint(0, n_classes, n)
    shares = random.random_sample((n, n_classes)) + np.eye(n_classes)[labels] * 0.7
    if steps:
        shares = np.floor(shares * steps) + 1
    sides = np.tile(sizes[:, ::-1], 2)
    corners = np.sort(random.random_sample((n, 2, 2)), axis=1).reshape(n, 4)
    boxes = corners * sides
    moved = np.clip(corners + random.normal(0, 0.08, (n, 4)), 0, 1).reshape(n, 2, 2)
    true = np.sort(moved, axis=1).reshape(n, 4) * sides
    counts = np.array([random.multinomial(pixels, [0.3, 0.1, 0.1, 0.5]) for pixels in sizes.prod(axis=1)])
    counts = counts.reshape(n, 4)
    unknown = random.random_sample(n) < without
    counts[unknown], true[unknown] = 0, np.nan
    detection = random.random_sample(n)
    return Scores(
        image=[f"{row}.jpg" for row in range(n)],
        protocol={},
        class_scores=(shares / shares.sum(axis=1, keepdims=True)).astype(np.float32),
        class_labels=labels,
        class_names=["benign", "malignant", "other", "fourth"][:n_classes],
        detected=random.random_sample(n) < 0.9,
        detection_scores=(np.floor(detection * steps) if steps else detection).astype(np.float32),
        boxes=boxes.astype(np.float32),
        true_boxes=true.astype(np.float32),
        mask_counts=counts,
        image_sizes=sizes,
    )


def rows_of(scores: Scores, rows: np.ndarray) -> Scores:
    """These rows of scores with regions, each under a name of its own."""
    names = ("class_scores", "class_labels", "detected", "detection_scores", "boxes", "true_boxes", "mask_counts")
    arrays = {name: getattr(scores, name)[rows] for name in (*names, "image_sizes")}
    image = [f"{number}: {scores.image[row]}" for number, row in enumerate(rows)]
    return Scores(image=image, protocol={}, class_names=scores.class_names, **arrays)
