"""A report says of which scores the images had been seen in training, and of which nobody knows."""

from __future__ import annotations

from dataclasses import replace

from made_experiment import made_experiment
from worked_example import UNSEEN

from skinmtl.report.experiment import read_experiment
from skinmtl.report.runs import runs, seen_text


def test_each_mark_is_told_once_with_its_models_and_folds(tmp_path):
    made = made_experiment(tmp_path, ["cyst", "scar"], ["face", "arm"], n=12)
    experiment = read_experiment(made.path, made.manifest)
    for (model, fold), scores in experiment.scores.items():
        record = {**UNSEEN, "images": 4, "trained": 3 if fold == 1 else 0}
        known = model != "alexnet_lesion"
        protocol = {**scores.protocol, "trained_on": record} if known else {}
        experiment.scores[model, fold] = replace(scores, protocol=protocol)
    assert seen_text(runs(experiment)) == [
        "whether these images were trained on is not recorded (alexnet_lesion, folds 0, 1, 2)",
        "3 of the 4 images were trained on (resnet50_lesion, fold 1; resnet50_mtl, fold 1; resnet50_location, fold 1)",
    ]
