"""What is known of the figures that Song et al. (2020) publish, to stand beside one's own.

The paper's full text was not at hand: these are the figures that a public review of it quotes (Sik-Ho Tsang, Medium,
2022); its tables of losses and of tasks are pictures there. None of them is of data that a run of this package has.
"""

from __future__ import annotations

from typing import NamedTuple


class Published(NamedTuple):
    """What was trained and tested, and figure (a name of `scores.region_metrics`) -> value."""

    what: str
    figures: dict[str, float]


PUBLISHED = (
    Published(
        "classification, ISIC 2016 test set (379 images)",
        {"class_ac": 0.891, "class_se": 0.996, "class_sp": 0.723, "class_ap": 0.815},
    ),
    Published(
        "segmentation, ResNet-101 from COCO, batch 2 x 2, presumably the ISIC 2017 test set (600 images)",
        {"mask_ja": 0.849, "mask_di": 0.911, "mask_se": 0.888},
    ),
    Published(
        "classification, ResNet-50 from COCO, the smaller batch",
        {"class_ac": 0.851, "class_auc": 0.776, "class_ap": 0.820},
    ),
    Published(
        "classification, ResNet-50 from COCO, batch 2 x 2",
        {"class_ac": 0.905, "class_auc": 0.708, "class_ap": 0.806},
    ),
)
NOTES = (
    "The classification triple fits no confusion matrix: of 75 melanomas and 304 benign images none has AC 0.891, SE "
    "0.996 and SP 0.723 together (they would need 61.5 % positives), whichever class is positive. A reproduction "
    "cannot be held to it.",
    "AP 0.82 beside AUC 0.78 is far above what a ranking of 75 positives among 379 gives (about 0.50), so that this AP "
    "is probably another one, such as matterport's over boxes.",
    "Of the losses the review says in words alone: focal, Jaccard and both are above cross-entropy in JA, DI and SE, "
    "and both are best in classification; of the tasks: all together are better than one alone.",
    "The paper trained on 12,666 benign and 1,084 malignant images, which may contain images of both test sets.",
)
