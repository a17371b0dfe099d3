"""The curves of a training: losses, what is measured on the validation set, and the learning rate's steps."""

from __future__ import annotations

from pathlib import Path
from typing import Mapping, Sequence

from caffe_files.caffe_log import CaffeLog
from skinmtl.figures.curve_panels import NO_MARKS, Curve, Marks, Panel, draw_panels
from skinmtl.figures.style import BLACK, CYCLE, GREEN, PURPLE, RED, SKY

MARKERS = "osD^vP*X"
VALIDATION = "validation_"  # before a loss's name in log.csv
WHOLE = "loss"  # what Caffe logs of the whole training net
HEADS = {"lesion_loss": "lesions", "location_loss": "location"}
# the rate of a row of log.csv was that of the iterations up to it; Caffe logs that of those to come
RATE = Panel("learning rate", [Curve("lr", "learning rate", BLACK, steps="steps-pre")], "rate")
CAFFES_RATE = Panel("learning rate", [Curve("lr", "learning rate", BLACK, steps="steps-post")], "rate")
LOG_FILE = (
    Panel(
        "validation",
        [
            Curve("map_class", "mAP-class", GREEN, "-", "o"),
            Curve("map_image", "mAP-image", SKY, "--", "D"),
            Curve("location_top1", "location top-1", RED, ":", "s"),
            Curve("balanced_accuracy", "balanced accuracy", PURPLE, "-.", "^"),
        ],
        "0 to 1",
    ),
    RATE,
)


def draw_curves(rows: Sequence[Mapping[str, float | None]], path: Path, marks: Marks = NO_MARKS) -> None:
    """Draws the rows of a log.csv, from one row on, to a PNG or SVG; a column without values is left out.

    The losses in training and those of the validation set have a panel each, on a scale of its own, where a loss has
    the same colour. `marks` are drawn through all panels.
    """
    losses = [name for name in (rows[0] if rows else ()) if name.endswith("_loss")]
    names = list(dict.fromkeys(_without(name) for name in losses))
    panels = [_losses("training loss", names, "", losses), _losses("validation loss", names, VALIDATION, losses)]
    draw_panels([*panels, *LOG_FILE], rows, path, marks)


def draw_caffe_log(log: CaffeLog, path: Path) -> None:
    """Draws a log of `caffe train`: its losses in training and in tests, all other outputs, the learning rate. Which
    test was the best, and where a plateau began, such a log does not tell."""
    columns = [column for column in log.columns if column != "lr"]
    losses = [column for column in columns if column.endswith("loss")]
    tests = {_parts(column)[0] for column in columns if column.startswith("test ")}
    names = list(dict.fromkeys(_parts(column)[1] for column in losses if column != WHOLE))
    colours = {WHOLE: BLACK, **{name: CYCLE[number % len(CYCLE)] for number, name in enumerate(names)}}
    panels = []
    for title, of_tests in (("training loss", False), ("test loss", True)):
        of_panel = [column for column in losses if column.startswith("test ") is of_tests]
        panels.append(Panel(title, _of_caffe(of_panel, colours, tests), "loss"))
    others = [column for column in columns if column not in losses]
    colours = {column: CYCLE[number % len(CYCLE)] for number, column in enumerate(others)}
    panels += [Panel("other outputs", _of_caffe(others, colours, tests, whole=True), "free"), CAFFES_RATE]
    draw_panels(panels, [{"iteration": iteration, **values} for iteration, values in log.rows], path)


def _losses(title: str, names: Sequence[str], before: str, columns: Sequence[str]) -> Panel:
    """Of the losses of these names, with `before` in front, those that are columns."""
    curves = [
        Curve(
            before + name,
            HEADS.get(name, name[: -len("_loss")].replace("_", " ")),
            CYCLE[number % len(CYCLE)],
            *(("--", MARKERS[number % len(MARKERS)]) if before else ()),
        )
        for number, name in enumerate(names)
        if before + name in columns
    ]
    return Panel(title, curves, "loss")


def _without(name: str) -> str:
    return name[len(VALIDATION) :] if name.startswith(VALIDATION) else name


def _parts(column: str) -> tuple[str, str]:
    """Which net of a log of Caffe's, and its output: ("train", "fc_loss"), ("test 0", "top1"), ("", WHOLE)."""
    words = column.split(" ")
    net = {"train": 1, "test": 2}.get(words[0], 0)
    return " ".join(words[:net]), " ".join(words[net:])


def _of_caffe(columns: Sequence[str], colours: Mapping[str, str], tests: set[str], whole: bool = False) -> list[Curve]:
    """Training outputs have lines only. A test net is named where there are several, a training net where `whole`."""
    curves = []
    for number, column in enumerate(columns):
        net, output = _parts(column)
        is_test = net in tests
        named = (net if len(tests) > 1 else "test") if is_test else net
        label = f"{named} {output}" if whole or (is_test and len(tests) > 1) else output
        label = "whole loss" if column == WHOLE else label
        looks = ("--", MARKERS[number % len(MARKERS)]) if is_test else ()
        curves.append(Curve(column, label, colours[column if whole else output], *looks))
    return curves
