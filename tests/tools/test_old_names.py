"""What a flag was called before still works for one version: with one warning, out of --help, never beside the new."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from conftest import ROOT

pytestmark = pytest.mark.once

NET = (
    "--model",
    "resnet50_mtl",
    "--train-data",
    "a",
    "--test-data",
    "b",
    "--lesions",
    3,
    "--locations",
    4,
    "--out",
    "n",
)
PREDICT = ("--model-folder", "m", "a.jpg")
CONVERT = ("--checkpoint", "a.pth", "--out", "b")
# tool, what is always given, the old words, today's, and what the warning says is now what
OLD = [
    ("describe", ("--out", "o"), ("m.csv",), ("--manifest", "m.csv"), "m.csv without a flag is now --manifest m.csv"),
    (
        "describe",
        ("--manifest", "m", "--images", "i", "--out", "o"),
        ("--strict",),
        ("--fail-if-unusable",),
        "--strict is now --fail-if-unusable",
    ),
    ("make_demo_data", ("--out", "o"), ("--images", 40), ("--count", 40), "--images is now --count"),
    ("make_demo_data", ("--out", "o"), ("--images=40",), ("--count=40",), "--images=40 is now --count=40"),
    ("make_folds", ("--manifest", "m", "--out", "o"), ("--k", 3), ("--n-folds", 3), "--k is now --n-folds"),
    ("predict", ("a.jpg",), ("--model", "m"), PREDICT[:2], "--model is now --model-folder"),
    ("predict", PREDICT, ("--json",), ("--json-lines", "-"), "--json is now --json-lines -"),
    ("convert_weights", CONVERT, ("--mean", 0.5, 0.4, 0.3), ("--rgb-mean", 0.5, 0.4, 0.3), "--mean is now --rgb-mean"),
    ("convert_weights", CONVERT, ("--std", 0.5, 0.4, 0.3), ("--rgb-std", 0.5, 0.4, 0.3), "--std is now --rgb-std"),
    (
        "figure3",
        ("--attention", "a", "--neighbours", "n", "--manifest", "m", "--images", "i", "--out", "o.png"),
        ("--query", "1.png", "--query", "2.png"),
        ("--image", "1.png", "--image", "2.png"),
        "--query is now --image",
    ),
    ("leakage", ("--manifest", "m", "--folds", "f"), ("--fail-on-leak",), ("--fail-if-leak",), "now --fail-if-leak"),
    (
        "evaluate",
        ("s.npz",),
        ("--at-least", "map_class=0.5", "--at-least", "map_image=0.5"),
        ("--fail-if-below", "map_class=0.5", "--fail-if-below", "map_image=0.5"),
        "--at-least is now --fail-if-below",
    ),
    ("report", ("--experiment", "e", "--manifest", "m"), ("--resamples", 9), ("--bootstrap", 9), "now --bootstrap"),
    (
        "report",
        ("--experiment", "e", "--manifest", "m"),
        ("--require-complete",),
        ("--fail-if-incomplete",),
        "--require-complete is now --fail-if-incomplete",
    ),
    ("make_prototxt", NET, ("--jitter", "online"), ("--online-jitter",), "--jitter online is now --online-jitter"),
    ("make_prototxt", NET, ("--jitter=online",), ("--online-jitter",), "--jitter online is now --online-jitter"),
    ("make_prototxt", NET, ("--jitter", "offline"), (), "--jitter offline is now what happens without --online-jitter"),
]
PROGRAM = """
import contextlib, importlib, io, json, sys
done = []
for name, words in json.loads(sys.argv[1]):
    tool = importlib.import_module(name)
    sys.argv = [name + ".py", *words]
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        try:
            result = repr(tool.parse_args())
        except SystemExit as stop:
            result = stop.code
    old = sorted(tool.make_parser().old_names)
    done.append([result, said.getvalue(), old, tool.make_parser().format_help()])
print(json.dumps(done))
"""


@pytest.fixture(scope="module")
def parsed():
    """(tool, words) -> [the arguments or the exit status, stderr, the tool's old names, its help]."""

    def both(name, always, old, new, _):
        return [(name, (*always, *old)), (name, (*always, *new)), (name, (*always, *old, *new))]

    lines = [(name, [str(word) for word in words]) for row in OLD for name, words in both(*row)]
    lines.append(("describe", ["--out", "o"]))
    command = [sys.executable, "-c", PROGRAM, json.dumps(lines)]
    environment = dict(os.environ, PYTHONPATH=str(ROOT / "tools"))
    made = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found = {(name, tuple(words)): result for (name, words), result in zip(lines, json.loads(made.stdout))}
    return lambda name, *words: found[name, tuple(map(str, words))]


@pytest.mark.parametrize("name, always, old, new, warning", OLD, ids=lambda value: " ".join(map(str, value)) or "-")
def test_an_old_name_is_todays_with_one_warning(parsed, name, always, old, new, warning):
    before, said, old_names, text = parsed(name, *always, *old)
    now, quiet, _, _ = parsed(name, *always, *new)
    assert quiet == ""
    assert before == now, said
    assert len(said.splitlines()) == 1
    assert said.startswith(f"{name}.py: ") and warning in said
    flag = str(old[0]).partition("=")[0]
    if flag.startswith("--"):
        assert flag in old_names
        assert f"{flag} " not in text.replace(f"{flag}-", "")


@pytest.mark.parametrize("name, always, old, new, warning", [row for row in OLD if row[3]])
def test_an_old_name_beside_the_new_one_is_refused(parsed, name, always, old, new, warning):
    status, said, _, _ = parsed(name, *always, *old, *new)
    assert status == 2
    assert "give one of them" in said.splitlines()[-1]


def test_what_was_positional_is_still_required(parsed):
    status, said, _, text = parsed("describe", "--out", "o")
    assert status == 2
    assert said.splitlines()[-1] == "describe.py: error: the following arguments are required: --manifest"
    assert "describe.py [-h] --manifest CSV" in text
