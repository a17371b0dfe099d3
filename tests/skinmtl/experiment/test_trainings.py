"""What is told of a training while it runs: the lines that it wrote since the last look, and none of before."""

from __future__ import annotations

import json
import os

import pytest

from skinmtl.experiment.progress import seconds_text
from skinmtl.experiment.results import figures_table
from skinmtl.experiment.trainings import Training
from skinmtl.training.log_file import append_row, write_rows

TEST = "test at iteration 50 of 100: error 0.4 (the best so far)"
RATE = "at iteration 50: learning rate 0.01 -> 0.001: the error is at a plateau"


@pytest.fixture
def training(tmp_path):
    """A run folder and its log, and what watches them."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "args.json").write_text(
        json.dumps({"settings": {"batch_size": 10, "iter_size": 2, "max_iter": 400}, "sha256": {}})
    )
    log = tmp_path / "train.log"

    def write(*lines, end="\n"):
        with open(str(log), "a") as file:
            file.write("\n".join(lines) + end)

    def begin():
        return Training(tmp_path / "run", log)

    write.log, write.csv, write.begin = log, tmp_path / "run" / "log.csv", begin
    return write


def test_tests_and_changes_of_the_rate_are_news_and_told_once(training):
    watched = training.begin()
    assert watched.news() == []
    training("images: 5 to train on", TEST, "at iteration 60 of 100: training loss lesion 2", RATE)
    assert watched.news() == [TEST, RATE]
    assert watched.news() == []
    compared = "best.caffemodel: error 0.4 at iteration 50; final.caffemodel: error 0.5 at iteration 100"
    training(TEST.replace("50", "100"), compared)
    assert watched.news() == [TEST.replace("50", "100"), compared]


def test_a_line_that_is_being_written_waits(training):
    watched = training.begin()
    training(TEST[:20], end="")
    assert watched.news() == []
    training(TEST[20:])
    assert watched.news() == [TEST]


def test_the_log_of_the_run_before_is_not_told_again(training):
    training(TEST)
    os.utime(str(training.log), ns=(1, 1))
    watched = training.begin()
    assert watched.news() == []
    training.log.write_text(RATE + "\n")
    assert watched.news() == [RATE]


def test_the_first_iterations_are_those_since_it_began_again(training):
    write_rows(training.csv, [])
    watched = training.begin()
    assert watched.first_iterations() is None
    append_row(training.csv, {"iteration": 20, "lr": 0.01, "images_per_second": 100.0})
    append_row(training.csv, {"iteration": 40, "lr": 0.01, "images_per_second": 1.0})
    assert watched.first_iterations() == (20, 4.0, 400)
    again = training.begin()
    assert (again.iteration, again.first_iterations()) == (40, None)
    append_row(training.csv, {"iteration": 60, "lr": 0.01, "images_per_second": 200.0})
    assert again.first_iterations() == (20, 2.0, 400)


def test_times_are_for_people():
    assert [seconds_text(value) for value in (0.04, 9.9, 10.2, 100, 5000)] == [
        *("0.0 s", "9.9 s", "10 s", "2 min", "1 h 23 min")
    ]


def test_the_figures_are_means_over_the_folds_beside_chance(tmp_path):
    for fold, value in enumerate((0.4, 0.6)):
        folder = tmp_path / f"fold{fold}" / "resnet50_mtl"
        folder.mkdir(parents=True)
        figures = {"map_class": value, "chance_map_class": 0.2, "map_image": None, "location_top1": 1.0}
        (folder / "metrics.json").write_text(json.dumps(figures))
    lines = figures_table(tmp_path, (0, 1), ("resnet50_mtl", "ensemble"))
    assert [line.split() for line in lines] == [
        ["mean", "over", "folds", "mAP-class", "mAP-image", "location", "top-1"],
        ["resnet50_mtl", "0.500", "(chance", "0.200)", "-", "1.000"],
    ]


def test_the_figures_of_several_seeds_are_means_over_them_too(tmp_path):
    for place, value in (("fold0", 0.4), ("fold0/seed2", 0.6), ("fold0/seed3", 0.8)):
        folder = tmp_path / place / "resnet50_mtl"
        folder.mkdir(parents=True)
        (folder / "metrics.json").write_text(json.dumps({"map_class": value}))
    lines = figures_table(tmp_path, (0,), ("resnet50_mtl",), seeds=3)
    assert lines[0].startswith("fold 0, mean over 3 seeds  mAP-class")
    assert lines[1].split()[:2] == ["resnet50_mtl", "0.600"]
