"""Four images whose figures are worked out by hand, with ties and a lesion that no image has."""

from __future__ import annotations

import numpy as np

from skinmtl.scores.scores_file import Scores

# what a protocol says of images that the net has not seen in its training
UNSEEN = {
    **{"images": 4, "trained": 0, "watched": 0, "same_name": 0, "same_group": 0},
    **{"compared": "contents and names", "starting_weights": "none"},
}
SCORES = Scores(
    image=["1.jpg", "2.jpg", "3.jpg", "4.jpg"],
    protocol={"net": "resnet50_mtl", "crops": 10, "trained_on": UNSEEN},
    lesion_scores=np.array([[0.9, 0.1, 0.2], [0.8, 0.7, 0.1], [0.8, 0.9, 0.1], [0.5, 0.5, 0.9]], np.float32),
    lesion_labels=np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 0]], np.uint8),
    lesion_names=["cyst", "erosion/ulcer/atrophy", "scar"],
    location_scores=np.array([[4, 3, 2, 1], [4, 3, 2, 1], [4, 4, 2, 1], [4, 3, 2, 1]], np.float32),
    location_labels=np.array([0, 2, 0, 3]),
    location_names=["face", "arm", "leg", "trunk"],
)
