"""What train.py says: each line by an example, and when it is said."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from skinmtl.training import telling
from skinmtl.training.plateau import PlateauRule
from skinmtl.training.progress_bar import SILENCE, ProgressBar
from skinmtl.training.schedule import CONSTANT
from skinmtl.training.validation import WATCHED

ROW = {
    **{"iteration": 2000, "lr": 0.001, "lesion_loss": 2.3149, "location_loss": 1.1, "validation_lesion_loss": 2.5},
    **{"map_class": 0.431, "map_image": 0.552, "location_top1": 0.6249, "images_per_second": 25.13},
}
BEST = {"error": 0.3981, "iteration": 1000}


def test_the_opening_says_what_is_trained_on_what_and_for_how_long():
    inputs = SimpleNamespace(
        names={"lesion": ["a"], "location": ["x"]}, n_images=432, copies=3, n_watched=480000, n_groups=200000,
        mask_net=None,
        n_watched_of={"lesion": [240000, 120000, 120000], "location": [240000, 240000]},
    )  # fmt: skip
    schedule = SimpleNamespace(
        max_iter=800, test_interval=50, base_lr=0.01, plateau=PlateauRule(), watch="error", phases=(),
        a_plateau_ends=True, rates=CONSTANT,
    )  # fmt: skip
    lines = telling.opening_lines(Path("work/run"), "caffe 1.0.0 on the CPU", inputs, 32, schedule, 0)
    assert lines == [
        "training in work/run with caffe 1.0.0 on the CPU",
        "images: 432 to train on (each stored 3 times), 480000 for validation",
        "iterations: 0 to 800, 32 images each, a test every 50; a plateau may end training earlier",
        "watched: error of the validation images, the mean of 1 - mAP-image and 1 - top-1",
        "learning rate: 0.01 at first, divided by 10 at each plateau of what is watched",
    ]
    inputs.copies = 1
    del inputs.names["lesion"], inputs.n_watched_of["lesion"]
    resumed = telling.opening_lines(Path("run"), "torch", inputs, 32, schedule, 400)
    assert resumed[1] == "images: 432 to train on, 480000 for validation"
    assert resumed[2].startswith("iterations: 400 to 800,")
    assert resumed[3] == "watched: error of the validation images, 1 - top-1"
    schedule.watch, inputs.n_watched_of = "map_class", {"lesion": [240000, 120000, 120000]}
    other = telling.opening_lines(Path("run"), "torch", inputs, 32, schedule, 400)
    assert other[3] == "watched: 1 - mAP-class of the validation images"


@pytest.mark.parametrize(
    "images, groups, words",
    [
        (
            4,
            None,
            "4 validation images tell 1 - top-1 to about +-0.49 (95 %), but a gain of 1 %, about 0.005, decide",
        ),
        (400, 9, "400 validation images of 9 groups tell 1 - top-1 to about +-0.33 (95 %), but a gain of 1 %"),
        (40000, None, "40000 validation images tell 1 - top-1 to about +-0.0049 (95 %)"),
        (400000, None, None),
    ],
)
def test_where_chance_moves_the_watched_error_by_more_than_a_plateau_is_judged_by_that_is_told(images, groups, words):
    schedule = SimpleNamespace(
        max_iter=800, test_interval=50, base_lr=0.01, plateau=PlateauRule(), watch="location_top1", phases=(),
        a_plateau_ends=True, rates=CONSTANT,
    )  # fmt: skip
    inputs = SimpleNamespace(
        names={"location": ["x"]}, n_images=432, copies=1, n_watched=images, n_groups=groups, mask_net=None,
        n_watched_of={"location": [images - images // 2, images // 2]},
    )  # fmt: skip
    note = telling.opening_lines(Path("run"), "torch", inputs, 32, schedule, 0)[5:]
    assert len(note) == (words is not None)
    assert not note or note[0].startswith("note: " + words)


def test_a_test_is_one_line():
    assert telling.line_of_test(2000, 120000, "error", 0.4124, BEST, ROW, 4980) == (
        "test at iteration 2000 of 120000: error 0.412 (best: 0.398 at iteration 1000), mAP-class 0.431, mAP-image "
        "0.552, top-1 0.625; training loss lesion 2.31, location 1.1; learning rate 0.001; 25.1 images/s; about 1 h 23 "
        "min left unless a plateau ends it"
    )


def test_what_a_net_has_not_is_not_told_nor_time_at_the_end():
    row = {**ROW, "map_class": None, "map_image": None, "lesion_loss": None}
    best = {"error": 0.375, "iteration": 2000}
    assert telling.line_of_test(2000, 2000, "location_top1", 0.375, best, row, None) == (
        "test at iteration 2000 of 2000: 1 - top-1 0.375 (the best so far), top-1 0.625; training loss location 1.1; "
        "learning rate 0.001; 25.1 images/s"
    )


def test_all_that_can_be_watched_has_a_name():
    assert set(telling.WATCHED_WORDS) == set(WATCHED)


def test_a_fall_of_the_rate_says_why():
    rule = PlateauRule(window=2, patience=3, threshold=0.01)
    assert telling.line_of_rate(350, 0.01, 0.001, rule, "error", 0.4124) == (
        "at iteration 350: learning rate 0.01 -> 0.001: the watched error is at a plateau (in 3 tests in a row its "
        "mean over 2 tests was not 1 % below the best one, 0.412)"
    )
    rule = PlateauRule(window=1, patience=1, threshold=0)
    assert telling.line_of_rate(350, 0.01, 0.001, rule, "loss", 3.1).endswith(
        "the watched validation loss is at a plateau (in the last test it was not below the best one, 3.100)"
    )


def test_the_closing_compares_the_last_weights_with_the_best():
    assert telling.closing_line("error", BEST, 0.45, 3000) == (
        "best.caffemodel: error 0.398 at iteration 1000; final.caffemodel: error 0.450 at iteration 3000"
    )
    assert telling.closing_line("error", BEST, 0.3981, 1000) == (
        "best.caffemodel and final.caffemodel are the same: error 0.398 at iteration 1000"
    )


def test_a_fast_gpu_has_no_power_of_ten():
    line = telling.line_between(40, 100, {"lesion": 0.0123}, 1234.4, None)
    assert line == "at iteration 40 of 100: training loss lesion 0.0123; 1234 images/s"


@pytest.mark.parametrize(
    "seconds, words",
    [(0, "1 s"), (59.4, "59 s"), (59.6, "1 min"), (3569, "59 min"), (3571, "1 h 0 min"), (86400 * 2.3, "2 d 7 h")],
)
def test_a_duration_has_two_units_at_most(seconds, words):
    assert telling.duration(seconds) == words


class Clock:
    seconds = 100.0

    def __call__(self):
        return self.seconds


def test_without_a_terminal_a_line_comes_after_every_silence(capfd):
    clock = Clock()
    with ProgressBar(20, 1000, 8, clock) as bar:
        for _ in range(10):
            clock.seconds += SILENCE / 4
            bar.step({"lesion": 2.5, "location": 1.25}, 0.01)
        bar.say("news")
        for number in range(1, 7):
            clock.seconds += SILENCE / 4
            bar.testing(number, 6)
        clock.seconds += 1
        bar.step({"lesion": 2.5, "location": 1.25}, 0.01)
    said = capfd.readouterr()
    assert said.out == "news\n"
    # 4 iterations of 8 images in 30 s; 976 are left at 7.5 s
    assert said.err.splitlines() == [
        "at iteration 24 of 1000: training loss lesion 2.5, location 1.25; 1.07 images/s; about 2 h 2 min left unless "
        "a plateau ends it",
        "at iteration 28 of 1000: training loss lesion 2.5, location 1.25; 1.07 images/s; about 2 h 2 min left unless "
        "a plateau ends it",
        "at iteration 30 of 1000: testing, batch 4 of 6",
    ]


def test_time_left_counts_the_tests_in(capfd):
    clock = Clock()
    with ProgressBar(0, 100, 8, clock) as bar:
        assert bar.seconds_left() is None, "nothing is known before the first iteration"
        for _ in range(10):
            clock.seconds += 1
            bar.step({"lesion": 2.5}, 0.01)
        clock.seconds += 5  # a test
        assert bar.seconds_left() == 90 * 1.5
    assert capfd.readouterr() == ("", "")


def test_a_listener_that_has_left_does_not_end_a_training(monkeypatch):
    class Closed:
        def write(self, text):
            raise BrokenPipeError

        def flush(self):
            raise BrokenPipeError

        def isatty(self):
            return False

    monkeypatch.setattr(sys, "stderr", Closed())
    clock = Clock()
    with ProgressBar(0, 100, 8, clock) as bar:
        clock.seconds += 2 * SILENCE
        bar.step({"lesion": 2.5}, 0.01)
