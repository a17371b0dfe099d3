"""`skinmtl COMMAND` is the tool of that name: the same process, arguments, signals and exit status."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT

import skinmtl

pytestmark = pytest.mark.once

TOOLS = ROOT / "tools"
SKINMTL = [sys.executable, str(TOOLS / "commands.py")]
EXECUTABLE = sorted(path for path in TOOLS.glob("*.py") if os.access(str(path), os.X_OK))


@pytest.fixture(scope="module")
def commands():
    spec = importlib.util.spec_from_file_location("commands", str(TOOLS / "commands.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def entry(tmp_path):
    def run(*words, command=SKINMTL, **variables):
        return subprocess.run(
            [*command, *map(str, words)],
            cwd=str(tmp_path),
            env=dict(os.environ, **variables),
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run


def test_every_tool_is_a_command_of_one_step(commands):
    assert sorted(map(commands.path_of, commands.COMMANDS)) == EXECUTABLE


def test_the_overview_has_a_line_a_command_in_the_tools_own_words(entry, commands):
    done = entry("--help", COLUMNS="120")
    assert (done.returncode, done.stderr) == (0, "")
    for step, names in commands.STEPS.items():
        group = done.stdout.partition(f"\n{step}:\n")[2].partition("\n\n")[0]
        group = re.sub(r"\n {4,}", " ", group).splitlines()  # a long line goes on below itself
        assert [line.split()[0] for line in group] == list(names)
        for line, name in zip(group, names):
            docstring = ast.get_docstring(ast.parse(commands.path_of(name).read_text(encoding="utf-8")))
            assert docstring.startswith(line.split(None, 1)[1])


@pytest.mark.parametrize("words", [[], ["-h"], ["help"]])
def test_it_is_shown_where_no_command_is_named(entry, words):
    assert entry(*words).stdout == entry("--help").stdout


def test_a_narrow_terminal_gets_longer_lists(entry):
    assert max(map(len, entry(COLUMNS="60").stdout.split("\n\n", 1)[1].splitlines()[:-1])) <= 60


@pytest.mark.parametrize("words", [["make-folds", "--help"], ["help", "make-folds"]])
def test_help_of_a_command_is_that_of_its_tool_under_the_name_that_was_typed(entry, tool, words):
    shown = entry(*words).stdout
    assert shown.startswith("usage: skinmtl make-folds [-h] --manifest ")
    assert (
        shown.split()
        == tool("make_folds.py", "--help").stdout.replace("make_folds.py", "skinmtl make-folds", 1).split()
    )


@pytest.mark.parametrize(
    "typed, meant",
    [("make-lmbd", "make-lmdb"), ("make_lmdb", "make-lmdb"), ("tools/make_folds.py", "make-folds"), ("trian", "train")],
)
def test_a_mistyped_command_is_told_the_nearest(entry, typed, meant):
    done = entry(typed)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"skinmtl: '{typed}' is not a command; did you mean {meant}? skinmtl --help lists them all\n"


def test_a_word_that_is_near_none_is_refused_all_the_same(entry):
    done = entry("help", "xyzzy")
    assert (done.returncode, done.stderr) == (2, "skinmtl: 'xyzzy' is not a command; skinmtl --help lists them all\n")


def test_the_version_says_which_python_and_which_copy(entry):
    said = entry("--version").stdout
    assert said.startswith(f"skinmtl {skinmtl.__version__} ({TOOLS}; Python {sys.version.split()[0]}, ")


def test_messages_and_statuses_are_the_tools_under_the_name_that_was_typed(entry, tmp_path):
    missing = entry("correlate", "--manifest", tmp_path / "m.csv", "--out", tmp_path / "out")
    assert missing.returncode == 1
    assert missing.stderr.startswith(f"skinmtl correlate: {tmp_path / 'm.csv'}")
    wrong = entry("correlate", "--manyfest")
    assert wrong.returncode == 2
    assert wrong.stderr.splitlines()[-1].startswith("skinmtl correlate: error: ")


def test_the_tool_takes_the_place_of_the_process_and_so_gets_its_signals(make_dataset, tmp_path):
    data = make_dataset(6)
    options = ["--manifest", data.manifest, "--images", data.images, "--jitter", 300, 480, "--copies", 5000]
    process = subprocess.Popen(
        [*SKINMTL, "make-lmdb", *map(str, options), "--out", str(tmp_path / "out"), "--workers", "1"],
        stderr=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + 60
    while not list(tmp_path.glob(".out.*")):
        assert time.monotonic() < end
        time.sleep(0.02)
    assert b"make_lmdb.py" in Path(f"/proc/{process.pid}/cmdline").read_bytes()
    assert b"SKINMTL_COMMAND=skinmtl make-lmdb" in Path(f"/proc/{process.pid}/environ").read_bytes()
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=60)[1]
    assert (process.returncode, said) == (143, "skinmtl make-lmdb: stopped by SIGTERM\n")


def test_what_a_tool_starts_does_not_take_itself_for_it():
    """The name is taken out of the environment by the first tool that reads it."""
    script = "import cli, os; print(cli.program(), os.environ.get('SKINMTL_COMMAND'))"
    variables = dict(os.environ, PYTHONPATH=str(TOOLS), SKINMTL_COMMAND="skinmtl run")
    done = subprocess.run([sys.executable, "-c", script], env=variables, capture_output=True, text=True)
    assert done.stdout == "skinmtl run None\n", done.stderr


def test_nothing_slow_is_imported_before_the_tool():
    script = "import sys; sys.argv = ['skinmtl', 'nothing']; import commands; commands.main(); print(*sys.modules)"
    variables = dict(os.environ, PYTHONPATH=str(TOOLS))
    modules = subprocess.run(
        [sys.executable, "-c", script], env=variables, capture_output=True, text=True
    ).stdout.split()
    assert "commands" in modules
    assert not {"numpy", "cv2", "google", "skinmtl", "argparse", "ast", "subprocess"} & set(modules)


def test_a_reader_that_leaves_is_no_traceback():
    process = subprocess.Popen(SKINMTL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    process.wait(timeout=20)


@pytest.mark.skipif(shutil.which("skinmtl", path=str(Path(sys.executable).parent)) is None, reason="not installed here")
def test_it_stands_beside_this_python(entry):
    beside = str(Path(sys.executable).parent / "skinmtl")
    assert entry("--version", command=[beside]).stdout.startswith(f"skinmtl {skinmtl.__version__} (")


@pytest.mark.caffe
@pytest.mark.skipif(not (ROOT / ".venv/bin/snakemake").is_file(), reason="no Snakemake: make .venv/ready")
def test_run_is_run_by_the_python_that_has_snakemake(entry, commands):
    """.caffe/bin may be first on PATH: its Python runs all other commands, and is too old for Snakemake."""
    assert commands.python_for("train") == sys.executable
    assert commands.python_for("run") == str(ROOT / ".venv/bin/python")
    if (ROOT / ".venv/bin/shtab").is_file():
        assert commands.python_for("completion") == str(ROOT / ".venv/bin/python")
    done = entry("run", "manifest.csv", "--images", "images", "--out", "out")
    assert "manifest.csv" in done.stderr and "Snakemake" not in done.stderr
