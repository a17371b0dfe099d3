"""A report says of which scores the images had been seen in training, and of which nobody knows."""

from __future__ import annotations

from dataclasses import replace

from made_experiment import made_experiment
from worked_example import UNSEEN

from skinmtl.images.resizing import RESIZING
from skinmtl.report.experiment import read_experiment
from skinmtl.report.runs import resizing_text, runs, seen_text


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


def test_scores_of_images_that_were_resized_by_another_rule_are_told_apart(tmp_path):
    made = made_experiment(tmp_path, ["cyst", "scar"], ["face", "arm"], n=12)
    experiment = read_experiment(made.path, made.manifest)
    for key, scores in experiment.scores.items():
        experiment.scores[key] = replace(scores, protocol={**scores.protocol, "resizing": "by area"})
    assert resizing_text(runs(experiment)) == []
    other = experiment.scores["resnet50_mtl", 2]
    experiment.scores["resnet50_mtl", 2] = replace(other, protocol={"resizing": RESIZING})
    del experiment.scores["resnet50_location", 0].protocol["resizing"]
    (line,) = resizing_text(runs(experiment))
    assert line.startswith("the images were resized by different rules, which moves figures a little (")
    assert (
        f"; MTL, lesions and location of fold 2: {RESIZING}; " in line
        and "; ResNet, location only of fold 0: not said);" in line
    )
