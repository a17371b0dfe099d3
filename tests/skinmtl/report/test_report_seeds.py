"""Trainings from several seeds in the report: mean and spread, and differences that are paired by seed."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from made_experiment import made_experiment
from scipy import stats

from caffe_files.errors import InputError
from skinmtl.report.experiment import read_experiment
from skinmtl.report.paper import BUNDLED
from skinmtl.report.seeds import Spread, seed_tables
from skinmtl.report.write import Settings, write_report
from skinmtl.scores.metrics import evaluate
from skinmtl.scores.scores_file import Scores, read_scores, write_scores

LESIONS, LOCATIONS = ["cyst", "scar <b>"], ["face", "arm"]


def trained_again(made, number):
    """Scores of a further training: those of the first with other noise."""
    random = np.random.RandomState(number)
    for file in sorted(made.path.glob("fold*/*/scores.npz")):
        first = read_scores(file)
        noisy = {
            name: (values + random.uniform(size=values.shape)).astype(np.float32)
            for name, values in (("lesion_scores", first.lesion_scores), ("location_scores", first.location_scores))
            if values is not None
        }
        names = ("lesion_labels", "lesion_names", "location_labels", "location_names")
        labels = {name: getattr(first, name) for name in names}
        again = Scores(first.image, dict(first.protocol), **noisy, **labels)
        write_scores(file.parents[1] / f"seed{number}" / file.parent.name / "scores.npz", again)


@pytest.fixture
def made(tmp_path):
    made = made_experiment(tmp_path / "data", LESIONS, LOCATIONS, n=24, folds=2)
    for number in (2, 3):
        trained_again(made, number)
    return made


def of_hand(made, model, figure):
    """A figure of each training, straight from the files: the mean over the folds."""
    return [
        np.mean(
            [evaluate(read_scores(made.path / f"fold{k}" / place / model / "scores.npz"))[figure] for k in range(2)]
        )
        for place in ("", "seed2", "seed3")
    ]


def test_mean_and_spread_are_of_each_trainings_mean_over_the_folds(made):
    tables = seed_tables(read_experiment(made.path, made.manifest), 3)
    assert (tables.numbers, tables.folds, tables.left_out) == ((1, 2, 3), (0, 1), ())
    expected = of_hand(made, "resnet50_mtl", "map_class")
    spread = tables.values["resnet50_mtl", "mAP-class"]
    assert list(spread.by_seed.values()) == pytest.approx(expected)
    assert (spread.mean, spread.deviation) == pytest.approx((np.mean(expected), np.std(expected, ddof=1)))
    assert (spread.lowest, spread.highest) == (min(expected), max(expected))
    assert ("resnet50_location", "mAP-class") not in tables.values


def test_differences_are_paired_by_seed_with_students_interval(made):
    tables = seed_tables(read_experiment(made.path, made.manifest), 3)
    mtl, resnet = (np.array(of_hand(made, model, "map_image")) for model in ("resnet50_mtl", "resnet50_lesion"))
    spread = tables.differences["resnet50_mtl", "resnet50_lesion", "mAP-image"]
    assert list(spread.by_seed.values()) == pytest.approx((mtl - resnet).tolist())
    test = stats.ttest_rel(mtl, resnet)
    assert (spread.interval[0] > 0 or spread.interval[1] < 0) == (test.pvalue < 0.05)
    assert ("resnet50_location", "resnet50_mtl", "location top-1") in tables.differences


def test_the_interval_ends_where_a_paired_t_test_has_its_five_percent():
    values = [0.02, 0.05, 0.01, 0.04]
    for end in Spread(dict(enumerate(values))).interval:
        assert stats.ttest_1samp(values, end).pvalue == pytest.approx(0.05)
    alone = Spread({1: 0.5})
    assert (alone.mean, alone.deviation, alone.interval) == (0.5, None, None)
    assert Spread({1: 0.1, 2: 0.1, 3: 0.1}).interval is None  # of no width, it would say that all is known


def test_a_training_that_lacks_a_fold_is_left_out_and_named(made):
    (made.path / "fold1/seed3/resnet50_mtl/scores.npz").unlink()
    tables = seed_tables(read_experiment(made.path, made.manifest), 3)
    assert tables.left_out == ("MTL, lesions and location, training 3: has no scores of some of these folds",)
    assert set(tables.values["resnet50_mtl", "mAP-class"].by_seed) == {1, 2}
    assert set(tables.differences["resnet50_mtl", "resnet50_lesion", "mAP-class"].by_seed) == {1, 2}
    assert set(tables.values["resnet50_lesion", "mAP-class"].by_seed) == {1, 2, 3}


def test_the_report_has_the_seeds_on_its_page_in_its_text_and_as_a_file(made, tmp_path):
    settings = Settings(20, 1, BUNDLED, require_complete=True, seeds=3)
    said = write_report(made.path, made.manifest, tmp_path / "report", settings, {})
    assert "over 3 seeds" in said
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "<h2>Over 3 seeds " in page and "Differences between models, paired by seed" in page
    with open(str(tmp_path / "report" / "seeds.csv"), encoding="utf-8", newline="") as file:
        rows = {(row["figure"], row["model"], row["against"]): row for row in csv.DictReader(file)}
    row = rows["mAP-class", "resnet50_mtl", "resnet50_lesion"]
    by_seed = [float(row[f"seed{number}"]) for number in (1, 2, 3)]
    assert float(row["mean"]) == pytest.approx(np.mean(by_seed))
    assert row["low"] and row["high"]
    assert ("scar <b>", "ensemble", "") in rows and "scar &lt;b&gt;" in page


def test_trainings_beyond_those_asked_for_count_not_and_one_that_is_not_there_is_named(made):
    experiment = read_experiment(made.path, made.manifest)
    assert seed_tables(experiment, 2).numbers == (1, 2)
    with pytest.raises(InputError, match=r"no fold\*/seed4/MODEL/scores\.npz of .*; run the experiment first"):
        seed_tables(experiment, 4)


def test_of_one_training_each_there_is_no_such_section(made, tmp_path):
    assert seed_tables(read_experiment(made.path, made.manifest), 1) is None
    settings = Settings(20, 1, BUNDLED, require_complete=True)
    assert "seeds" not in write_report(made.path, made.manifest, tmp_path / "report", settings, {})
    assert not (tmp_path / "report" / "seeds.csv").exists()
    assert 'id="seeds"' not in (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
