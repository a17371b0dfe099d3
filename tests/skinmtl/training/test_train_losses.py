"""The losses of a training by name: found in the net, logged, watched, drawn; and what is said of phases."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from google.protobuf import text_format

from caffe_files.errors import InputError
from caffe_files.schema import caffe_messages
from skinmtl.figures.curves import draw_curves
from skinmtl.training import telling
from skinmtl.training.divergence import EXPLODED, WINDOW, LossGuard, chance_loss
from skinmtl.training.log_file import COLUMNS, append_row, columns_of, cut_back, read_log, write_rows
from skinmtl.training.losses import Loss, losses_of
from skinmtl.training.phases import Phase
from skinmtl.training.schedule import Schedule
from skinmtl.training.validation import check_watch, validate, watched_error

NAMES = ("rpn_class", "rpn_box", "class", "box", "mask", "jaccard")


def net_of(text):
    return text_format.Parse(text, caffe_messages().NetParameter())


def test_losses_are_what_counts_and_what_is_called_so():
    net = net_of("""
        layer { name: "a" type: "SoftmaxWithLoss" top: "class_loss" top: "prob" }
        layer { name: "b" type: "Python" top: "rpn_box_loss" loss_weight: 10 }
        layer { name: "c" type: "Python" top: "told_loss" }
        layer { name: "d" type: "EuclideanLoss" top: "distance" loss_weight: 0.5 }
        layer { name: "e" type: "Accuracy" top: "accuracy" }
        layer { name: "f" type: "HingeLoss" top: "test_loss" include { phase: TEST } }
        layer { name: "g" type: "HingeLoss" top: "train_loss" exclude { phase: TEST } }""")
    train = losses_of("net", net, "TRAIN")
    assert [(loss.name, loss.top, loss.weight) for loss in train] == [
        ("class", "class_loss", 1.0),
        ("rpn_box", "rpn_box_loss", 10.0),
        ("told", "told_loss", 0.0),
        ("distance", "distance", 0.5),
        ("train", "train_loss", 1.0),
    ]
    assert [loss.name for loss in losses_of("net", net, "TEST")] == ["class", "rpn_box", "told", "distance", "test"]


def test_two_losses_of_one_name_are_refused():
    net = net_of('layer { name: "a" type: "HingeLoss" top: "x" } layer { name: "b" type: "HingeLoss" top: "x_loss" }')
    with pytest.raises(InputError, match="net: two losses, x and x_loss, would have one name; rename one"):
        losses_of("net", net, "TRAIN")


def test_a_log_has_the_columns_of_its_net(tmp_path):
    assert columns_of(["lesion"], ["lesion"], ["map_class"]) == COLUMNS, "as ever"
    columns = columns_of([*NAMES, "location"], NAMES[:2], ["location_top1"])
    assert columns == (
        *("iteration", "lr"),
        *(f"{name}_loss" for name in (*NAMES, "location")),
        *("validation_rpn_class_loss", "validation_rpn_box_loss", "location_top1", "images_per_second"),
    )
    path = tmp_path / "log.csv"
    write_rows(path, [], columns)
    for iteration in (20, 40):
        append_row(path, {"iteration": iteration, "lr": 0.1, "mask_loss": 0.5 + iteration}, columns)
    rows = read_log(path)
    assert [row["mask_loss"] for row in rows] == [20.5, 40.5]
    assert tuple(rows[0]) == columns
    assert cut_back(path, 1, 20) == columns
    assert read_log(path) == rows[:1], "under its own heading"


@pytest.mark.parametrize(
    "heading",
    [
        "iteration,lr",
        "iteration,lr,a_loss",
        "iteration,lr,a,images_per_second",
        "iteration,lr,_loss,images_per_second",
        "iteration,lr,a_loss,a_loss,images_per_second",
        "iteration,lr,validation_a_loss,a_loss,images_per_second",
        "iteration,lr,map_class,a_loss,images_per_second",
        "iteration,a_loss,lr,images_per_second",
    ],
)
def test_a_heading_that_no_training_has_is_refused(tmp_path, heading):
    (tmp_path / "log.csv").write_text(heading + "\n")
    with pytest.raises(InputError, match=r"log\.csv:1: the columns are not those of a training"):
        read_log(tmp_path / "log.csv")


def test_without_heads_the_weighted_sum_of_the_losses_is_watched():
    batches = [{"mask_loss": np.float32(value), "rpn_box_loss": np.float32(2)} for value in (1, 3)]
    values = validate(batches, {}, lambda: False)
    assert values == {"validation_mask_loss": 2.0, "validation_rpn_box_loss": 2.0}
    assert watched_error(values, "loss", {"rpn_box": 10.0, "mask": 1.0}) == 22.0
    assert watched_error(values, "loss") == 4.0
    check_watch("loss", [])
    with pytest.raises(InputError, match="--watch error: the net has neither lesions' nor locations' scores"):
        check_watch("error", [])
    with pytest.raises(InputError, match=r"--watch map_class: the net has no lesion head; watch loss$"):
        check_watch("map_class", [])


def test_losses_of_regions_diverge_where_they_are_far_above_what_badly_fitting_anchors_have():
    chance = chance_loss(0, 0, len(NAMES))
    guard = LossGuard(chance, [])
    assert not any(guard.fault(dict.fromkeys(NAMES, 0.99 * EXPLODED)) for _ in range(3 * WINDOW))
    guard = LossGuard(chance, [])
    assert [bool(guard.fault(dict.fromkeys(NAMES, 1.01 * EXPLODED))) for _ in range(WINDOW)][-2:] == [False, True]
    assert LossGuard(chance, []).fault({"rpn_box": float("nan")}) == "rpn_box_loss is nan"


def test_curves_of_many_losses_have_a_panel_for_training_and_one_for_validation(tmp_path):
    columns = columns_of(NAMES, NAMES, [])
    rows = [{name: 0.5 for name in columns}, {name: 0.25 for name in columns}]
    rows[0]["iteration"] = 20.0
    draw_curves(rows, tmp_path / "all.svg")
    text = (tmp_path / "all.svg").read_text(encoding="utf-8")
    for label in (*(name.replace("_", " ") for name in NAMES), "training loss", "validation loss", "learning rate"):
        assert f">{label}<" in text
    assert text.count(">rpn box<") == 2
    assert ">lesions<" not in text


def test_the_opening_of_a_mask_net_in_phases():
    inputs = SimpleNamespace(
        names={}, n_images=400, copies=1, n_watched=40, n_groups=40, n_watched_of={}, mask_net=True,
        losses=(Loss("mask", "mask_loss", 1.0),),
    )  # fmt: skip
    phases = (Phase(("fpn_*", "fc_*"), 0.001, 50), Phase(("*",), 0.0001, 30))
    schedule = Schedule(
        max_iter=80, test_interval=20, snapshot_interval=20, display=20, base_lr=0.001, seed=1, plateau=None,
        watch="loss", keep_snapshots=None, rate_change="auto", resume_data="exact", phases=phases,
    )  # fmt: skip
    lines = telling.opening_lines("run", "caffe", inputs, 2, schedule, 0)
    assert lines[2:] == [
        "iterations: 0 to 80, 2 images each, a test every 20",
        "watched: validation loss of the validation images",
        "phase 1: from iteration 0 on: fpn_* fc_* learn, the rest is frozen, 50 iterations at a learning rate of 0.001",
        "phase 2: from iteration 50 on: all layers learn, 30 iterations at a learning rate of 0.0001",
    ]
    assert telling.line_of_phase(50, phases, 1) == (
        "at iteration 50: phase 2 of 2 begins: all layers learn, 30 iterations at a learning rate of 0.0001"
    )
    row = {"lr": 0.001, "mask_loss": 0.5, "validation_mask_loss": 0.7, "images_per_second": 2.0}
    best = {"error": 0.7, "iteration": 20}
    assert telling.line_of_test(20, 80, "loss", 0.7, best, row, 300, False).endswith(
        "training loss mask 0.5; learning rate 0.001; 2 images/s; about 5 min left"
    )
