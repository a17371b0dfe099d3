"""What helps: variants of one model against it, paired by image and by group, in words that the intervals bear out."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest
from made_experiment import made_experiment
from sklearn.metrics import average_precision_score, balanced_accuracy_score

from skinmtl.data.manifest import read_manifest
from skinmtl.report.experiment import Variants, read_experiment
from skinmtl.report.paper import BUNDLED
from skinmtl.report.seeds import seed_tables
from skinmtl.report.what_helps import SAME_FIGURES, SAME_SCORES, TOO_FEW, UNTOLD, main_rows, what_helps
from skinmtl.report.write import Settings, write_report
from skinmtl.scores.scores_file import Scores, read_scores, write_scores

LESIONS, LOCATIONS = ["cyst", "scar <b>"], ["face", "arm"]
VARIANTS = Variants("resnet50_mtl", {"balance": "rare <i> repeated", "from_scratch": "no weights", "absent": "nothing"})


def write_variant(made, name, change, folds=(0, 1), place=""):
    """Scores that are those of the base, changed: of the lesions by `change` (labels, scores), of locations not."""
    for fold in folds:
        base = read_scores(made.path / f"fold{fold}" / "resnet50_mtl" / "scores.npz")
        lesion_scores = change(base.lesion_labels, base.lesion_scores).astype(np.float32)
        rows = np.arange(len(base.image))[::-1]  # another order: rows are matched by the image's name
        fields = {"lesion_scores": lesion_scores[rows], "location_scores": base.location_scores[rows]}
        fields.update(lesion_labels=base.lesion_labels[rows], location_labels=base.location_labels[rows])
        fields.update(lesion_names=base.lesion_names, location_names=base.location_names)
        scores = Scores([base.image[row] for row in rows], dict(base.protocol), **fields)
        write_scores(made.path / f"fold{fold}" / place / name / "scores.npz", scores)


@pytest.fixture
def made(tmp_path):
    made = made_experiment(tmp_path / "data", LESIONS, LOCATIONS, n=60, folds=2)
    write_variant(made, "balance", lambda labels, scores: labels + 0.01 * scores)
    write_variant(made, "from_scratch", lambda labels, scores: -scores, folds=(1,))
    return made


def pooled(made, model, folds):
    parts = [read_scores(made.path / f"fold{fold}" / model / "scores.npz") for fold in folds]
    return [np.concatenate([getattr(part, name) for part in parts]) for name in ("lesion_labels", "lesion_scores")]


def test_each_is_held_against_the_base_on_the_folds_of_both(made):
    found = what_helps(read_experiment(made.path, made.manifest, variants=VARIANTS), 200, 1)
    base, balance, scratch = found.rows
    assert [(row.name, row.folds, row.n_images) for row in found.rows] == [
        ("resnet50_mtl", (0, 1), 60),
        ("balance", (0, 1), 60),
        ("from_scratch", (1,), 30),
    ]
    for row in (balance, scratch):
        own, theirs = (
            np.mean([average_precision_score(*column) for column in zip(*(array.T for array in pooled(made, *of)))])
            for of in ((row.name, row.folds), ("resnet50_mtl", row.folds))
        )
        assert row.figures["mAP-class"] == pytest.approx(own)
        assert row.differences["mAP-class"].value == pytest.approx(own - theirs)
        assert row.base["mAP-class"] == pytest.approx(theirs)
    labels, scores = pooled(made, "resnet50_mtl", (0, 1))
    assert base.figures["scar <b>"] == pytest.approx(average_precision_score(labels[:, 1], scores[:, 1]))
    assert found.lesions == tuple(zip(LESIONS, labels.sum(axis=0).tolist()))


def test_it_is_said_in_words_what_the_intervals_say(made):
    _, balance, scratch = what_helps(read_experiment(made.path, made.manifest, variants=VARIANTS), 200, 1).rows
    assert balance.words() == "better in mAP-class and mAP-image"
    assert scratch.words().startswith("worse in mAP-class")
    same = scratch.differences["location top-1"]  # its locations are the base's
    assert (same.value, same.without) == (0, "always the same")
    noise = np.random.RandomState(1)
    write_variant(made, "balance", lambda labels, scores: scores + 0.01 * noise.randn(*scores.shape))
    _, balance, _ = what_helps(read_experiment(made.path, made.manifest, variants=VARIANTS), 200, 1).rows
    assert balance.words() == UNTOLD


def test_what_is_missing_is_of_the_variants_their_base_and_models_that_were_begun(made):
    """Nobody has asked for the paper's other models."""
    for model in ("alexnet_lesion", "resnet50_location", "ensemble"):
        for fold in (0, 1):
            (made.path / f"fold{fold}" / model / "scores.npz").unlink()
    missing = {"from_scratch": (0,), "absent": (0, 1)}
    (made.path / "fold1/resnet50_lesion/scores.npz").unlink()
    found = read_experiment(made.path, made.manifest, variants=VARIANTS).missing()
    assert found == {**missing, "resnet50_lesion": (1,), "ensemble": (0, 1)}
    (made.path / "fold0/resnet50_lesion/scores.npz").unlink()
    assert read_experiment(made.path, made.manifest, variants=VARIANTS).missing() == missing
    of_the_paper = read_experiment(made.path, made.manifest).missing()
    assert set(of_the_paper) == {"alexnet_lesion", "resnet50_lesion", "resnet50_location", "ensemble"}


@pytest.mark.parametrize(("times", "words"), [(1, SAME_SCORES), (2, SAME_FIGURES)])
def test_a_variant_that_changed_nothing_is_told_so(made, times, words):
    write_variant(made, "balance", lambda labels, scores: times * scores)
    _, balance, _ = what_helps(read_experiment(made.path, made.manifest, variants=VARIANTS), 50, 1).rows
    assert balance.words() == words


def test_of_few_patients_nothing_is_better_or_worse(made):
    rows = [replace(row, group=f"patient {number % 9}") for number, row in enumerate(made.manifest.rows)]
    (made.path / "folds.csv").unlink()  # each group is in every fold
    found = what_helps(read_experiment(made.path, replace(made.manifest, rows=rows), variants=VARIANTS), 50, 1)
    assert [row.words() for row in found.rows[1:]] == [TOO_FEW, TOO_FEW]
    assert all(each.without == "too few" for row in found.rows for each in row.differences.values())
    assert "too few" in main_rows(found)[1][3] and "[" not in main_rows(found)[1][3]


def test_intervals_are_of_whole_groups_drawn_by_hand(made):
    experiment = read_experiment(made.path, made.manifest, variants=VARIANTS)
    scratch = what_helps(experiment, 300, 5).rows[2]
    labels, low = pooled(made, "resnet50_mtl", (1,))
    images = np.concatenate([read_scores(made.path / "fold1/resnet50_mtl/scores.npz").image])
    names, group = np.unique(experiment.groups(images), return_inverse=True)
    drawn = []
    for number in range(300):
        picked = np.random.RandomState([5, number]).randint(0, len(names), len(names))
        rows = np.concatenate([np.flatnonzero(group == each) for each in picked])
        aps = [
            [average_precision_score(labels[rows, p], scores[rows, p]) for p in range(2) if labels[rows, p].any()]
            for scores in (-low, low)
        ]
        drawn.append(np.mean(aps[0]) - np.mean(aps[1]))
    found = scratch.differences["mAP-class"]
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(drawn, [2.5, 97.5])), abs=1e-6)


def test_where_each_image_has_one_lesion_balanced_accuracy_is_compared_too(tmp_path):
    made = made_experiment(tmp_path, ["a", "b", "c"], LOCATIONS, n=40, folds=2)
    for file in made.path.glob("fold*/*/scores.npz"):
        if file.parent.name != "resnet50_mtl":
            file.unlink()
    with open(str(made.folder / "manifest.csv"), encoding="utf-8", newline="") as file:
        records = list(csv.DictReader(file))
    for record in records:
        record["lesions"] = record["lesions"].partition(";")[0]
    with open(str(made.folder / "manifest.csv"), "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, records[0])
        writer.writeheader()
        writer.writerows(records)
    made.manifest = read_manifest(made.folder / "manifest.csv")
    one = {row.image: row.lesions[0] for row in made.manifest.rows}
    for fold in range(2):
        path = made.path / f"fold{fold}" / "resnet50_mtl" / "scores.npz"
        base = read_scores(path)
        labels = np.array([[name == one[image] for name in base.lesion_names] for image in base.image], np.uint8)
        fields = {name: getattr(base, name) for name in ("location_scores", "location_labels", "location_names")}
        scores = Scores(base.image, {}, base.lesion_scores, labels, base.lesion_names, **fields)
        write_scores(path, scores)
    write_variant(made, "balance", lambda labels, scores: 0.2 * labels + scores)
    found = what_helps(read_experiment(made.path, made.manifest, variants=VARIANTS), 50, 1)
    assert found.main == ("mAP-class", "mAP-image", "balanced accuracy", "location top-1")
    values = [
        balanced_accuracy_score(labels.argmax(axis=1), scores.argmax(axis=1))
        for labels, scores in (pooled(made, model, (0, 1)) for model in ("resnet50_mtl", "balance"))
    ]
    row = found.rows[1]
    assert [row.base["balanced accuracy"], row.figures["balanced accuracy"]] == pytest.approx(values)
    difference = row.differences["balanced accuracy"]
    assert difference.value == pytest.approx(values[1] - values[0])
    assert difference.low <= difference.value <= difference.high


def test_the_report_has_it_on_its_page_in_its_text_and_as_a_file(made, tmp_path):
    settings = Settings(50, 1, BUNDLED, require_complete=False, variants=VARIANTS)
    said = write_report(made.path, made.manifest, tmp_path / "report", settings, {})
    assert "what helps, against MTL" in said
    assert "missing: no scores of from_scratch on fold 0 (of folds 0, 1)" in said
    assert "missing: no scores of absent on any of the 2 folds" in said
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "<h2>What helps " in page and "balance: rare &lt;i&gt; repeated." in page
    with open(str(tmp_path / "report" / "what_helps.csv"), encoding="utf-8", newline="") as file:
        rows = {(row["variant"], row["figure"]): row for row in csv.DictReader(file)}
    row = rows["balance", "mAP-class"]
    assert float(row["value"]) - float(row["base"]) == pytest.approx(float(row["difference"]))
    assert float(row["low"]) <= float(row["difference"]) <= float(row["high"])
    assert rows["resnet50_mtl", "mAP-class"]["difference"] == ""
    assert ("absent", "mAP-class") not in rows and ("from_scratch", "scar <b>") in rows
    with open(str(tmp_path / "report" / "runs.csv"), encoding="utf-8", newline="") as file:
        assert "balance" in {row["model"] for row in csv.DictReader(file)}


def test_without_variants_there_is_no_such_section_and_other_folders_are_let_be(made, tmp_path):
    settings = Settings(20, 1, BUNDLED, require_complete=False)
    assert "what helps" not in write_report(made.path, made.manifest, tmp_path / "report", settings, {})
    assert 'id="helps"' not in (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert not (tmp_path / "report" / "what_helps.csv").exists()


def test_over_several_seeds_each_variant_is_paired_with_its_base(made):
    for name in ("balance", "resnet50_mtl"):
        write_variant(made, name, lambda labels, scores: scores + 0.1 * labels, place="seed2")
    experiment = read_experiment(made.path, made.manifest, variants=Variants("resnet50_mtl", {"balance": "more"}))
    tables = seed_tables(experiment, 2)
    assert ("balance", "resnet50_mtl", "mAP-class") in tables.differences
    assert ("balance", "resnet50_lesion", "mAP-class") not in tables.differences
    assert tables.differences["balance", "resnet50_mtl", "mAP-class"].by_seed[2] == 0


@pytest.mark.parametrize(
    "flags, words",
    [
        (("--base", "resnet50_mtl"), "--base and --variant go together"),
        (("--variant", "a=b"), "--base and --variant go together"),
        (("--base", "resnet50_mtl", "--variant", "resnet50_lesion=b"), "that is no model's"),
        (("--base", "resnet50_mtl", "--variant", "../x=b"), "that is no model's"),
        (("--base", "ensemble", "--variant", "a=b"), "invalid choice"),
    ],
)
def test_flags_that_do_not_go_together(tool, made, flags, words):
    done = tool("report.py", "--experiment", made.path, "--manifest", made.folder / "manifest.csv", *flags)
    assert done.returncode == 2 and words in done.stderr


def test_by_the_tool(tool, made, tmp_path):
    words = ["--experiment", made.path, "--manifest", made.folder / "manifest.csv", "--out", tmp_path / "report"]
    done = tool("report.py", *words, "--bootstrap", 20, "--base", "resnet50_mtl", "--variant", "balance=rare repeated")
    assert done.returncode == 0, done.stderr
    assert "what helps, against MTL" in done.stdout and (tmp_path / "report" / "what_helps.csv").exists()
