"""Tests run tools in copies of one process (helpers/tool_server.py): what they see is what a started tool does."""

from __future__ import annotations

import os
import subprocess

import pytest
from conftest import ROOT

TOOLS = sorted(path.name for path in (ROOT / "tools").glob("*.py") if os.access(str(path), os.X_OK))
# what it does: words of its file
PROGRAMS = {
    "prints in both streams": "import sys; print('öut'); print('err', file=sys.stderr)",
    "writes around Python": "import os; os.write(1, b'1'); os.write(2, b'2')",
    "ends with a status": "import sys; sys.exit(7)",
    "ends with words": "import sys; sys.exit('words')",
    "ends in an error": "print('first'); 1 / 0",
    "is killed": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "has a traceback of its own": "import sys; sys.excepthook = lambda *_: print('mine'); 1 / 0",
    "does something at its end": "import atexit; atexit.register(print, 'last')",
    "waits for its threads": "import threading, time\n"
    "threading.Thread(target=lambda: (time.sleep(0.1), print('late'))).start()",
    "says what it is": "import os, sys\nprint(__name__, __file__, sys.argv, sys.path[0], os.getcwd(), sys.flags)",
    "warns": "import warnings; warnings.warn('careful')",
    "knows no other module": "import sys; print({'pytest', 'conftest', 'tool_server'} & set(sys.modules))",
    "reads nothing": "import sys; print(repr(sys.stdin.read()))",
    "says what its streams are": "import sys\n"
    "print([(s.encoding, s.errors, s.isatty()) for s in (sys.stdout, sys.stderr)])",
}


def said(done, *left_out):
    """Status and streams; a traceback's lines are of its files, and a copy has one more."""
    error = [line for line in done.stderr.splitlines() if not line.startswith("  ") and "Traceback" not in line]
    return done.returncode, done.stdout, error


@pytest.mark.parametrize("does", PROGRAMS)
def test_a_copy_does_what_a_started_tool_does(tool, tmp_path, does):
    program = tmp_path / "program.py"
    program.write_text(PROGRAMS[does], encoding="utf-8")
    copied, started = tool(program, "a b", "é"), tool.started(program, "a b", "é")
    assert said(copied) == said(started)
    assert ("Traceback" in copied.stderr) == ("Traceback" in started.stderr)


def test_a_copy_leaves_nothing_to_the_next(tool, tmp_path):
    (tmp_path / "one.py").write_text("import json, os; json.left = 1; os.environ['LEFT'] = '1'; os.chdir('/')")
    (tmp_path / "two.py").write_text("import json, os; print(hasattr(json, 'left'), 'LEFT' in os.environ, os.getcwd())")
    assert tool(tmp_path / "one.py").returncode == 0
    assert tool(tmp_path / "two.py", cwd=tmp_path).stdout == f"False False {tmp_path}\n"


def test_a_copy_that_does_not_end_is_killed(tool, tmp_path):
    (tmp_path / "slow.py").write_text("import os, time; print(os.getpid(), flush=True); time.sleep(60)")
    with pytest.raises(subprocess.TimeoutExpired) as stopped:
        tool(tmp_path / "slow.py", timeout=1)
    with pytest.raises(ProcessLookupError):
        os.kill(int(stopped.value.output), 0)
    (tmp_path / "next.py").write_text("print('next')")
    assert tool(tmp_path / "next.py").stdout == "next\n"


def test_what_is_set_for_a_test_is_seen_by_what_a_tool_loads(tool, tmp_path, monkeypatch):
    (tmp_path / "program.py").write_text("import sys; print(sys.flags.dont_write_bytecode)")
    assert tool(tmp_path / "program.py", env={"PYTHONDONTWRITEBYTECODE": "1"}).stdout == "1\n"
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    assert tool(tmp_path / "program.py").stdout == "1\n"


@pytest.mark.parametrize("name", TOOLS)
def test_every_tool_starts(tool, name):
    started = tool.started(name, "--help")
    assert (started.returncode, started.stderr) == (0, "")
    copied = tool(name, "--help")
    assert (copied.returncode, copied.stdout, copied.stderr) == (0, started.stdout, "")


def test_wrong_usage_and_wrong_input_are_told_by_a_started_tool(tool, refused, tmp_path):
    assert tool.started("evaluate.py", "--nothing").returncode == 2
    refused(tool.started("evaluate.py", tmp_path / "none.npz"), "none.npz")
