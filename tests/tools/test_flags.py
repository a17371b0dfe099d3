"""One meaning per flag: the same name takes the same kind of value in every tool, and stands in the table once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict

import pytest
from conftest import ROOT

pytestmark = pytest.mark.once

PROGRAM = """
import json, sys
sys.path[:0] = sys.argv[1:]
from flag_table import all_flags
from flags import FLAGS
print(json.dumps([[each._asdict() for each in all_flags()], FLAGS]))
"""
# tools where a flag takes its value several times, or a list of values: the meaning is the same
OTHER_FORM = {
    "--masks": {"make-demo-data"},  # it draws them, and needs no folder
    "--features": {"make-prototxt"},  # a blob's name, not the file of it
    "--balance": {"make-lmdb"},  # over folds even numbers, within one a share of the images
    "--folds": {"run"},  # their number, to deal them
    "--weights": {"run", "train"},  # what training starts from may be several files
    "--out": {"figure3"},  # a figure in several formats
    "--group-column": {"import-dataset csv"},  # where the first is empty, the next
    "--table": {"import-dataset dermacon-in"},  # two tables that are known by name
}


@pytest.fixture(scope="module")
def read():
    command = [sys.executable, "-c", PROGRAM, str(ROOT / "tools")]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_every_flag_stands_in_the_table_and_the_table_has_no_other(read):
    flags, table = read
    assert sorted({each["flag"] for each in flags}) == sorted(table)
    assert len({meaning for _, meaning in table.values()}) == len(table), "two flags with one meaning"


def test_a_flag_takes_what_the_table_says(read):
    flags, table = read
    for each in flags:
        assert each["value"] in table[each["flag"]][0].split(" | "), each


def test_a_flag_is_of_one_kind_in_all_tools(read):
    kinds = defaultdict(lambda: defaultdict(set))
    for each in read[0]:
        if each["command"] not in OTHER_FORM.get(each["flag"], ()):
            kinds[each["flag"]][each["kind"], each["repeats"]].add(each["command"])
    assert {flag: dict(found) for flag, found in kinds.items() if len(found) > 1} == {}


def test_exit_1_if_is_one_family(read):
    """Whatever fails a command on what it finds is --fail-if-...; --check alone keeps the name that scripts know."""
    flags = [each for each in read[0] if "exit with status 1" in each["help"] or "exit 1" in each["help"]]
    assert {each["flag"] for each in flags if not each["flag"].startswith("--fail-if-")} == {"--check"}


@pytest.mark.parametrize(
    ("flag", "kind"),
    [
        ("--manifest", "path"),
        ("--images", "path"),
        ("--json", "path"),
        ("--run", "path"),
        ("--query", "path"),
        ("--image", "text"),
        ("--k", "whole number"),
        ("--bootstrap", "whole number"),
        ("--mean", "number"),
        ("--jitter", "whole number"),
        ("--model", "choice"),
    ],
)
def test_what_was_several_things_is_one(read, flag, kind):
    assert {each["kind"] for each in read[0] if each["flag"] == flag} == {kind}
