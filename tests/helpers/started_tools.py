"""Tools as a user runs them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SERVER = Path(__file__).with_name("tool_server.py")
# pytest's own, which change from test to test
OF_PYTEST = "PYTEST_"


class Tools:
    """Runs tools/NAME from another folder, `elsewhere`; what it returns is as of subprocess.run, with text output.

    It is run in a copy of a process that has loaded the libraries (helpers/tool_server.py), which saves most of the
    time. A tool is really started where a test asks for it by `started`, or has it in an environment of its own.
    """

    def __init__(self, elsewhere):
        self._elsewhere, self._server, self._connection = elsewhere, None, None

    def __call__(self, name, *arguments, cwd=None, timeout=120, env=None):
        command = [str(ROOT / "tools" / name), *map(str, arguments)]
        if env or (self._server and self._environment != _environment()):
            return self.started(name, *arguments, cwd=cwd, timeout=timeout, env=env)
        if self._server is None:
            self._start()
        with tempfile.NamedTemporaryFile() as stdout, tempfile.NamedTemporaryFile() as stderr:
            streams = {"stdout": stdout.name, "stderr": stderr.name}
            folder = str(Path(cwd or self._elsewhere).resolve())
            asked = {"command": command, "folder": folder, "environment": dict(os.environ), **streams}
            self._lines.write(json.dumps(asked) + "\n")
            self._lines.flush()
            copy = int(self._lines.readline())
            status = self._status_in(timeout, copy)
            texts = [file.read().decode().replace("\r\n", "\n") for file in (stdout, stderr)]
        if status is None:
            raise subprocess.TimeoutExpired(command, timeout, *texts)
        return subprocess.CompletedProcess([sys.executable, *command], status, *texts)

    def started(self, name, *arguments, cwd=None, timeout=120, env=None):
        """Runs it in a new process, which loads everything itself."""
        return subprocess.run(
            [sys.executable, str(ROOT / "tools" / name), *map(str, arguments)],
            cwd=str(cwd or self._elsewhere),
            capture_output=True,
            text=True,
            timeout=timeout,
            env=dict(os.environ, **(env or {})),
        )

    def close(self):
        if self._server is not None:
            self._lines.close()
            self._connection.close()
            self._server.wait(timeout=20)

    def _start(self):
        self._connection, theirs = socket.socketpair()
        command = [sys.executable, str(SERVER), str(theirs.fileno())]
        self._server = subprocess.Popen(command, pass_fds=[theirs.fileno()], cwd=str(self._elsewhere))
        theirs.close()
        self._environment = _environment()
        self._lines = self._connection.makefile("rw", encoding="utf-8")

    def _status_in(self, seconds, copy):
        """The exit status; None where the tool did not end in time, and was killed."""
        self._connection.settimeout(seconds)
        try:
            return int(self._lines.readline())
        except socket.timeout:
            os.kill(copy, signal.SIGKILL)
        self.close()
        self._server = None
        return None


def _environment():
    return {name: value for name, value in os.environ.items() if not name.startswith(OF_PYTEST)}
