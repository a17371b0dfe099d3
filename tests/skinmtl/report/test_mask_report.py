"""The report of an experiment with mask nets: studies against a slow reference, outlines, curves, what is refused."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from made_mask_experiment import VARIANTS, made_mask_experiment
from sklearn.metrics import precision_recall_curve, roc_auc_score, roc_curve

from caffe_files.errors import InputError
from skinmtl.data.manifest import read_manifest
from skinmtl.figures.class_curves import curve_points
from skinmtl.report.mask_experiment import FULL, has_mask_nets, read_mask_experiment
from skinmtl.report.mask_page import as_text
from skinmtl.report.outlines import EACH, Folders, chosen, pictures, ranking
from skinmtl.report.studies import STUDIES, results
from skinmtl.scores.scores_file import read_scores


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return made_mask_experiment(tmp_path_factory.mktemp("masks"))


@pytest.fixture(scope="module")
def experiment(made):
    return read_mask_experiment(made.path, made.manifest)


@pytest.fixture(scope="module")
def found(experiment):
    return results(experiment, 200, 3)


def column(found, variant):
    return next(each for each in found.columns if each.variant == variant)


def test_variants_come_in_the_order_of_the_studies(experiment):
    assert experiment.variants == tuple(VARIANTS)
    assert experiment.missing() == {}
    assert has_mask_nets(experiment.path)


def test_figures_are_those_of_all_images_together(made, experiment, found):
    assert found.positive == "malignant"
    scores = [read_scores(made.path / f"fold{fold}" / FULL / "scores.npz") for fold in (0, 1)]
    labels = np.concatenate([each.class_labels for each in scores])
    shares = np.concatenate([each.class_scores[:, 1] for each in scores])
    counts = np.concatenate([each.mask_counts for each in scores])
    figures = column(found, FULL).figures
    assert figures["class_auc"].value == pytest.approx(roc_auc_score(labels == 1, shares))
    assert figures["class_ac"].value == pytest.approx(((shares > 0.5) == (labels == 1)).mean())
    assert figures["mask_ja"].value == pytest.approx((counts[:, 0] / counts[:, :3].sum(axis=1)).mean())
    assert figures["detected"].value == pytest.approx(23 / 24)
    assert "mask_ja" not in column(found, "class_alone").figures
    assert "class_ac" not in column(found, "mask_alone").figures


def test_intervals_of_differences_are_paired_over_groups(made, experiment, found):
    """Held against a loop that repeats the rows of each group that is drawn, with the package's own draws."""
    comparison = next(each for each in found.comparisons if each.variant == FULL and each.against == "cross_entropy")
    by_image = {}
    for variant in (FULL, "cross_entropy"):
        pooled = experiment.pooled(variant, (0, 1))
        jaccard = pooled.mask_counts[:, 0] / pooled.mask_counts[:, :3].sum(axis=1)
        by_image[variant] = dict(zip(pooled.image, jaccard))
    groups = {row.image: row.group for row in made.manifest.rows}
    names = sorted(set(groups.values()))
    random, drawn = np.random.RandomState(), []
    for number in range(200):
        random.seed([3, number])
        taken = [names[g] for g in random.randint(0, len(names), len(names))]
        images = [image for group in taken for image in groups if groups[image] == group]
        drawn.append(np.mean([by_image[FULL][i] - by_image["cross_entropy"][i] for i in images]))
    low, high = np.percentile(drawn, [2.5, 97.5])
    measured = comparison.differences["mask_ja"]
    assert (measured.low, measured.high) == pytest.approx((low, high))
    assert measured.value == pytest.approx(
        np.mean([by_image[FULL][i] - by_image["cross_entropy"][i] for i in by_image[FULL]])
    )
    assert measured.excludes_zero  # its masks are three pixels nearer


@pytest.mark.parametrize("n_groups", [1, 4, 9])
def test_of_few_groups_no_difference_has_an_interval(made, n_groups):
    few = [replace(row, group=f"p{number % n_groups}") for number, row in enumerate(made.manifest.rows)]
    experiment = read_mask_experiment(made.path, made.manifest)
    found = results(replace(experiment, manifest=replace(made.manifest, rows=few)), 20, 1)
    for each in (*(c.figures for c in found.columns), *(c.differences for c in found.comparisons)):
        assert all(np.isnan([value.low, value.high]).all() for value in each.values())
    assert " (too few)" in as_text(found) and "[" not in as_text(found)


def test_a_positive_class_of_few_groups_has_no_interval_where_masks_have(found):
    """Eight of twelve groups have a malignant image."""
    figures = column(found, FULL).figures
    assert figures["class_auc"].without == "too few" and figures["mask_ja"].without == ""


def test_each_study_has_its_pairs_and_figures_that_both_have(found):
    assert [(each.study, each.variant, each.against) for each in found.comparisons] == [
        (study.name, *pair) for study in STUDIES for pair in study.pairs
    ]
    alone = {each.against: set(each.differences) for each in found.comparisons if each.study == "tasks"}
    assert not any(name.startswith("mask") for name in alone["class_alone"])
    assert not any(name.startswith("class") for name in alone["mask_alone"])


def test_a_variant_that_lacks_a_fold_is_compared_on_the_others(made, tmp_path):
    copy = tmp_path / "experiment"
    shutil.copytree(str(made.path), str(copy))
    shutil.rmtree(str(copy / "fold1" / "focal"))
    experiment = read_mask_experiment(copy, made.manifest)
    assert experiment.missing() == {"focal": (1,)}
    focal = next(each for each in results(experiment, 20, 1).comparisons if each.variant == "focal")
    assert (focal.folds, focal.n_images) == ((0,), 12)


def test_best_median_worst_and_missed_are_what_sorting_says(experiment):
    ranked = ranking(experiment, FULL)
    of = chosen(ranked)
    detected = sorted((each.agreement for each in ranked if each.detected), reverse=True)
    assert [each.agreement for each in of["best"]] == detected[:EACH]
    assert [each.agreement for each in of["worst"]] == detected[: -EACH - 1 : -1]
    middle = len(detected) // 2
    assert [each.agreement for each in of["median"]] == detected[middle - EACH // 2 : middle + EACH // 2]
    assert [each.image for each in of["missed"]] == ["images/5.jpg"]


@pytest.mark.parametrize("n", range(14))
def test_no_image_is_shown_twice_however_few_there_are(experiment, n):
    shown = [each for of in chosen(ranking(experiment, FULL)[:n]).values() for each in of]
    assert len(set(shown)) == len(shown) <= n
    assert len(shown) == n or n > 3 * EACH


def test_outlines_are_drawn_on_the_photographs(made, experiment):
    shown = pictures(experiment, FULL, Folders(made.folder, made.folder))
    assert [each.kind for each in shown].count("best") == EACH
    assert all(each.jpeg.startswith(b"\xff\xd8") for each in shown)
    assert "said" in shown[0].said
    assert {each.image: each.group for each in shown}.items() <= {
        row.image: row.group for row in made.manifest.rows
    }.items()
    alone = pictures(experiment, "mask_alone", Folders(made.folder, made.folder))
    assert alone[0].said.startswith("score ")


@pytest.mark.parametrize("seed", range(4))
def test_curves_are_those_of_scikit_learn(seed):
    random = np.random.RandomState(seed)
    positive = random.uniform(size=40) < 0.3
    scores = random.randint(0, 12, 40) / 12  # with ties
    recall, precision, false, true = curve_points(positive, scores)
    wanted_precision, wanted_recall, _ = precision_recall_curve(positive, scores)
    steps = {(round(r, 9), round(p, 9)) for r, p in zip(wanted_recall, wanted_precision)}
    assert {(round(r, 9), round(p, 9)) for r, p in zip(recall, precision)} <= steps
    wanted_false, wanted_true, _ = roc_curve(positive, scores, drop_intermediate=False)
    np.testing.assert_allclose(false, wanted_false)
    np.testing.assert_allclose(true, wanted_true)
    assert all(not len(each) for each in curve_points(np.zeros(3, bool), np.arange(3)))


def test_the_tool_writes_the_page_and_its_tables(tool, made, tmp_path):
    out = tmp_path / "report"
    command = ("report.py", "--experiment", made.path, "--manifest", made.folder / "manifest.csv", "--bootstrap", 50)
    done = tool(*command, "--out", out, "--images", made.folder, "--fail-if-incomplete")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].endswith(" mask DI")
    page = (out / "index.html").read_text(encoding="utf-8")
    for words in (
        "fits no confusion matrix",
        "JA 0.849",
        "Nothing detected",
        "all tasks, both losses less class alone",
    ):
        assert words.replace("JA 0.849", "mask JA 0.849") in page
    assert page.count('src="data:image/jpeg;base64,') == 13
    with open(str(out / "studies.csv"), encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["study"] for row in rows} == {"losses", "tasks"}
    with open(str(out / "figures_folds.csv"), encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == 2 * len(VARIANTS)
    assert len(list((out / "outlines").iterdir())) == 13
    assert json.loads((out / "report.json").read_text())["missing"] == []
    assert "made without the images" in _page(tool, command, tmp_path / "other")


def _page(tool, command, out):
    assert tool(*command, "--out", out).returncode == 0
    return (out / "index.html").read_text(encoding="utf-8")


def test_what_is_refused(tool, refused, made, tmp_path):
    copy = tmp_path / "experiment"
    shutil.copytree(str(made.path), str(copy))
    command = ("report.py", "--experiment", copy, "--manifest", made.folder / "manifest.csv", "--bootstrap", 10)
    (copy / "fold0" / FULL / "scores_masks" / "images" / "0.jpg.png").unlink()
    for number in range(24):
        (copy / "fold0" / FULL / "scores_masks" / "images" / f"{number}.jpg.png").unlink(missing_ok=True)
    refused(tool(*command, "--images", made.folder), "scores_masks/images", "score the images again")
    refused(tool(*command, "--seeds", 3), "--seeds", "of one training")
    shutil.rmtree(str(copy / "fold1" / "jaccard"))
    refused(tool(*command, "--fail-if-incomplete"), "no scores of jaccard on fold 1")
    (tmp_path / "manifest.csv").write_text((made.folder / "manifest.csv").read_text().replace("malignant", "melanoma"))
    with pytest.raises(InputError, match=r"is 'malignant', in .* it is 'melanoma'"):
        read_mask_experiment(copy, read_manifest(tmp_path / "manifest.csv"))
    usage = tool(*command, "--masks", made.folder)
    assert (usage.returncode, "--masks goes with --images" in usage.stderr) == (2, True)
