"""Many wrong command lines of one tool, given in one process: starting one takes longer than the rest of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from conftest import ROOT

PROGRAM = """
import importlib, json, sys
name, command_lines = json.loads(sys.argv[1])
tool = importlib.import_module(name)
for words in command_lines:
    sys.argv = [name + ".py", *words]
    try:
        tool.main()
    except SystemExit as stop:
        print(stop.code)
"""


def usage_errors(name, command_lines, folder):
    """What tools/NAME.py says of each command line, run in `folder`; every one must end it with status 2."""
    given = json.dumps([name, [list(map(str, words)) for words in command_lines]])
    environment = dict(os.environ, PYTHONPATH=str(ROOT / "tools"))
    command = [sys.executable, "-c", PROGRAM, given]
    finished = subprocess.run(command, cwd=str(folder), env=environment, capture_output=True, text=True, timeout=60)
    assert finished.stdout.split() == ["2"] * len(command_lines), finished
    start = f"{name}.py: error: "
    return [line[len(start) :] for line in finished.stderr.splitlines() if line.startswith(start)]
