"""plot_log.py reads what `caffe train` logs: generated logs in all their forms, and a real one."""

from __future__ import annotations

import csv
import math
import os
import subprocess

import pytest
from conftest import CAFFE
from hypothesis import given, settings
from hypothesis import strategies as st

from caffe_files.caffe_log import read_caffe_log
from caffe_files.errors import InputError

PREFIX = "I1122 17:51:36.123456  4242 solver.cpp:239] "
VALUES = st.one_of(
    st.floats(width=32, allow_nan=True, allow_infinity=True), st.sampled_from([1e-30, 2.5e17, -0.0, float("nan")])
)


def text_of(value):
    """As C++ streams print a float."""
    return f"{value:g}" if math.isfinite(value) else str(value)


def log_text(blocks, style):
    """The log of blocks: ("train", iteration, lr, loss, outputs) or ("test", iteration, net, outputs)."""
    lines = ["Solver scaffolding done.", "Starting Optimization", "Learning Rate Policy: fixed"]
    for kind, iteration, *rest in blocks:
        if kind == "test":
            net, outputs = rest
            lines.append(f"Iteration {iteration}, Testing net (#{net})")
            lines.append("Ignoring source layer loss")
        else:
            rate, loss, outputs = rest
            speed = {"new": " (25.3 iter/s, 3.95s/100 iters)", "first": " (-nan iter/s, 0s/5 iters)"}.get(style, "")
            lines.append(f"Iteration {iteration}{speed}, loss = {text_of(loss)}")
        net = "Test" if kind == "test" else "Train"
        for number, (name, value) in enumerate(outputs):
            weighed = f" (* 1 = {text_of(value)} loss)" if "loss" in name else ""
            lines.append(f"    {net} net output #{number}: {name} = {text_of(value)}{weighed}")
        if kind == "train":
            lines.append(f"Iteration {iteration}, lr = {text_of(rate)}")
        lines.append("Snapshotting to binary proto file a, loss = b_iter_10.caffemodel")
    prefix = "" if style == "bare" else PREFIX
    return "".join(f"{prefix}{line}\n" for line in lines)


OUTPUTS = st.lists(VALUES, min_size=2, max_size=2).map(lambda values: list(zip(("lesion_loss", "top1"), values)))
BLOCKS = st.lists(
    st.one_of(
        st.tuples(st.just("train"), st.just(0), VALUES, VALUES, OUTPUTS),
        st.tuples(st.just("test"), st.just(0), st.integers(0, 2), OUTPUTS),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(BLOCKS, st.lists(st.integers(0, 3), min_size=12, max_size=12), st.sampled_from(["new", "old", "first", "bare"]))
def test_a_log_reads_back_as_what_was_logged(tmp_path_factory, blocks, steps, style):
    at, placed, expected = 0, [], {}
    for (kind, _, *rest), step in zip(blocks, steps):
        at += step
        placed.append((kind, at, *rest))
        row = expected.setdefault(at, {})
        if kind == "train":
            row["lr"], row["loss"] = rest[0], rest[1]
        block = "train" if kind == "train" else f"test {rest[0]}"
        row.update({f"{block} {name}": value for name, value in rest[-1]})
    path = tmp_path_factory.mktemp("log") / "train.log"
    path.write_text(log_text(placed, style))
    log = read_caffe_log(path)
    assert [iteration for iteration, _ in log.rows] == sorted(expected)
    for iteration, values in log.rows:
        assert set(values) == set(expected[iteration])
        for name, value in values.items():
            assert value == pytest.approx(float(text_of(expected[iteration][name])), nan_ok=True)
    assert (log.superseded, log.cut_short) == (0, False)


def train_block(iteration, loss=1.0):
    return ("train", iteration, 0.1, loss, [("lesion_loss", loss)])


def test_a_resumed_training_replaces_what_it_does_again(tmp_path):
    first = log_text([train_block(iteration, 1.0) for iteration in (0, 10, 20, 30)], "new")
    second = log_text([train_block(iteration, 2.0) for iteration in (20, 30, 40)], "new")
    (tmp_path / "log").write_text(first + second)
    log = read_caffe_log(tmp_path / "log")
    assert [(iteration, values["loss"]) for iteration, values in log.rows] == [
        (0, 1.0), (10, 1.0), (20, 2.0), (30, 2.0), (40, 2.0)
    ]  # fmt: skip
    assert log.superseded == 2


def test_a_last_line_that_is_cut_short_is_not_believed(tmp_path):
    text = log_text([train_block(0), train_block(10, 123.0)], "new")
    cut = text[: text.rindex("lesion_loss = 123") + len("lesion_loss = 12")]
    (tmp_path / "log").write_text(cut)
    log = read_caffe_log(tmp_path / "log")
    assert log.cut_short
    assert log.rows[-1] == (10, {"loss": 123.0})


def test_an_output_with_several_values_has_a_column_each(tmp_path):
    blocks = [("test", 5, 0, [("accuracy", 0.25), ("accuracy", 0.75), ("loss", 1.0)])]
    (tmp_path / "log").write_text(log_text(blocks, "new"))
    values = read_caffe_log(tmp_path / "log").rows[0][1]
    assert values == {"test 0 accuracy": 0.25, "test 0 accuracy 2": 0.75, "test 0 loss": 1.0}


@pytest.mark.parametrize("content", [b"", b"nothing here\n", b"\xff\x00\x81" * 50, b"Iteration , loss = 3\n"])
def test_a_file_without_an_iteration_is_refused_in_one_line(tool, refused, tmp_path, content):
    (tmp_path / "log").write_bytes(content)
    finished = tool("plot_log.py", tmp_path / "log", "--csv", tmp_path / "log.csv")
    refused(finished, tmp_path / "log", "no line tells of an iteration")
    assert not (tmp_path / "log.csv").exists()


def test_what_cannot_be_read_is_refused(tmp_path):
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(InputError, match="cannot be read"):
            read_caffe_log(path)


def test_wrong_outputs_are_usage_errors(tool, tmp_path):
    (tmp_path / "log").write_text(log_text([train_block(0)], "new"))
    for more in ([], ["--out", "x.jpg"], ["--csv", tmp_path / "log"], ["--csv", "a.png", "--out", "a.png"]):
        assert tool("plot_log.py", tmp_path / "log", *more).returncode == 2


def test_where_the_plot_cannot_be_written_no_table_is_left_behind(tool, refused, tmp_path):
    (tmp_path / "log").write_text(log_text([train_block(0)], "new"))
    done = tool("plot_log.py", tmp_path / "log", "--csv", tmp_path / "t.csv", "--out", tmp_path / "log" / "p.png")
    refused(done, tmp_path / "log" / "p.png")
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_the_plot_names_each_loss_once_in_training_and_once_in_tests_and_says_nothing_of_the_best(tool, tmp_path):
    """Nobody watched such a training: which test was the best, and where a plateau began, is not known."""
    blocks = [train_block(0, 3.0), ("test", 0, 0, [("lesion_loss", 2.5), ("top1", 0.5)]), train_block(10)]
    (tmp_path / "log").write_text(log_text(blocks, "new"))
    assert tool("plot_log.py", tmp_path / "log", "--out", tmp_path / "log.svg").returncode == 0
    text = (tmp_path / "log.svg").read_text(encoding="utf-8")
    for label in ("training loss", "test loss", "whole loss", "other outputs", "test top1", "learning rate"):
        assert text.count(f">{label}<") == 1
    assert text.count(">lesion_loss<") == 2
    assert "best" not in text and "plateau" not in text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0, -1.0, 1e30])
def test_any_value_can_be_drawn(tool, tmp_path, value):
    blocks = [train_block(0, value), ("test", 5, 0, outputs_of(value)), ("train", 5, value, 2.0, outputs_of(value))]
    (tmp_path / "log").write_text(log_text(blocks, "new"))
    finished = tool("plot_log.py", tmp_path / "log", "--out", tmp_path / "log.png")
    assert (finished.returncode, finished.stderr) == (0, "")


def outputs_of(value):
    return [("lesion_loss", value), ("top1", value)]


@pytest.mark.caffe
def test_a_real_log_of_a_run_that_was_resumed(tool, tmp_path):
    """5 iterations too many are done, then again from the snapshot; two test nets."""
    net = """
    layer { name: "data" type: "DummyData" top: "data" top: "label" dummy_data_param {
            shape { dim: 4 dim: 6 } shape { dim: 4 }
            data_filler { type: "gaussian" } data_filler { type: "constant" value: 1 } } }
    layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc" inner_product_param {
            num_output: 3 weight_filler { type: "gaussian" std: 0.1 } } }
    layer { name: "fc_loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "fc_loss" }
    """
    (tmp_path / "train.prototxt").write_text(net)
    accuracy = 'layer { name: "top1" type: "Accuracy" bottom: "fc" bottom: "label" top: "top1" }'
    (tmp_path / "test.prototxt").write_text(net + accuracy)
    solver = (
        'train_net: "train.prototxt" test_net: "test.prototxt" test_net: "test.prototxt" test_iter: 2 test_iter: 2 '
        'test_interval: 10 base_lr: 0.5 lr_policy: "step" gamma: 0.1 stepsize: 20 display: 5 snapshot: 20 '
        'snapshot_prefix: "toy" random_seed: 1 '
    )
    (tmp_path / "first.prototxt").write_text(solver + "max_iter: 25 snapshot_after_train: false")
    (tmp_path / "second.prototxt").write_text(solver + "max_iter: 40")
    talking = dict(os.environ, GLOG_minloglevel="0")
    with open(str(tmp_path / "train.log"), "w") as log:
        for more in (["first.prototxt"], ["second.prototxt", "-snapshot", "toy_iter_20.solverstate"]):
            subprocess.run([CAFFE, "train", "-solver", *more], cwd=str(tmp_path), stderr=log, env=talking, check=True)
    finished = tool("plot_log.py", "train.log", "--csv", "log.csv", "--out", "log.png", cwd=tmp_path)
    assert (finished.returncode, finished.stderr) == (0, "")
    assert finished.stdout == (
        "train.log: iterations 0 to 40, 9 rows, 5 with tests\n"
        "2 rows were made again by a resumed training; the later are kept\n"
    )
    with open(str(tmp_path / "log.csv"), newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        *("iteration", "lr", "loss", "train fc_loss"),
        *("test 0 fc_loss", "test 0 top1", "test 1 fc_loss", "test 1 top1"),
    ]
    assert [int(row["iteration"]) for row in rows] == list(range(0, 41, 5))
    assert [float(row["lr"]) for row in rows[:-1]] == pytest.approx([0.5] * 4 + [0.05] * 4)
    for row in rows:
        assert bool(row["test 1 top1"]) == (int(row["iteration"]) % 10 == 0)
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])
    assert (tmp_path / "log.png").stat().st_size > 10000


@pytest.mark.parametrize("more", [", m = 0.9", ", m = 0.9, lrm = 1, wd = 0.0001, gs = 1", ""])
def test_rates_of_nvcaffe_are_read(tmp_path, more):
    """NVCaffe 0.17 writes momentum, and more, behind the rate."""
    log = tmp_path / "train.log"
    log.write_text(f"Iteration 100 (2 iter/s, 5s/10 iter), loss = 4.5\nIteration 100, lr = 0.2{more}\n")
    assert read_caffe_log(log).rows == [(100, {"loss": 4.5, "lr": 0.2})]
