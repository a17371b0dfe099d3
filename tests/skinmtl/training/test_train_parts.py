"""The parts of a training that need no Caffe: its log, its snapshots, its solver, what is watched, when it diverged."""

from __future__ import annotations

import math
import os
import signal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score

from caffe_files.errors import InputError
from caffe_files.prototxt import read_solver
from skinmtl.figures.curve_panels import Marks
from skinmtl.figures.curves import draw_curves
from skinmtl.training import snapshots
from skinmtl.training.divergence import EXPLODED, WINDOW, LossGuard, chance_loss
from skinmtl.training.log_file import COLUMNS, append_row, cut_back, read_log, write_rows
from skinmtl.training.solver_file import effective_solver, read_checked_solver, solver_text
from skinmtl.training.stopping import deferred_stops
from skinmtl.training.validation import check_watch, validate, watched_error

VALUES = st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False, width=32))


# log.csv


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.lists(st.fixed_dictionaries({name: VALUES for name in COLUMNS[1:]}), min_size=1, max_size=8))
def test_a_log_reads_as_it_was_written_and_is_cut_back_to_any_row(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("log") / "log.csv"
    write_rows(path, [])
    for number, row in enumerate(rows):
        append_row(path, {"iteration": 10 * number, **row})
    for number, (row, read) in enumerate(zip(rows, read_log(path))):
        assert read["iteration"] == 10 * number
        for name, value in row.items():
            assert read[name] == (None if value is None else pytest.approx(value, rel=1e-6))
    for keep in range(len(rows), -1, -1):
        cut_back(path, keep, 0)
        assert len(read_log(path)) == keep


def test_a_row_that_a_kill_left_half_written_goes_and_a_missing_one_is_told(tmp_path):
    path = tmp_path / "log.csv"
    write_rows(path, ["20,0.1,1,1,,,,,,9\n", "40,0.1,1"])
    cut_back(path, 1, 20)
    assert [row["iteration"] for row in read_log(path)] == [20]
    with pytest.raises(InputError, match=r"log.csv: 1 rows, but the snapshot of iteration 60 came after 3"):
        cut_back(path, 3, 60)


@pytest.mark.parametrize(
    "text, words",
    [
        ("", ":1: the columns are not"),
        ("a,b\n1,2\n", ":1: the columns"),
        (",".join(COLUMNS) + "\n1,x\n", ":2: a value"),
    ],
)
def test_a_file_that_is_no_log_is_refused(tmp_path, text, words):
    (tmp_path / "log.csv").write_text(text)
    with pytest.raises(InputError, match=words):
        read_log(tmp_path / "log.csv")


# snapshots


def snapshot_at(folder, iteration, content=b"weights"):
    stem = folder / f"a net_iter_{iteration}"
    for suffix in (snapshots.MODEL, snapshots.STATE):
        stem.with_name(stem.name + suffix).write_bytes(content + suffix.encode())
    return snapshots.write_record(stem, iteration, {"plateau": {"best": 0.1}})


def test_the_newest_whole_snapshot_counts(tmp_path):
    for iteration in (5, 10, 100):
        snapshot_at(tmp_path, iteration)
    found, broken = snapshots.last_whole(tmp_path)
    assert (found.iteration, broken) == (100, [])
    assert found.record["plateau"] == {"best": 0.1}
    assert found.model.read_bytes() == b"weights.caffemodel"


@pytest.mark.parametrize("suffix", [".caffemodel", ".solverstate", ".json"])
@pytest.mark.parametrize("change", ["cut", "other bytes", "gone"])
def test_a_snapshot_that_is_not_whole_does_not_count(tmp_path, suffix, change):
    snapshot_at(tmp_path, 5)
    snapshot_at(tmp_path, 10)
    file = tmp_path / f"a net_iter_10{suffix}"
    if change == "gone":
        file.unlink()
    else:
        content = file.read_bytes()
        file.write_bytes(content[:-1] if change == "cut" else b"#" + content[1:])
    found, broken = snapshots.last_whole(tmp_path)
    if (suffix, change) == (".json", "cut"):
        assert found.iteration == 10, "only the end of its last line is cut off"
        return
    assert found.iteration == 5
    assert broken == ([] if (suffix, change) == (".json", "gone") else [tmp_path / "a net_iter_10.json"])
    snapshots.remove_after(tmp_path, 5)
    assert {path.name for path in tmp_path.iterdir()} == {
        f"a net_iter_5{s}" for s in (".caffemodel", ".json", ".solverstate")
    }


def test_only_the_newest_are_kept(tmp_path):
    (tmp_path / "mine.txt").write_text("not a snapshot")
    for iteration in (5, 10, 100):
        snapshot_at(tmp_path, iteration)
        snapshots.prune(tmp_path, 2)
    assert sorted(path.name for path in tmp_path.glob("*.json")) == ["a net_iter_10.json", "a net_iter_100.json"]
    assert len(list(tmp_path.iterdir())) == 7


# the solver


def test_the_effective_solver_keeps_hyper_parameters_and_drops_policies(tmp_path):
    given = tmp_path / "solver.prototxt"
    given.write_text(
        'net: "x" base_lr: 0.3 lr_policy: "multistep" stepvalue: 7 stepvalue: 9 gamma: 0.2 momentum: 0.85 test_iter: 3 '
        'weight_decay: 0.0003 iter_size: 4 clip_gradients: 35 regularization_type: "L1" type: "Nesterov" snapshot: 5 '
        "snapshot_format: HDF5 average_loss: 20 solver_mode: GPU"
    )
    text = solver_text(
        effective_solver(read_checked_solver(given), tmp_path / "t.prototxt", 1e-5, 9, tmp_path / "p", 4)
    )
    (tmp_path / "out.prototxt").write_text(text)
    solver = read_solver(tmp_path / "out.prototxt")
    kept = {field.name: value for field, value in solver.ListFields()}
    assert kept == {
        "base_lr": pytest.approx(1e-5),
        "display": 0,
        "max_iter": 9,
        "lr_policy": "fixed",
        "momentum": pytest.approx(0.85),
        "weight_decay": pytest.approx(0.0003),
        "snapshot_prefix": str(tmp_path / "p"),
        "random_seed": 4,
        "train_net": str(tmp_path / "t.prototxt"),
        "snapshot_after_train": False,
        "regularization_type": "L1",
        "clip_gradients": 35,
        "iter_size": 4,
        "type": "Nesterov",
    }


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "base_lr is 0"),
        ("base_lr: 0.1 train_state { stage: 'a' }", "train_state"),
        ("base_lr: -1", "base_lr is -1"),
        ("base_lr: nan", "base_lr is nan"),
        ('base_lr: 1 type: "Sgd"', "no solver of Caffe"),
        ('base_lr: 1 type: "RMSProp" momentum: 0.9', "takes no momentum"),
        ("base_lr: 1 momentum: 1.5", "momentum is 1.5"),
        ("base_lr: 1 iter_size: 0", "iter_size is 0"),
        ("base_lr: 1 learning_rate: 2", "learning_rate"),
        ("base_lr: one", "not a solver prototxt"),
    ],
)
def test_a_solver_that_cannot_train_is_refused(tmp_path, text, words):
    (tmp_path / "solver.prototxt").write_text(text)
    with pytest.raises(InputError, match=words) as error:
        read_checked_solver(tmp_path / "solver.prototxt")
    assert str(error.value).startswith(str(tmp_path / "solver.prototxt"))


# divergence


def test_knowing_nothing_costs_a_bit_a_lesion_and_the_choice_of_a_location():
    assert chance_loss(10, 7) == pytest.approx(10 * math.log(2) + math.log(7))
    assert chance_loss(0, 7) == pytest.approx(math.log(7))
    assert chance_loss(10, 0) == pytest.approx(10 * math.log(2))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_loss_that_is_no_number_is_a_fault_at_once(value):
    assert "location_loss is" in LossGuard(1.0, []).fault({"lesion": 1.0, "location": value})


def test_an_exploding_loss_is_one_far_above_chance_for_a_while():
    guard = LossGuard(2.0, [])
    assert not guard.fault({"lesion": 1e30}), "one wild batch at the start is no explosion"
    guard = LossGuard(2.0, [])
    faults = [guard.fault({"lesion": EXPLODED, "location": 1.01 * EXPLODED}) for _ in range(WINDOW)]
    assert not any(faults[:-1])
    assert faults[-1] == "the loss is 40.2, more than 20 times that of a model that knows nothing"
    guard = LossGuard(2.0, [])
    assert not any(guard.fault({"lesion": 0.99 * EXPLODED, "location": EXPLODED}) for _ in range(5 * WINDOW))


# what is watched


def batches(n_batches=3, size=4, seed=1):
    chance = np.random.RandomState(seed)
    for number in range(n_batches):
        yield {
            "fc_lesion": chance.normal(size=(size, 3)).astype(np.float32),
            "lesion_label": np.eye(3, dtype=np.float32)[chance.randint(0, 3, size)],
            "lesion_loss": np.float32(number),
            "fc_location": np.array([[3, 2, 1]] * size, np.float32),
            "location_label": np.array([[0], [0], [0], [1]], np.float32),
            "location_loss": np.float32(1.5),
        }


def test_validation_means_losses_and_measures_all_batches_at_once():
    names = {"lesion": list("abc"), "location": list("xyz")}
    values = validate(batches(), names, lambda: False)
    assert values["validation_lesion_loss"] == 1.0
    assert values["validation_location_loss"] == 1.5
    assert values["location_top1"] == 0.75
    assert 0 < values["map_class"] < 1
    assert watched_error(values, "error") == pytest.approx(((1 - values["map_image"]) + 0.25) / 2)
    assert watched_error(values, "loss") == 2.5
    assert watched_error(values, "location_loss") == 1.5
    assert watched_error(values, "map_class") == 1 - values["map_class"]
    only_location = {name: value for name, value in values.items() if "location" in name}
    assert watched_error(only_location, "error") == 0.25
    assert watched_error(only_location, "loss") == 1.5


def test_of_lesions_that_are_one_choice_balanced_accuracy_is_measured_and_can_be_watched():
    names = {"lesion": list("abc"), "location": list("xyz")}
    labels, scores = (np.concatenate([batch[name] for batch in batches()]) for name in ("lesion_label", "fc_lesion"))
    values = validate(batches(), names, lambda: False, one_lesion=True)
    expected = balanced_accuracy_score(labels.argmax(axis=1), scores.argmax(axis=1))
    assert values["balanced_accuracy"] == pytest.approx(expected)
    assert watched_error(values, "balanced_accuracy") == pytest.approx(1 - expected)
    assert "balanced_accuracy" not in validate(batches(), names, lambda: False)
    check_watch("balanced_accuracy", ["lesion"], one_lesion=True)
    for heads, words in ((["lesion"], "make it with --lesion-loss softmax"), (["location"], "has no lesion head")):
        with pytest.raises(InputError, match=f"--watch balanced_accuracy: .*{words}"):
            check_watch("balanced_accuracy", heads)


def test_validation_images_of_several_lesions_have_no_balanced_accuracy_to_watch():
    several = [{**batch, "lesion_label": np.ones((4, 3), np.float32)} for batch in batches()]
    values = validate(several, {"lesion": list("abc")}, lambda: False, one_lesion=True)
    assert values["balanced_accuracy"] is None
    with pytest.raises(InputError, match="has no value for balanced_accuracy"):
        watched_error(values, "balanced_accuracy")


def test_validation_stops_where_it_is_told_to():
    taken = []
    stream = (taken.append(1) or batch for batch in batches())
    assert validate(stream, {"lesion": list("abc")}, lambda: len(taken) == 2) is None
    assert len(taken) == 2


def test_what_a_net_has_no_head_for_cannot_be_watched():
    for watch in ("error", "loss", "location_top1"):
        check_watch(watch, ["location"])
    with pytest.raises(InputError, match="--watch map_class: the net has no lesion head"):
        check_watch("map_class", ["location"])


# stops


def test_stops_wait_for_the_end_of_the_block_and_ignored_ones_stay_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        handler = signal.getsignal(signal.SIGTERM)
        with deferred_stops() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert stop.signal is None
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGINT)
            assert stop.signal == signal.SIGTERM
        assert signal.getsignal(signal.SIGTERM) == handler
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


# curves


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_curves_can_be_drawn_of_one_row_and_of_none(tmp_path, suffix):
    row = dict.fromkeys(COLUMNS)
    draw_curves([], tmp_path / f"none{suffix}")
    draw_curves([{**row, "iteration": 20.0, "lr": 0.1, "location_loss": 2.0}], tmp_path / f"one{suffix}")
    assert (tmp_path / f"one{suffix}").stat().st_size > (tmp_path / f"none{suffix}").stat().st_size > 500


def test_every_column_with_values_is_in_the_legend(tmp_path):
    rows = [{name: 0.5 for name in COLUMNS}, {name: 0.25 for name in COLUMNS}]
    draw_curves(rows, tmp_path / "all.svg")
    text = (tmp_path / "all.svg").read_text(encoding="utf-8")
    for label in ("training loss", "validation loss", "mAP-class", "mAP-image", "location top-1", "iteration"):
        assert f">{label}<" in text
    for head in ("lesions", "location"):
        assert text.count(f">{head}<") == 2
    assert "best" not in text and "plateau" not in text
    for row in rows:
        row["map_class"] = row["lesion_loss"] = None
    draw_curves(rows, tmp_path / "fewer.svg")
    text = (tmp_path / "fewer.svg").read_text(encoding="utf-8")
    assert ">mAP-image<" in text
    assert ">mAP-class<" not in text


@pytest.mark.parametrize(
    ("plateaus", "said"), [((), None), ((400,), "plateau at 400"), ((200, 400), "plateaus at 200, 400"),
                           ((1, 2, 3, 4), "4 plateaus")],
)  # fmt: skip
def test_what_is_known_of_the_best_test_and_of_plateaus_is_said_and_drawn(tmp_path, plateaus, said):
    rows = [{**dict.fromkeys(COLUMNS, 0.5), "iteration": at} for at in (100, 2000)]
    draw_curves(rows, tmp_path / "a.svg", Marks(2000, "error 0.250", plateaus))
    text = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert ">best: error 0.250 at iteration 2,000<" in text
    assert (f">{said}<" in text) if said else ("plateau" not in text)


def limits(figure, panel):
    """Of the panel of that title."""
    (axes,) = [each for each in figure.axes if panel in [text.get_text() for text in each.texts]]
    return axes.get_ylim(), axes.get_yscale(), axes.get_position().height


def test_each_loss_has_a_scale_of_its_own_and_the_rate_little_room(tmp_path, monkeypatch):
    """A validation loss that hardly moves is not flat, nor is one flat below a single large value."""
    figures = []
    monkeypatch.setattr("skinmtl.figures.curve_panels.save_figure", lambda figure, path: figures.append(figure))
    for training in ([90.0, 3.0, 2.5, 2.0, 1.0], [4.0, 3.0, 2.5, 2.0, 1.0]):
        rows = [
            {"iteration": 10 * n, "lr": 0.01, "lesion_loss": loss, "validation_lesion_loss": 2 + 0.02 * n}
            for n, loss in enumerate(training)
        ]
        draw_curves(rows, tmp_path / "a.png")
    assert limits(figures[0], "training loss")[1] == "log"
    (low, high), scale, height = limits(figures[1], "training loss")
    assert (low, scale) == (0, "linear") and 4 < high < 5
    (low, high), _, _ = limits(figures[1], "validation loss")
    assert 1.9 < low < 2 and 2.08 < high < 2.2
    assert limits(figures[1], "learning rate")[2] < height / 2


def test_of_many_noisy_rows_a_running_mean_is_drawn_and_said(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr("skinmtl.figures.curve_panels.save_figure", lambda figure, path: figures.append(figure))
    rows = [{"iteration": n, "lr": 0.01, "lesion_loss": 2.0 + (n % 2)} for n in range(600)]
    draw_curves(rows, tmp_path / "a.png")
    loss, rate = figures[0].axes
    assert loss.texts[0].get_text() == "training loss (thick: means of 10 rows)"
    raw, mean = (np.array(line.get_xydata()) for line in loss.lines)
    np.testing.assert_array_equal(raw[:, 1], [row["lesion_loss"] for row in rows])
    np.testing.assert_allclose(mean[:, 1], 2.5)
    assert (len(mean), mean[0, 0], mean[-1, 0]) == (591, 5, 595)
    assert len(rate.lines) == 1
