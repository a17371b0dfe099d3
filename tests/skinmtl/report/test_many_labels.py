"""Thousands of labels: counted in seconds, and a figure shows the most frequent and says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from skinmtl.data.correlation import clustered_order, correlation, counts, strength
from skinmtl.data.manifest import Manifest, Row
from skinmtl.figures.gains import gains_figure
from skinmtl.figures.shown import MOST, most_frequent, said, shown
from skinmtl.report.correlation import correlation_figure


def manifest_of(lesions, locations, n_rows):
    """`n_rows` images with two of the lesions each; the first labels are the most frequent."""
    random = np.random.RandomState(1)
    first = np.arange(n_rows) % lesions
    second = (random.rand(n_rows) ** 3 * lesions).astype(int)
    place = (random.rand(n_rows) ** 2 * locations).astype(int)
    rows = tuple(
        Row(n + 2, f"{n}.jpg", tuple(sorted({f"l{a:04}", f"l{b:04}"})), f"s{q:03}", f"g{n}")
        for n, (a, b, q) in enumerate(zip(first.tolist(), second.tolist(), place.tolist()))
    )
    names = tuple(f"l{p:04}" for p in range(lesions)), tuple(f"s{q:03}" for q in range(locations))
    return Manifest(Path("m.csv"), rows, *names)


def test_3000_lesions_at_500_locations_are_counted():
    """An integer product of such matrices takes minutes, in one call that no signal can stop."""
    many = manifest_of(3000, 500, 4000)
    found = counts(many)
    assert found.shape == (3000, 500) and found.dtype == np.int64
    assert (found.sum(axis=1) == many.lesion_labels().sum(axis=0)).all()
    assert np.isfinite(strength(many).corrected).all()


@pytest.mark.parametrize("clustered", [False, True])
def test_a_heat_map_shows_the_most_frequent_in_its_order_and_says_so(clustered):
    some = manifest_of(MOST + 80, MOST + 5, 900)
    shares, strengths = correlation(some), strength(some)
    order = clustered_order(shares) if clustered else np.arange(len(shares))
    axes = correlation_figure(some, shares, strengths, order, clustered).axes[0]
    rows = [text.get_text().partition(" ")[0] for text in axes.get_yticklabels()]
    kept = {some.lesion_names[p] for p in most_frequent(strengths.images[order])} if not clustered else set(rows)
    assert len(rows) == MOST and set(rows) == kept
    assert rows == [name for name in (some.lesion_names[p] for p in order) if name in kept]
    assert len(axes.get_xticklabels()) == MOST
    title = axes.get_title(loc="left")
    assert f"the {MOST} most frequent of {MOST + 80} lesions\nthe {MOST} most frequent of {MOST + 5} locations" in title


def test_where_all_are_shown_nothing_is_said():
    assert said(3, 3) == ""
    assert shown([1, 5, 2], 2).tolist() == [1, 2]
    some = manifest_of(5, 4, 30)
    figure = correlation_figure(some, correlation(some), strength(some), np.arange(5), False)
    assert "most frequent" not in figure.axes[0].get_title(loc="left")


def test_a_chart_of_gains_says_it_too():
    figure = gains_figure(["a", "m", "n"], *np.zeros((3, 3)), 2, said(1, 400))
    assert "the 1 most frequent of 400" in figure.axes[0].get_title(loc="left")
