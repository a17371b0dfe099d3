"""The report's figures: names beside points, what chance has, the order of gains, numbers in a matrix."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skinmtl.figures.gains import gain_against_strength_figure
from skinmtl.figures.heat_map import NUMBERS_UP_TO, heat_map
from skinmtl.figures.locations import location_figure
from skinmtl.figures.precision_recall import precision_recall_figure
from skinmtl.report.comparison import Gain, LesionComparison, Measured, rank_correlation
from skinmtl.report.draw import draw_gains


@pytest.mark.parametrize("dpi", [100, 150])
@pytest.mark.parametrize("seed", range(2))
def test_names_in_the_scatter_plot_do_not_overlap(seed, dpi):
    random = np.random.RandomState(seed)
    names = [f"lesion of some kind {n}" for n in range(25)]
    x, y = random.gamma(1, 0.5, 25), random.normal(0, 0.02, 25)
    figure = gain_against_strength_figure(names, x, y, y - 0.03, y + 0.03, "a note")
    figure.set_dpi(dpi)
    figure.canvas.draw()
    axes, renderer = figure.axes[0], figure.canvas.get_renderer()
    texts = [text for text in axes.texts if text.get_text() in names]
    boxes = [text.get_window_extent(renderer) for text in texts]
    points = axes.transData.transform(np.column_stack([x, y]))
    assert sorted(text.get_text() for text in texts) == sorted(names)
    for n, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:n])
        assert not any(box.contains(*point) for point in points)
        assert axes.bbox.contains(box.x0, box.y0)
        assert axes.bbox.contains(box.x1, box.y1)


@pytest.mark.parametrize("gains", [(-0.011, 0.021), (-0.035, -0.036)])
def test_a_name_in_the_scatter_plot_is_nearest_to_its_own_point_or_led_to_it(gains):
    names = ["erythematous plaque", "crust", "nodule", "scar", "squames/scales", "vesicular/pustular", "alopecia"]
    x = np.array([0.42, 0.47, 0.27, 0.43, 0.69, 0.67, 2.69])
    y = np.array([*gains, -0.036, -0.114, -0.003, -0.035, -0.041])
    figure = gain_against_strength_figure(names, x, y, y - 0.1, y + 0.1, "a note")
    figure.canvas.draw()
    axes, renderer = figure.axes[0], figure.canvas.get_renderer()
    points = axes.transData.transform(np.column_stack([x, y]))
    lines = [axes.transData.transform(line.get_xydata()) for line in axes.lines if len(line.get_xydata()) == 2]
    for n, name in enumerate(names):
        box = next(text for text in axes.texts if text.get_text() == name).get_window_extent(renderer)
        away = np.hypot(*(points - np.clip(points, (box.x0, box.y0), (box.x1, box.y1))).T)
        others = np.delete(points, n, axis=0)
        led = [line for line in lines if np.allclose(line[0], points[n])]
        assert np.delete(away, n).min() > (8 if led else away[n]), name
        for start, end in led:
            on_the_line = start + np.linspace(0, 1, 100)[:, None] * (end - start)
            assert np.hypot(*(others[:, None] - on_the_line).transpose(2, 0, 1)).min() > 4, name


@settings(deadline=None, max_examples=3)
@given(st.integers(0, 10_000))
def test_a_line_to_a_name_crosses_no_other_and_no_other_name(seed):
    random = np.random.RandomState(seed)
    n = 18
    x, y = random.gamma(1, 0.5, n), random.normal(0, 0.02, n)
    names = [f"lesion of some kind {k}" for k in range(n)]
    figure = gain_against_strength_figure(names, x, y, y, y, "")
    figure.canvas.draw()
    axes, renderer = figure.axes[0], figure.canvas.get_renderer()
    boxes = [text.get_window_extent(renderer) for text in axes.texts if text.get_text() in names]
    led = [line.get_xydata() for line in axes.lines if line.get_linewidth() == 0.7]
    lines = [axes.transData.transform(ends) for ends in led]
    along = np.linspace(0, 1, 400)[:, None]
    for number, (start, end) in enumerate(lines):
        on_it = start + along * (end - start)
        for other_start, other_end in lines[:number]:
            other = other_start + along * (other_end - other_start)
            assert np.hypot(*(on_it[:, None] - other).transpose(2, 0, 1)).min() > 0.3
        inside = [any(box.contains(*point) for point in on_it) for box in boxes]
        assert sum(inside) <= 1  # that of its own name


def test_a_line_in_each_panel_says_what_no_look_at_the_images_has():
    curves = [[(np.array([0.5, 1]), np.array([1, 0.4]))]] * 2 + [[(np.array([]), np.array([]))]]
    figure = precision_recall_figure(["a", "b", "never"], [3, 8, 0], [0.15, 0.4, 0], [(2, "MTL")], curves)
    level = [[line.get_ydata()[0] for line in axes.lines if len(set(line.get_ydata())) == 1] for axes in figure.axes]
    assert level == [[0.15], [0.4], []]
    assert [text.get_text() for text in figure.legends[0].texts] == [
        "MTL",
        "without looking: the lesion's share of the images",
    ]


def test_accuracies_of_the_location_have_a_line_at_what_the_most_frequent_have():
    values = [[(0.9, 0.8, 0.95), (1, 1, 1)], [(0.7, np.nan, np.nan), (0.9, 0.8, 0.95)]]
    axes = location_figure(["ResNet, location only", "MTL"], values, [0.3, 0.6]).axes[0]
    dashed = [line.get_ydata()[0] for line in axes.lines if line.get_linestyle() == "--"]
    assert dashed == [0.3, 0.6]


@pytest.mark.parametrize(("n", "written"), [(2, True), (20, True), (NUMBERS_UP_TO + 1, False)])
def test_a_matrix_has_its_numbers_as_long_as_they_can_be_read(n, written):
    names, shares = [f"place {k}" for k in range(n)], np.full((n, n), 1 / n)
    axes = heat_map(shares, [7] * n, names, names, "", "", "", whole_scale=True).axes[0]
    assert [text.get_text() for text in axes.texts] == [f"{100 / n:.0f}"] * (n * n if written else 0)
    assert axes.collections[0].get_clim() == (0, 100)


def test_the_chart_of_gains_begins_with_the_largest_and_ends_with_the_means(monkeypatch, tmp_path):
    gains = [
        Gain(name, 5, 0.5, 0.5 + value, Measured(value, value - 0.1, value + 0.1), 0, 0.2)
        for name, value in [
            ("a", -0.2),
            ("none", np.nan),
            ("b", 0.3),
            ("c", 0.1),
            ("mAP-class", 0.9),
            ("mAP-image", 0.8),
        ]
    ]
    drawn = {}
    monkeypatch.setattr(
        "skinmtl.report.draw.save_and_inline", lambda figure, folder, name: drawn.update({name: figure})
    )
    compared = LesionComparison((0,), 9, 5, tuple(gains[:4]), *gains[4:])
    draw_gains(compared, np.array([0.1, 0.2, 0.3, 0.4]), rank_correlation(np.arange(4), np.arange(4), 9, 1), tmp_path)
    shown = [text.get_text() for text in drawn["gains"].axes[0].get_yticklabels()]
    assert shown == ["b", "c", "a", "none", "mAP-class", "mAP-image"]
