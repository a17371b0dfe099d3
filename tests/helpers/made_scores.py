"""Scores of a net that looks, more or less: drawn labels with probabilities that go with them."""

from __future__ import annotations

import numpy as np

from skinmtl.scores.scores_file import Scores

LESIONS = ["keratosis", "melanoma", "nevus", "scar"]
LOCATIONS = ["arm", "face", "leg"]
OFFSETS = np.array([-0.5, 0.0, 0.5, -9.0])  # no image has a scar
WEIGHTS_SHA256 = "a" * 64


def drawn_scores(n=120, seed=0, first=0, sharp=2.5, subset="test", **protocol):
    """`n` images IMAGE.jpg from number `first` on; probabilities are right where `sharp` is 1, and too sure above."""
    random = np.random.RandomState(seed)
    logits = 1.8 * random.standard_normal((n, len(LESIONS))) - 1 + OFFSETS
    lesions = random.random_sample(logits.shape) < 1 / (1 + np.exp(-logits))
    places = random.randint(0, len(LOCATIONS), n)
    evidence = 1.5 * np.eye(len(LOCATIONS))[places] + random.standard_normal((n, len(LOCATIONS)))
    exponents = np.exp(1.5 * sharp * evidence)
    seen = {"images": n, "trained": 0, "watched": n if subset == "validation" else 0, "same_name": 0, "same_group": 0}
    return Scores(
        image=[f"{number}.jpg" for number in range(first, first + n)],
        protocol={
            **{"net": "resnet50_mtl", "weights_sha256": WEIGHTS_SHA256, "short_side": 256, "crop": 224, "crops": 10},
            **{"mean": [103.0, 116.0, 123.0], "arguments": {"fold": 0, "subset": subset, "manifest": "m.csv"}},
            "trained_on": {**seen, "compared": "contents and names", "starting_weights": "none"},
            **protocol,
        },
        lesion_scores=(1 / (1 + np.exp(-sharp * logits))).astype(np.float32),
        lesion_labels=lesions.astype(np.uint8),
        lesion_names=list(LESIONS),
        location_scores=(exponents / exponents.sum(axis=1, keepdims=True)).astype(np.float32),
        location_labels=places,
        location_names=list(LOCATIONS),
    )
