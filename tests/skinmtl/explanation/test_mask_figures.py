"""Maps against masks: the figures by formulas written out pixel by pixel, and what is known without a formula."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skinmtl.explanation.map_evaluation import AGAINST, Measured, figures_of
from skinmtl.explanation.map_words import verdicts
from skinmtl.explanation.mask_figures import LEVELS, centre_pixel, gaussian, values_of


def drawn(seed, height=7, width=9):
    random = np.random.RandomState(seed)
    attention = np.round(random.randn(height, width) * 10.0 ** (seed % 3), 1)
    mask = random.rand(height, width) < 0.4
    mask[0, 0], mask[-1, -1] = True, False
    return attention, mask


@given(st.integers(0, 10**6))
@settings(max_examples=50, deadline=None)
def test_the_figures_are_those_that_are_counted_pixel_by_pixel(seed):
    attention, mask = drawn(seed)
    found = values_of(attention, mask)
    low, high = attention.min(), attention.max()
    positive = inside = shown = shown_inside = 0.0
    for value, is_lesion in zip(attention.ravel(), mask.ravel()):
        positive += max(value, 0)
        inside += max(value, 0) * is_lesion
        shown += (value - low) / (high - low)
        shown_inside += (value - low) / (high - low) * is_lesion
    assert found.evidence == pytest.approx(inside / positive if positive else 0)
    assert found.mass == pytest.approx(shown_inside / shown)
    highest = [is_lesion for value, is_lesion in zip(attention.ravel(), mask.ravel()) if value == high]
    assert found.hit == pytest.approx(sum(highest) / len(highest))
    for level in (0, 1, 100, LEVELS - 1):
        above = (attention - low) / (high - low) * (LEVELS - 1) >= level
        expected = np.logical_and(above, mask).sum() / np.logical_or(above, mask).sum()
        assert found.overlaps[level] == pytest.approx(expected)


@given(st.integers(0, 10**6), st.floats(0.1, 50), st.floats(-100, 100))
@settings(max_examples=50, deadline=None)
def test_a_map_that_is_stretched_and_moved_is_worth_the_same_but_for_its_evidence(seed, times, more):
    attention, mask = drawn(seed)
    one, other = values_of(attention, mask), values_of(times * attention + more, mask)
    assert other.mass == pytest.approx(one.mass, abs=1e-6)
    assert other.hit == pytest.approx(one.hit)


def test_the_mask_itself_is_worth_everything_and_its_opposite_nothing():
    _, mask = drawn(3)
    assert values_of(mask.astype(float), mask)[:3] == (1, 1, 1)
    assert values_of(mask.astype(float), mask).overlaps.max() == 1
    assert values_of(~mask * 2.0, mask)[:3] == (0, 0, 0)


@pytest.mark.parametrize("value", [0.0, -3.0, 5.0])
def test_a_map_that_is_the_same_everywhere_is_worth_what_chance_is(value):
    _, mask = drawn(4)
    found = values_of(np.full(mask.shape, value), mask)
    assert (found.mass, found.hit, found.overlaps.max()) == pytest.approx((mask.mean(),) * 3)
    assert found.evidence == pytest.approx(mask.mean() if value > 0 else 0)


def test_the_middle_is_in_the_middle():
    for height, width in ((7, 9), (8, 12), (1, 5)):
        high = gaussian(height, width)
        assert np.allclose(high, high[::-1, ::-1])
        pixel = centre_pixel(height, width)
        assert pixel.sum() == (2 - height % 2) * (2 - width % 2)
        assert np.array_equal(pixel > 0, np.isclose(high, high.max(), rtol=1e-9))
    across = gaussian(1, 4001)[0]
    assert across[3000] / across[2000] == pytest.approx(np.exp(-0.5), abs=1e-3)  # a quarter of the side further


def measured(n, of_mask, seed=1):
    """n pictures in pairs of groups, whose maps are `of_mask` of their masks."""
    random, part = np.random.RandomState(seed), Measured()
    for number in range(n):
        mask = np.zeros((20, 24), bool)
        top, left = random.randint(0, 12), random.randint(0, 16)
        mask[top : top + 6, left : left + 7] = True
        part.add(f"p{number // 2}", of_mask(mask, random), mask)
    return part


def test_maps_that_lie_on_the_lesion_beat_the_middle_and_noise_does_not():
    good = measured(40, lambda mask, random: mask + 0.2 * random.rand(*mask.shape))
    noise = measured(40, lambda mask, random: random.rand(*mask.shape))
    against = measured(40, lambda mask, random: -1.0 * mask)
    of_good, of_noise, of_opposite = figures_of([good, noise, against], 300, 1)
    for name in ("evidence", "mass", "hit", "overlap"):
        assert of_good[name]["verdict"] == "better"
        assert of_noise[name]["verdict"] in ("worse", "not better")
        assert of_opposite[name]["verdict"] == ("worse" if name != "overlap" else of_opposite[name]["verdict"])
        if name in ("hit", "overlap"):  # perfect, of every picture: another patient's would not change it
            assert (of_good[name]["map"], of_good[name]["interval"]) == (1, None)
        else:
            low, high = of_good[name]["interval"]
            assert low <= of_good[name]["map"] <= high
    assert of_opposite["n_without_evidence"] == 40
    assert of_good["n_groups"] == 20


def test_intervals_are_of_groups_that_are_drawn_whole():
    """Slowly: groups are drawn by the same random numbers, their pictures listed one by one."""
    part, resamples = measured(24, lambda mask, random: mask + random.randn(*mask.shape)), 50
    (found,) = figures_of([part], resamples, 7)
    names = sorted(set(part.groups))
    differences, means = [], []
    for number in range(resamples):
        random = np.random.RandomState([7, number])
        groups = [names[n] for n in random.randint(0, len(names), len(names))]
        pictures = [n for group in groups for n, of in enumerate(part.groups) if of == group]
        means.append(np.mean([part.maps[n].mass for n in pictures]))
        best = [np.mean([values[n].overlaps for n in pictures], axis=0).max() for values in (part.maps, part.gaussian)]
        differences.append(best[0] - best[1])
    assert found["mass"]["interval"] == pytest.approx(np.percentile(means, [2.5, 97.5]).tolist())
    assert found["overlap"]["better_by_interval"] == pytest.approx(np.percentile(differences, [2.5, 97.5]).tolist())
    assert found["mass"]["map"] == pytest.approx(np.mean([one.mass for one in part.maps]))


@pytest.mark.parametrize("n_groups", [1, 4, 9])
def test_few_groups_have_figures_without_intervals_or_a_verdict(n_groups):
    few = measured(2 * n_groups, lambda mask, random: mask + 0.1 * random.rand(*mask.shape))
    many = measured(24, lambda mask, random: mask + 0.1 * random.rand(*mask.shape))
    alone, (beside, other) = figures_of([few], 10, 1)[0], figures_of([few, many], 10, 1)
    for found in (alone, beside):
        assert all((found[name]["interval"], found[name]["verdict"]) == (None, None) for name in AGAINST)
        (first, *_) = verdicts("lesion", {**found, "by_label": {"scar": found, "cyst": other}})[:1]
        assert f"too few to tell: {n_groups} group" in first and "beats" not in first
    assert other["mass"]["verdict"] == "better"
    last = verdicts("lesion", {**beside, "by_label": {"scar": beside, "cyst": other}})[-1]
    assert last.endswith("better for cyst; too few to tell for scar")


def test_a_difference_that_is_the_same_in_every_resample_has_no_interval():
    part = Measured()
    for number in range(12):
        mask = np.zeros((20, 24), bool)
        mask[:5, :6] = True
        part.add(f"p{number}", mask * 1.0, mask)
    (found,) = figures_of([part], 20, 1)
    assert found["hit"]["better_by_interval"] is None
    said = verdicts("lesion", {**found, "by_label": {"scar": found}})
    assert "+1.000 against the pixel in the middle in every resample, so that there is no interval" in said[2]
    assert said[-1].endswith("always the same for scar")
