"""Every tool's parser can be had without running the tool: completion and the table of flags are made from it."""

from __future__ import annotations

import os
import subprocess
import sys

from conftest import ROOT

TOOLS = sorted(path.stem for path in (ROOT / "tools").glob("*.py") if os.access(str(path), os.X_OK))
PROGRAM = """
import argparse, importlib, sys
for name in sys.argv[1:]:
    tool = importlib.import_module(name)
    parser, again = tool.make_parser(), tool.make_parser()
    assert isinstance(parser, argparse.ArgumentParser) and again is not parser
    assert tool.__doc__.startswith(parser.description.splitlines()[0])
    assert callable(tool.parse_args) and callable(tool.main)
    parser.format_help()
    print(name)
"""


def test_every_tool_makes_its_parser_and_does_nothing_else(tmp_path):
    command = [sys.executable, "-c", PROGRAM, *TOOLS]
    environment = dict(os.environ, PYTHONPATH=str(ROOT / "tools"))
    finished = subprocess.run(command, cwd=str(tmp_path), env=environment, capture_output=True, text=True, timeout=120)
    assert (finished.stdout.split(), finished.stderr) == (TOOLS, "")
    assert not list(tmp_path.iterdir())
