"""mAPs of subgroups and their gaps: against those of the rows, and resamples that are really drawn."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from made_scores import drawn_scores
from test_bootstrap import drawn_rows
from test_subgroup_figures import two_groups

from skinmtl.data.subgroups import Subgroups
from skinmtl.scores.metrics import average_precision, evaluate
from skinmtl.scores.scores_file import Scores, write_scores
from skinmtl.scores.subgroup_figures import subgroup_figures
from skinmtl.scores.subgroup_means import MAPS


def rows_of(scores, rows):
    return Scores(
        [str(number) for number in range(len(rows))],
        {},
        lesion_scores=scores.lesion_scores[rows],
        lesion_labels=scores.lesion_labels[rows],
        lesion_names=scores.lesion_names,
    )


def means_of_rows(scores, here, elsewhere):
    """(MAPS of the first rows, their gaps), by `metrics.evaluate`; mAP-class's gap over the lesions of both."""
    one, other = (evaluate(rows_of(scores, rows)) for rows in (here, elsewhere))
    pairs = [(one["average_precision"][name], other["average_precision"][name]) for name in scores.lesion_names]
    both = [a - b for a, b in pairs if a is not None and b is not None]
    gaps = {"map_class": np.mean(both), "map_image": one["map_image"] - other["map_image"]}
    return one, gaps


def test_they_are_those_of_the_rows_and_the_gap_is_over_the_lesions_of_both():
    scores, subgroups = drawn_scores(150), two_groups(150)
    scores.lesion_labels[subgroups.members[0], 0] = 0  # nobody inside has the first lesion
    record = subgroup_figures(scores, subgroups, {}, None)["values"][0]["means"]
    inside = subgroups.members[0]
    wanted, gaps = means_of_rows(scores, np.flatnonzero(inside), np.flatnonzero(~inside))
    for name in MAPS:
        assert record[name] == pytest.approx(wanted[name]) and record["gaps"][name] == pytest.approx(gaps[name])
        assert record["chance"][name] == pytest.approx(wanted[f"chance_{name}"])
    assert (record["n_lesions"], record["n_lesions_of_gap"]) == (2, 2)
    by_image = average_precision(scores.lesion_labels[inside], scores.lesion_scores[inside])
    assert record["n_with_lesion"] == (~np.isnan(by_image)).sum()


def test_the_intervals_are_those_of_resamples_that_are_really_drawn():
    scores, subgroups = drawn_scores(200), two_groups(200)
    groups = [f"patient {row // 2:03}" for row in range(200)]
    found = subgroup_figures(scores, subgroups, {}, (groups, 60, 4, 0.9))["values"][0]["means"]
    inside = subgroups.members[0]
    drawn = {name: [] for name in MAPS}
    drawn_gaps = {name: [] for name in MAPS}
    for number in range(60):
        rows = drawn_rows(groups, 4, number)
        one, gaps = means_of_rows(scores, rows[inside[rows]], rows[~inside[rows]])
        for name in MAPS:
            drawn[name].append(one[name])
            drawn_gaps[name].append(gaps[name])
    for name in MAPS:
        assert found["intervals"][name] == pytest.approx(np.percentile(drawn[name], [5, 95]).tolist())
        assert found["gap_intervals"][name] == pytest.approx(np.percentile(drawn_gaps[name], [5, 95]).tolist())


def test_a_subgroup_without_a_lesion_has_none_never_0_and_one_of_few_groups_no_interval():
    scores = drawn_scores(120)
    few, none = np.arange(120) < 9, np.arange(120) >= 100
    scores.lesion_labels[few, 2] = 1
    scores.lesion_labels[none] = 0
    subgroups = Subgroups("sex", ("few", "none"), (few, none))
    with np.errstate(all="raise"):
        of_few, of_none = (
            record["means"] for record in subgroup_figures(scores, subgroups, {}, (scores.image, 30, 1, 0.95))["values"]
        )
    assert of_few["map_image"] is not None
    assert {*of_few["intervals"].values(), *of_few["gap_intervals"].values()} == {None}
    for part in (of_none, of_none["chance"], of_none["gaps"], of_none["chance_gaps"]):
        assert {part[name] for name in MAPS} == {None}
    assert {*of_none["intervals"].values(), *of_none["gap_intervals"].values()} == {None}


def test_a_map_class_that_loses_its_lesions_in_the_resamples_has_no_interval():
    """A lesion of one image is in 63 % of them: of three lesions that is 88 % of the lesions, of 25 nearly all."""
    scores, subgroups = drawn_scores(200), two_groups(200)
    inside = subgroups.members[0]
    scores.lesion_labels[inside, 0] = np.arange(inside.sum()) == 3
    ends = subgroup_figures(scores, subgroups, {}, (scores.image, 100, 1, 0.95))["values"][0]["means"]
    assert ends["intervals"]["map_class"] is None and ends["gap_intervals"]["map_class"] is None
    assert ends["intervals"]["map_image"] and ends["gap_intervals"]["map_image"]
    scores.lesion_labels[inside, 0] = np.arange(inside.sum()) < 4
    ends = subgroup_figures(scores, subgroups, {}, (scores.image, 100, 1, 0.95))["values"][0]["means"]
    assert ends["intervals"]["map_class"] and ends["gap_intervals"]["map_class"]


def test_the_tool_tells_them_beside_chance(tool, tmp_path):
    scores = drawn_scores(120, 1)
    write_scores(tmp_path / "s.npz", scores)
    rows = [f"{image},nevus,arm,{'f' if row < 100 else ''}" for row, image in enumerate(scores.image)]
    (tmp_path / "m.csv").write_text("\n".join(["image,lesions,location,sex", *rows]) + "\n")
    given = ("--manifest", tmp_path / "m.csv", "--subgroup-column", "sex", "--bootstrap", 40)
    done = tool("evaluate.py", tmp_path / "s.npz", *given, "--json", tmp_path / "m.json", "--csv", tmp_path / "f.csv")
    assert done.returncode == 0, done.stderr
    means = json.loads((tmp_path / "m.json").read_text())["subgroups"]["values"][0]["means"]
    start = done.stdout.index("mAP-class, by sex")
    line = next(line for line in done.stdout[start:].splitlines() if line.startswith("f "))
    low, high = means["gap_intervals"]["map_class"]
    shown = f"{means['map_class']:.3f}", f"{means['chance']['map_class']:.3f}", f"{low:+.3f} to {high:+.3f}"
    assert all(text in line for text in shown), line
    assert "no value" in done.stdout and "the gap of mAP-class is over the lesions that both have" in done.stdout
    with open(str(tmp_path / "f.csv"), newline="") as file:
        row = next(row for row in csv.DictReader(file) if row["subgroup"] and row["figure"] == "map_image")
    assert float(row["value"]) == means["map_image"] and float(row["gap"]) == means["gaps"]["map_image"]
    assert row["label"] == "" and row["images"] == "100"
