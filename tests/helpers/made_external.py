"""Scores of `made_scores`'s net on another data set: five lesions, three of which the net knows by other names."""

from __future__ import annotations

import numpy as np
from made_scores import drawn_scores

from skinmtl.scores.external_file import ExternalScores

DATA = ["AK", "MEL", "MIS", "NV", "VASC"]
PAIRS = {"AK": "keratosis", "MEL": "melanoma", "MIS": "melanoma", "NV": "nevus"}
MAP = "data,model\n" + "".join(f"{data},{model}\n" for data, model in PAIRS.items())


def drawn_external(n=90, seed=3, first=0, **changes):
    """`n` images, of whom some have VASC, alone or beside others; a melanoma is MEL, MIS or both."""
    scores = drawn_scores(n, seed, first, **changes)
    random = np.random.RandomState(seed)
    keratosis, melanoma, nevus, _ = scores.lesion_labels.T
    kind = random.randint(0, 3, n)
    vascular = random.random_sample(n) < 0.2
    labels = np.stack([keratosis, melanoma & (kind != 1), melanoma & (kind != 0), nevus, vascular], axis=1)
    return ExternalScores(
        image=scores.image,
        protocol=scores.protocol,
        scores={"lesion": scores.lesion_scores, "location": scores.location_scores},
        names={"lesion": scores.lesion_names, "location": scores.location_names},
        data_labels={"lesion": labels.astype(np.uint8), "location": random.randint(0, 2, n)},
        data_names={"lesion": list(DATA), "location": ["lower", "upper"]},
    )
