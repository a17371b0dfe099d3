"""An experiment's folder with made-up scores, for tests of what is made from one."""

from __future__ import annotations

import csv
import json
from types import SimpleNamespace

import cv2
import numpy as np

from skinmtl.data.folds import write_folds
from skinmtl.data.manifest import read_manifest
from skinmtl.scores.scores_file import Scores, write_scores

MODELS = ("alexnet_lesion", "resnet50_lesion", "resnet50_location", "resnet50_mtl", "ensemble")


def made_experiment(folder, lesions, locations, n=60, folds=3, seed=1, rare=()):
    """Writes manifest.csv and experiment/ in `folder`: `n` images in groups of two, whole groups in a fold.

    Images of fold 0 alone have the lesions in `rare`. Scores are the labels with noise, so that models differ.
    """
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.RandomState(seed)
    fold_of = np.arange(n) // 2 % folds
    labels = random.uniform(size=(n, len(lesions))) < 0.35
    for p, name in enumerate(lesions):
        labels[:, p] &= (fold_of == 0) | (name not in rare)
    labels[~labels.any(axis=1), 0] = True
    at = random.randint(0, len(locations), n)
    with open(str(folder / "manifest.csv"), "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "lesions", "location", "group"])
        for i in range(n):
            names = ";".join(name for name, there in zip(lesions, labels[i]) if there)
            writer.writerow([f"{i}.jpg", names, locations[at[i]], f"patient {i // 2}"])
    (folder / "lesions.txt").write_text("\n".join(lesions) + "\n", encoding="utf-8")
    (folder / "locations.txt").write_text("\n".join(locations) + "\n", encoding="utf-8")
    manifest = read_manifest(folder / "manifest.csv")
    experiment = folder / "experiment"
    write_folds(experiment / "folds.csv", manifest, fold_of)
    made = SimpleNamespace(folder=folder, path=experiment, manifest=manifest, fold_of=fold_of)
    for fold in range(folds):
        of_fold = {model: _scores(manifest, fold_of == fold, model, fold, random) for model in MODELS[:-1]}
        pair = (of_fold["resnet50_lesion"], of_fold["resnet50_mtl"])
        best = np.maximum(*(scores.lesion_scores for scores in pair))
        of_fold["ensemble"] = Scores(
            pair[0].image, {"rule": "maximum"}, best, pair[0].lesion_labels, pair[0].lesion_names
        )
        for model, scores in of_fold.items():
            write_scores(experiment / f"fold{fold}" / model / "scores.npz", scores)
            if model != "ensemble":
                _write_run(experiment / f"fold{fold}" / model / "run")
    return made


def _scores(manifest, rows, model, fold, random):
    lesions, locations = manifest.lesion_labels()[rows], manifest.location_labels()[rows]
    heads = {}
    if model != "resnet50_location":
        heads["lesion_scores"] = ((lesions * 0.6 + random.uniform(size=lesions.shape)) / 1.6).astype(np.float32)
        heads.update(lesion_labels=lesions, lesion_names=list(manifest.lesion_names))
    if model in ("resnet50_location", "resnet50_mtl"):
        one_hot = np.eye(len(manifest.location_names))[locations]
        heads["location_scores"] = ((one_hot * 0.7 + random.uniform(size=one_hot.shape)) / 1.7).astype(np.float32)
        heads.update(location_labels=locations, location_names=list(manifest.location_names))
    images = [row.image for row, is_there in zip(manifest.rows, rows) if is_there]
    return Scores(images, {"net": model, "weights_sha256": f"{MODELS.index(model)}{fold}" * 32}, **heads)


def _write_run(folder):
    folder.mkdir()
    (folder / "args.json").write_text(json.dumps({"arguments": {"seed": 17, "base_lr": 0.001}}))
    (folder / "log.csv").write_text("iteration,lr,loss\n50,0.001,2.5\n100,0.0001,1.5\n")
    cv2.imwrite(str(folder / "curves.png"), np.full((6, 9, 3), 200, np.uint8))
