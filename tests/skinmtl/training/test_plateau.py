"""When the learning rate falls, and when training ends."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skinmtl.training.plateau import Plateau, PlateauRule

RULES = st.builds(
    PlateauRule,
    factor=st.sampled_from([2.0, 10.0, 3.7]),
    window=st.integers(1, 4),
    threshold=st.sampled_from([0.0, 0.01, 0.3]),
    patience=st.integers(1, 4),
    minimum=st.sampled_from([1e-1, 1e-3, 1e-6]),
)
ERRORS = st.lists(st.floats(0, 8, allow_nan=False, width=32), max_size=60)


def rates_after(rule, errors, base=0.1):
    plateau = Plateau(rule, base)
    rates = []
    for error in errors:
        plateau.observe(error)
        rates.append(plateau.rate)
        if plateau.ended:
            break
    return rates, plateau


def slow_reference(rule, errors, base=0.1):
    """The rule's words, with the whole history looked at anew at every test. Rates after each test, and the end."""
    rates, drops, since_drop, means = [], 0, 0, []
    for now in range(1, len(errors) + 1):
        if now - since_drop >= rule.window:
            means.append((now, float(sum(errors[now - rule.window : now]) / rule.window)))
        stale = 0
        best = None
        for at, mean in means:
            if best is None or mean < best * (1 - rule.threshold):
                best, stale = mean, 0
            else:
                stale += 1 if at > since_drop else 0
        if stale >= rule.patience:
            since_drop = now
            if base / rule.factor ** (drops + 1) < rule.minimum * (1 - 1e-6):
                return [*rates, base / rule.factor**drops], True
            drops += 1
        rates.append(base / rule.factor**drops)
    return rates, False


@settings(max_examples=300, derandomize=True, deadline=None)
@given(RULES, ERRORS)
def test_it_is_the_rule_looked_at_anew_at_every_test(rule, errors):
    rates, plateau = rates_after(rule, errors)
    expected, ended = slow_reference(rule, errors)
    np.testing.assert_allclose(rates, expected, rtol=1e-5)
    assert plateau.ended == ended


@settings(max_examples=200, derandomize=True, deadline=None)
@given(RULES, ERRORS, st.integers(0, 60))
def test_a_state_saved_as_json_goes_on_as_if_never_stopped(rule, errors, at):
    whole = Plateau(rule, 0.1)
    resumed = Plateau(rule, 0.1)
    for number, error in enumerate(errors):
        if number == at:
            resumed = Plateau.from_state(json.loads(json.dumps(resumed.state())))
        assert whole.observe(error) == resumed.observe(error)
    assert whole.state() == resumed.state()


@settings(max_examples=200, derandomize=True, deadline=None)
@given(RULES, ERRORS)
def test_rates_only_fall_and_never_below_the_minimum(rule, errors):
    rates, _ = rates_after(rule, errors)
    assert all(before >= after for before, after in zip([0.1, *rates], rates))
    assert all(rate >= min(rule.minimum, 0.1) * (1 - 1e-6) for rate in rates)


def test_an_error_that_falls_enough_keeps_the_rate():
    errors = [0.9**n for n in range(100)]
    rates, plateau = rates_after(PlateauRule(window=3, patience=1, threshold=0.05), errors)
    assert set(rates) == {0.1}
    assert not plateau.ended


def test_a_constant_error_ends_training_after_the_tests_that_the_rule_needs():
    rule = PlateauRule(factor=10, window=3, threshold=0.01, patience=5, minimum=1e-5)
    rates, plateau = rates_after(rule, [0.5] * 1000, base=1e-3)
    assert plateau.ended
    # the first stage fills the window, sets the best and waits; the two after it have the best already
    assert len(rates) == (3 + 5) + (2 + 5) + (2 + 5)
    assert sorted(set(rates)) == pytest.approx([1e-5, 1e-4, 1e-3])


def test_the_window_after_a_fall_has_only_tests_at_the_new_rate():
    plateau = Plateau(PlateauRule(window=2, patience=1, threshold=0.0), 1.0)
    assert [plateau.observe(error) for error in (1.0, 1.0, 9.0)] == [False, False, True]
    # with the 9 in its mean this would be no gain, and a second fall
    assert not plateau.observe(0.5)
    assert not plateau.observe(0.5)


def test_a_rate_is_the_same_number_as_float32_and_as_text():
    for factor in (3.0, 7.0, 10.0):
        for drops in range(8):
            plateau = Plateau(PlateauRule(factor=factor), 0.1)
            plateau._drops = drops
            assert np.float32(f"{plateau.rate:.7g}") == np.float32(plateau.rate)
            assert np.float32(f"{np.float32(plateau.rate):.7g}") == np.float32(plateau.rate)


def test_nan_is_no_error():
    with pytest.raises(ValueError, match="NaN"):
        Plateau(PlateauRule(), 0.1).observe(float("nan"))
