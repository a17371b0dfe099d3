"""Phases: what a file of them may hold, which iteration is of which, and their nets."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caffe_files.errors import InputError
from skinmtl.training.phases import Phase, as_records, phase_until, phases_of, read_phases, scaled, starts_of

THREE = (
    Phase(("fpn_*", "fc_*"), 0.001, 40000),
    Phase(("fpn_*", "fc_*", "res4*"), 0.001, 80000),
    Phase(("*",), 0.0001, 40000),
)
YAML = """# of a user
phases:
  - {trainable: ["fpn_*", "fc_*"], base_lr: 0.001, iterations: 40000}
  - trainable:
      - fpn_*
      - fc_*
      - res4*
    base_lr: 1.0e-3
    iterations: 80000
  - {iterations: 40000, base_lr: 0.0001, trainable: ['*']}
"""
GOOD = {"trainable": ["*"], "base_lr": 0.1, "iterations": 5}


@pytest.mark.parametrize("name", ["phases.yaml", "phases.json", "phases.JSON", "phases"])
def test_a_file_is_yaml_or_json(tmp_path, name):
    path = tmp_path / name
    path.write_text(json.dumps({"phases": as_records(THREE)}) if name.lower().endswith(".json") else YAML)
    assert read_phases(path) == THREE


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "holds no single list 'phases'"),
        ("- 1", "holds no single list 'phases'"),
        ("phases: 3", "holds no single list 'phases'"),
        ("phase: []", "holds no single list 'phases'"),
        ("phases: []", "has no phase in its list"),
        ("phases: [", "is no YAML"),
        ("phases: [3]", "phase 1: 3 is no phase"),
        (json.dumps({"phases": [GOOD], "seed": 3}), "holds no single list 'phases'"),
        *(
            (json.dumps({"phases": [GOOD, {**GOOD, **wrong}]}), f"phase 2: {words}")
            for wrong, words in [
                ({"rate": 3}, "'rate' is not known"),
                ({"trainable": "fc"}, "trainable is 'fc', not a list of patterns"),
                ({"trainable": []}, "trainable is .., not a list"),
                ({"trainable": [3]}, "trainable is .3., not a list"),
                ({"trainable": [""]}, "trainable is .''., not a list"),
                ({"base_lr": 0}, "base_lr is 0, not a number from 0 to 1e.06"),
                ({"base_lr": True}, "base_lr is True"),
                (
                    {"base_lr": "1e-3"},
                    "base_lr is '1e-3', not a number from 0 to 1e.06, which YAML reads as text: write 1.0e-3",
                ),
                ({"base_lr": 10**400}, "base_lr is "),
                ({"iterations": 0}, "iterations is 0, not a whole number from 1"),
                ({"iterations": 2.5}, "iterations is 2.5"),
                ({"iterations": 2**31}, "iterations is 2147483648"),
            ]
        ),
        ("phases: [{trainable: ['*'], base_lr: .nan, iterations: 3}]", "phase 1: base_lr is nan"),
        ("phases: [{trainable: ['*'], base_lr: 0.1}]", "phase 1: iterations is missing"),
        (json.dumps({"phases": [{**GOOD, "iterations": 2**30}] * 2}), "more than 2147483647 iterations in all"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_one_line(tmp_path, text, words):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=words) as error:
        read_phases(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there_is_told(tmp_path):
    for name in ("none.yaml", "none.json"):
        with pytest.raises(InputError, match=f"{name}: cannot be read"):
            read_phases(tmp_path / name)


def test_a_record_of_phases_is_read_as_they_are():
    assert phases_of(json.loads(json.dumps(as_records(THREE)))) == THREE


def test_an_iteration_is_of_the_phase_that_led_to_it():
    phases = (Phase(("*",), 0.1, 4), Phase(("*",), 0.1, 1), Phase(("*",), 0.1, 3))
    assert starts_of(phases) == [0, 4, 5, 8]
    assert [phase_until(phases, iteration) for iteration in range(9)] == [0, 0, 0, 0, 0, 1, 2, 2, 2]
    assert phase_until((), 7) == 0


@settings(max_examples=100, derandomize=True, deadline=None)
@given(
    st.lists(st.tuples(st.floats(1e-6, 1), st.integers(1, 10**6)), min_size=1, max_size=5),
    st.floats(1e-6, 1),
    st.integers(1, 10**6),
)
def test_scaled_phases_have_the_iterations_and_the_first_rate_that_are_asked_for(each, base_lr, max_iter):
    phases = tuple(Phase((str(number),), *rest) for number, rest in enumerate(each))
    made = scaled(phases, base_lr, max_iter)
    assert sum(phase.iterations for phase in made) == max_iter
    for phase in made:
        before = phases[int(phase.trainable[0])]
        assert phase.base_lr == pytest.approx(base_lr * before.base_lr / phases[0].base_lr, rel=1e-5)
        expected = max_iter * before.iterations / starts_of(phases)[-1]
        assert 0 < phase.iterations <= expected + 1


def test_three_phases_of_a_shorter_run():
    made = scaled(THREE, 0.01, 10)
    assert [(phase.base_lr, phase.iterations) for phase in made] == [(0.01, 2), (0.01, 6), (0.001, 2)]
