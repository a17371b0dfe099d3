"""The report's numbers: the paper's table, Table 1, MTL against ResNet, locations, curves."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_experiment import made_experiment
from scipy.stats import spearmanr

from caffe_files.errors import InputError
from skinmtl.report.comparison import compare_lesions, compare_locations, confusion, rank_correlation
from skinmtl.report.decisions import decisions
from skinmtl.report.draw import precision_recall, thinned
from skinmtl.report.experiment import ALEXNET, ENSEMBLE, LOCATION, MTL, RESNET, read_experiment, scores_path
from skinmtl.report.paper import BUNDLED, read_paper_table
from skinmtl.report.table1 import as_text, chance_of, records, table1
from skinmtl.scores.calibration import HeadCalibration
from skinmtl.scores.calibration_file import Calibration
from skinmtl.scores.metrics import average_precision, evaluate
from skinmtl.scores.net_benefit import net_benefit, of_calling_all
from skinmtl.scores.scores_file import Scores

LESIONS, LOCATIONS = ["Nodule", "erythematous Papule", "seldom", "wart"], ["arm", "leg", "trunk"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return made_experiment(tmp_path_factory.mktemp("made") / "data", LESIONS, LOCATIONS, rare=("seldom",))


@pytest.fixture(scope="module")
def experiment(made):
    return read_experiment(made.path, made.manifest)


@pytest.fixture(scope="module")
def paper():
    return read_paper_table(BUNDLED)


def without(experiment, *missing):
    """The experiment as if these (model, fold) were not there."""
    kept = {key: scores for key, scores in experiment.scores.items() if key not in missing}
    return type(experiment)(**{**vars(experiment), "scores": kept})


class TestDecisions:
    """Decision curves of pooled folds, on calibrated probabilities where each fold has a calibration."""

    def test_are_the_net_benefit_of_the_pooled_scores(self, experiment, paper):
        table = table1(experiment, paper)
        found = decisions(experiment, table)
        assert found.models == list(table.models) and len(found.notes) == 1
        pooled = experiment.pooled(MTL, table.folds[MTL])
        for (name, positives, prevalence), curves, call_all in zip(found.lesions, found.curves, found.call_all):
            labels = pooled.lesion_labels[:, LESIONS.index(name)] != 0
            wanted = net_benefit(labels, pooled.lesion_scores[:, LESIONS.index(name)])
            assert curves[found.models.index(MTL)].tolist() == wanted.tolist()
            assert positives == labels.sum() and prevalence == pytest.approx(labels.mean())
            assert call_all == pytest.approx(of_calling_all(labels.mean()))

    def calibrate(self, experiment, folder, fold, **changes):
        scores = experiment.scores[MTL, fold]
        heads = {
            head: HeadCalibration(kind, "temperature", tuple(getattr(scores, f"{head}_names")), (0.5,) * p, (0.0,) * p)
            for head, kind, p in (("lesion", "sigmoid", len(LESIONS)), ("location", "softmax", len(LOCATIONS)))
        }
        known = {"fitted_on": "validation images", "n_images": 150, "weights": scores.protocol["weights_sha256"]}
        found = Calibration(heads, same={}, scores_sha256="", **{**known, **changes})
        path = scores_path(folder, MTL, fold).with_name("calibration.json")
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(found.record()))

    def test_are_of_calibrated_probabilities_where_each_fold_has_a_calibration(self, experiment, paper, tmp_path):
        table, of_copy = table1(experiment, paper), replace(experiment, path=tmp_path)
        folds = table.folds[MTL]
        for fold in folds[1:]:
            self.calibrate(experiment, tmp_path, fold)
        half = f"not calibrated: {len(folds) - 1} of {len(folds)} folds have a calibration.json."
        assert f"MTL, lesions and location: {half}" in decisions(of_copy, table).notes
        assert "AlexNet, lesions only; ResNet, lesions only; Ensemble, ResNet and MTL: not calibrated." in (
            decisions(of_copy, table).notes
        )
        self.calibrate(experiment, tmp_path, folds[0])
        found = decisions(of_copy, table)
        assert "MTL, lesions and location: calibrated, fitted on validation images." in found.notes
        pooled = experiment.pooled(MTL, folds)
        scores = HeadCalibration("sigmoid", "temperature", (), (0.5,), (0.0,)).apply(pooled.lesion_scores[:, :1])
        wanted = net_benefit(pooled.lesion_labels[:, 0] != 0, scores[:, 0])
        assert found.curves[0][found.models.index(MTL)] == pytest.approx(wanted)

    def test_a_calibration_of_another_net_is_refused_and_one_of_the_test_images_is_told(
        self, experiment, paper, tmp_path
    ):
        table = table1(experiment, paper)
        for fold in table.folds[MTL]:
            self.calibrate(experiment, tmp_path / "of the test images", fold, fitted_on="the test images")
            self.calibrate(experiment, tmp_path / "of another", fold, weights="another")
        told = decisions(replace(experiment, path=tmp_path / "of the test images"), table).notes
        assert any("fitted on the test images, so that its curve is too good" in note for note in told)
        with pytest.raises(InputError, match=r"calibration\.json: is of other weights than"):
            decisions(replace(experiment, path=tmp_path / "of another"), table)

    def test_scores_that_are_no_probabilities_have_none(self, experiment, paper):
        table, scores = table1(experiment, paper), dict(experiment.scores)
        for (model, fold), of_fold in experiment.scores.items():
            if of_fold.lesion_scores is not None:
                scores[model, fold] = replace(of_fold, lesion_scores=of_fold.lesion_scores + (model != MTL))
        found = decisions(replace(experiment, scores=scores), table)
        assert found.models == [MTL]
        others = "AlexNet, lesions only; ResNet, lesions only; Ensemble, ResNet and MTL"
        assert f"{others}: no probabilities; left out." in found.notes


class TestPaperTable:
    def test_the_columns_average_to_what_the_paper_prints(self, paper):
        averages = {model: round(value, 3) for model, value in paper.averages().items()}
        assert averages == {ALEXNET: 0.598, RESNET: 0.726, MTL: 0.757, ENSEMBLE: 0.761}
        assert averages == paper.map_class
        assert len(paper.lesions) == 25

    def test_names_match_whatever_their_case_and_spaces(self, paper):
        assert paper.of(MTL, " NODULE") == paper.of(MTL, "nodule") == 0.813
        assert paper.of(MTL, "erythematous\u00a0 Papule") == 0.857
        assert paper.of(MTL, "wart") is None

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("lesion,alexnet\nscar,0.5\n", "no column 'resnet'"),
            ("lesion,alexnet,resnet,mtl,ensemble\nscar,0.5,0.5,x,0.5\n", "'x' is not a number from 0 to 1"),
            ("lesion,alexnet,resnet,mtl,ensemble\nscar,.5,.5,.5,nan\n", "'nan' is not a number"),
            ("lesion,alexnet,resnet,mtl,ensemble\nscar,.5,.5,.5,.5\nSCAR,.5,.5,.5,.5\n", "'SCAR' stands there twice"),
            ("lesion,alexnet,resnet,mtl,ensemble\nscar,.5,.5,.5,.5\n", "no row 'mAP-class'"),
            ("lesion,alexnet,resnet,mtl,ensemble\nmAP-class,0,0,0,0\nmAP-image,0,0,0,0\n", "no lesions"),
        ],
    )
    def test_another_table_is_checked(self, tmp_path, text, words):
        (tmp_path / "t.csv").write_text(text)
        with pytest.raises(InputError, match=words):
            read_paper_table(tmp_path / "t.csv")


class TestTable1:
    def test_means_and_deviations_over_the_folds_and_pooled_figures(self, experiment, paper):
        table = table1(experiment, paper)
        assert table.models == (ALEXNET, RESNET, MTL, ENSEMBLE)
        for model in table.models:
            by_fold = [evaluate(experiment.scores[model, fold]) for fold in range(3)]
            pooled = evaluate(experiment.pooled(model, (0, 1, 2)))
            for row in table.rows:
                cell = row.cells[model]
                key = {"mAP-class": "map_class", "mAP-image": "map_image"}.get(row.name)
                values = [f[key] if key else f["average_precision"][row.name] for f in by_fold]
                values = [value for value in values if value is not None]
                assert cell.mean == pytest.approx(sum(values) / len(values))
                assert cell.n_folds == len(values)
                if len(values) > 1:
                    squares = sum((value - cell.mean) ** 2 for value in values)
                    assert cell.deviation == pytest.approx((squares / (len(values) - 1)) ** 0.5)
                assert cell.pooled == (pooled[key] if key else pooled["average_precision"][row.name])

    def test_a_fold_without_a_positive_has_no_figure_and_never_0(self, experiment, paper):
        row = next(row for row in table1(experiment, paper).rows if row.name == "seldom")
        for cell in row.cells.values():
            assert cell.by_fold[0] is not None
            assert (cell.by_fold[1], cell.by_fold[2]) == (None, None)
            assert (cell.n_folds, cell.deviation, cell.mean) == (1, None, cell.by_fold[0])

    def test_support_and_the_papers_numbers(self, experiment, paper, made):
        table = table1(experiment, paper)
        support = dict(zip(LESIONS, made.manifest.lesion_labels().sum(axis=0).tolist()))
        assert {row.name: row.positives for row in table.rows[:4]} == support
        numbers = {row.name: row.cells[RESNET].paper for row in table.rows}
        assert numbers == {
            "Nodule": 0.793, "erythematous Papule": 0.846, "seldom": None, "wart": None,
            "mAP-class": 0.726, "mAP-image": 0.778,
        }  # fmt: skip
        assert table.namesakes == ("Nodule", "erythematous Papule")

    @pytest.mark.parametrize(
        ("names", "is_of"), [(list, True), (lambda n: [x.upper() for x in n], True), (lambda n: n[1:], False),
                             (lambda n: [*n, "wart"], False)],
    )  # fmt: skip
    def test_the_papers_lesions_are_all_of_them_and_no_other(self, paper, names, is_of):
        assert paper.is_of(names(list(paper.lesions))) is is_of

    def test_only_figures_of_the_papers_lesions_stand_beside_its_own(self, experiment, paper):
        for has_paper, of in ((False, paper), (True, replace(paper, lesions=tuple(LESIONS)))):
            table = table1(experiment, of)
            header, lines = records(table)
            cells = [line[n] for line in lines for n, name in enumerate(header) if name.endswith("_paper")]
            assert table.has_paper is has_paper
            assert any(cell is not None for cell in cells) is has_paper
            assert as_text(table).count("paper") == (4 if has_paper else 0)

    def test_chance_is_what_random_orders_have(self, experiment, paper):
        table, random = table1(experiment, paper), np.random.RandomState(0)
        labels = experiment.pooled(MTL, (0, 1, 2)).lesion_labels
        for p, name in enumerate(LESIONS):
            column = labels[:, p][None].repeat(4000, axis=0)
            drawn = average_precision(column, random.uniform(size=column.shape)).mean()
            assert table.chance[name][1] == pytest.approx(drawn, abs=0.01)
        assert table.chance["seldom"][0] == chance_of(evaluate(experiment.scores[MTL, 0]), "seldom")
        assert table.chance["mAP-class"][1] == pytest.approx(np.mean([table.chance[name][1] for name in LESIONS]))

    def test_the_best_are_the_highest(self, experiment, paper):
        for row in table1(experiment, paper).rows:
            for best, part in ((row.best_mean, "mean"), (row.best_pooled, "pooled")):
                values = {model: getattr(cell, part) for model, cell in row.cells.items()}
                assert best == {model for model, value in values.items() if value == max(values.values())}

    def test_models_of_different_folds_are_shown_on_those_that_all_have(self, experiment, paper):
        table = table1(without(experiment, (MTL, 0), (ALEXNET, 2)), paper)
        assert set(table.folds.values()) == {(1,)}
        assert table.comparable
        assert table.n_images == 20
        same = table1(without(experiment, *[(m, f) for m in (ALEXNET, RESNET, MTL, ENSEMBLE) for f in (0, 2)]), paper)
        assert same.rows == table.rows

    def test_without_a_common_fold_each_has_its_own_and_none_is_best(self, experiment, paper):
        gone = [(ALEXNET, 0), (ALEXNET, 1), (MTL, 2)]
        table = table1(without(experiment, *gone), paper)
        assert not table.comparable
        assert table.chance == {} and "without" not in as_text(table)
        assert (table.folds[ALEXNET], table.folds[MTL], table.folds[RESNET]) == ((2,), (0, 1), (0, 1, 2))
        assert not any(row.best_mean or row.best_pooled for row in table.rows)
        assert "*" not in as_text(table)

    def test_a_model_that_is_not_there_has_no_column(self, experiment, paper):
        table = table1(without(experiment, *[(ALEXNET, fold) for fold in range(3)]), paper)
        assert table.models == (RESNET, MTL, ENSEMBLE)
        assert table.folds[MTL] == (0, 1, 2)

    def test_no_lesion_model_no_table(self, experiment, paper):
        gone = [key for key in experiment.scores if key[0] != LOCATION]
        assert table1(without(experiment, *gone), paper) is None


class TestLesionComparison:
    def test_the_gains_are_the_differences_of_the_pooled_figures(self, experiment):
        found = compare_lesions(experiment, 200, 1)
        resnet, mtl = (evaluate(experiment.pooled(model, (0, 1, 2))) for model in (RESNET, MTL))
        for gain in found.lesions:
            assert gain.resnet == resnet["average_precision"][gain.name]
            assert gain.chance == chance_of(resnet, gain.name)
            assert gain.gain.value == mtl["average_precision"][gain.name] - gain.resnet
            if gain.name == "seldom":  # fewer than ten groups have it
                assert np.isnan([gain.gain.low, gain.gain.high]).all() and gain.gain.without == "too few"
            else:
                assert gain.gain.low <= gain.gain.value <= gain.gain.high and gain.gain.without == ""
        assert found.map_class.gain.value == pytest.approx(mtl["map_class"] - resnet["map_class"])
        assert found.map_image.gain.value == pytest.approx(mtl["map_image"] - resnet["map_image"])
        assert (found.n_images, found.n_groups, found.folds) == (60, 30, (0, 1, 2))

    def test_a_model_gains_nothing_over_itself_in_any_resample(self, experiment):
        twice = without(experiment)
        twice.scores.update({(RESNET, fold): experiment.scores[MTL, fold] for fold in range(3)})
        found = compare_lesions(twice, 50, 1)
        for gain in (*found.lesions, found.map_class, found.map_image):
            assert gain.gain.value == 0 and np.isnan([gain.gain.low, gain.gain.high]).all()
            assert gain.gain.without == ("too few" if gain.name == "seldom" else "always the same")
            assert not gain.gain.excludes_zero

    def test_only_folds_that_both_have(self, experiment):
        found = compare_lesions(without(experiment, (MTL, 0), (RESNET, 2)), 20, 1)
        assert (found.folds, found.n_images) == ((1,), 20)
        assert compare_lesions(without(experiment, *[(MTL, fold) for fold in range(3)]), 20, 1) is None

    def test_a_lesion_without_a_positive_has_no_gain(self, experiment):
        found = compare_lesions(without(experiment, (MTL, 0)), 20, 1)
        seldom = found.lesions[2]
        assert (seldom.positives, seldom.undefined) == (0, 20)
        assert np.isnan([seldom.chance, seldom.resnet, seldom.gain.value, seldom.gain.low]).all()
        assert not seldom.gain.excludes_zero
        assert np.isfinite([found.map_class.gain.value, found.map_class.gain.low]).all()

    def test_the_seed_decides_the_intervals(self, experiment):
        assert compare_lesions(experiment, 50, 1) == compare_lesions(experiment, 50, 1)
        assert compare_lesions(experiment, 50, 1) != compare_lesions(experiment, 50, 2)


class TestLocations:
    def test_the_accuracies_and_their_difference(self, experiment):
        found = compare_locations(experiment, 100, 1)
        resnet, mtl = (evaluate(experiment.pooled(model, (0, 1, 2))) for model in (LOCATION, MTL))
        for name in ("top1", "top3"):
            assert found.resnet[name].value == resnet[f"location_{name}"]
            assert found.chance[name] == resnet[f"chance_location_{name}"]
            assert found.gain[name].value == pytest.approx(mtl[f"location_{name}"] - resnet[f"location_{name}"])
        assert found.gain["top1"].low <= found.gain["top1"].value <= found.gain["top1"].high
        assert (found.mtl["top3"].value, found.mtl["top3"].without) == (1, "always the same")  # of three locations

    @given(st.lists(st.tuples(st.integers(0, 3), st.lists(st.integers(0, 2), min_size=4, max_size=4)), min_size=1))
    @settings(deadline=None)
    def test_the_diagonal_of_the_confusion_matrix_is_top_1_also_with_ties(self, rows):
        labels, values = np.array([row[0] for row in rows]), np.array([row[1] for row in rows], np.float32)
        names = [str(n) for n in range(len(rows))]
        scores = Scores(names, {}, location_scores=values, location_labels=labels, location_names=["a", "b", "c", "d"])
        found = confusion(scores)
        assert found.sum(axis=1).tolist() == np.bincount(labels, minlength=4).tolist()
        assert np.trace(found) / len(rows) == pytest.approx(evaluate(scores)["location_top1"])

    def test_the_confusion_matrix_has_truth_in_rows(self):
        scores = Scores(
            ["1", "2", "3"], {}, location_labels=np.array([0, 0, 1]), location_names=["a", "b"],
            location_scores=np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]], np.float32),
        )  # fmt: skip
        assert confusion(scores).tolist() == [[1, 1], [0, 1]]


class TestRankCorrelation:
    @given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=12))
    @settings(deadline=None)
    def test_rho_is_spearmans_also_with_ties(self, pairs):
        x, y = np.array(pairs, float).T
        found = rank_correlation(x, y, 1, 1)
        if len(set(x)) == 1 or len(set(y)) == 1:
            assert np.isnan([found.rho, found.p_value]).all()
        else:
            assert found.rho == pytest.approx(spearmanr(x, y)[0])

    def test_p_is_the_share_of_all_orders_as_far_from_0(self):
        x, y = np.arange(5.0), np.array([2.0, 1, 3, 5, 4])
        rhos = [spearmanr(x, order)[0] for order in permutations(y)]
        exact = np.mean([abs(rho) >= spearmanr(x, y)[0] - 1e-12 for rho in rhos])
        assert rank_correlation(x, y, 20000, 1).p_value == pytest.approx(exact, abs=0.01)

    def test_pairs_without_a_number_do_not_count(self):
        found = rank_correlation(np.array([1, 2, 3, np.nan, 5.0]), np.array([2, 4, 6, 8, np.nan]), 10, 1)
        assert (found.n, found.rho) == (3, pytest.approx(1))

    def test_two_pairs_say_nothing(self):
        assert np.isnan(rank_correlation(np.array([1.0, 2]), np.array([1.0, 2]), 10, 1).rho)
        assert np.isnan(rank_correlation(np.array([]), np.array([]), 10, 1).rho)


class TestPrecisionRecall:
    @given(st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=1, max_size=30))
    @settings(deadline=None)
    def test_the_area_of_the_steps_is_the_average_precision(self, entries):
        labels, scores = (np.array(values) for values in zip(*entries))
        recall, precision = precision_recall(labels, scores)
        if not labels.any():
            assert len(recall) == len(precision) == 0
            return
        area = (np.diff(np.append(0, recall)) * precision).sum()
        assert area == pytest.approx(average_precision(labels[None], scores[None])[0])
        assert recall[-1] == 1

    def test_a_long_curve_is_thinned_and_keeps_its_ends(self):
        recall, precision = thinned(np.linspace(0.001, 1, 1000), np.linspace(1, 0.2, 1000), 50)
        assert len(recall) <= 50
        assert (recall[0], recall[-1], precision[0], precision[-1]) == (0.001, 1, 1, 0.2)
