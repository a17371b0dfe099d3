"""An experiment's folder with made-up scores of nets that draw lesions, with real photographs and masks."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
from made_mask_sets import HEIGHT, WIDTH, encoded, lesion, photograph, png_mask, put

from skinmtl.data.folds import write_folds
from skinmtl.data.manifest import read_manifest
from skinmtl.scores.scores_file import Scores, write_scores

CLASSES = ["benign", "malignant"]
# variant -> (noise of its class scores, pixels that its masks are off); None: without that head
VARIANTS = {
    "full": (0.3, 1),
    "cross_entropy": (0.9, 4),
    "focal": (0.6, 3),
    "jaccard": (0.9, 2),
    "class_alone": (0.5, None),
    "mask_alone": (None, 1),
}


def made_mask_experiment(folder, n=24, folds=2, variants=VARIANTS, seed=1, missed=(5,)):
    """Writes manifest.csv, images/, masks/ and experiment/ in `folder`; images of `missed` are not detected."""
    labels = np.arange(n) % 3 == 0
    rows = "".join(f"images/{i}.jpg,{CLASSES[int(labels[i])]},patient {i // 2},masks/{i}.png\n" for i in range(n))
    put(folder, {"manifest.csv": f"image,lesions,group,mask\n{rows}"})
    put(folder, {f"images/{i}.jpg": encoded(".jpg", photograph(i)) for i in range(n)})
    put(folder, {f"masks/{i}.png": png_mask(i) for i in range(n)})
    manifest = read_manifest(folder / "manifest.csv")
    fold_of = np.arange(n) // 2 % folds
    experiment = folder / "experiment"
    write_folds(experiment / "folds.csv", manifest, fold_of)
    random = np.random.RandomState(seed)
    for name, (noise, off) in variants.items():
        for fold in range(folds):
            images = np.flatnonzero(fold_of == fold)
            file = experiment / f"fold{fold}" / name / "scores.npz"
            write_scores(file, scores_of(manifest, images, labels, noise, off, random, missed))
            if off is not None:
                for i in images:
                    path = file.with_name("scores_masks") / f"images/{i}.jpg.png"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    cv2.imwrite(str(path), np.where(answer(i, off), 255, 0).astype(np.uint8))
    return SimpleNamespace(folder=folder, path=experiment, manifest=manifest, fold_of=fold_of, labels=labels)


def answer(i, off):
    """The mask that a net gives: the true one, moved."""
    return np.roll(lesion(i), off + i % 5, axis=1)


def box_of(mask):
    y, x = np.nonzero(mask)
    return [x.min(), y.min(), x.max() + 1, y.max() + 1]


def scores_of(manifest, images, labels, noise, off, random, missed):
    fields = {
        "detected": np.array([i not in missed for i in images]),
        "detection_scores": random.uniform(0.2, 1, len(images)).astype(np.float32),
        "boxes": np.array([box_of(answer(i, off or 0)) for i in images], np.float32),
        "true_boxes": np.array([box_of(lesion(i)) for i in images], np.float32),
        "image_sizes": np.tile([HEIGHT, WIDTH], (len(images), 1)),
    }
    if noise is not None:
        share = np.clip(labels[images] * 0.5 + 0.25 + noise * random.uniform(-0.5, 0.5, len(images)), 0, 1)
        fields.update(
            class_scores=np.stack([1 - share, share], axis=1).astype(np.float32),
            class_labels=labels[images].astype(np.int64),
            class_names=CLASSES,
        )
    if off is not None:
        pairs = [(answer(i, off), lesion(i)) for i in images]
        fields["mask_counts"] = np.array(
            [[(a & t).sum(), (a & ~t).sum(), (~a & t).sum(), (~a & ~t).sum()] for a, t in pairs]
        )
    return Scores([manifest.rows[i].image for i in images], {"net": "made"}, **fields)
