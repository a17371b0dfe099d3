"""Runs tools as if each were started anew, but in copies of one process that has loaded their libraries already.

Loading them takes up to a second, most of what a run in a test costs. A copy (a fork) does all that a started tool does
beside that: it runs the tool's own file, and has its own arguments, folder, streams, signals and exit status. Nothing
that it changes is seen by the next. What differs: all copies share the hashes of their strings, and a library that
reads the environment when it is loaded has read the tests' own; see `Tools` for what is therefore really started.

Asked on the socket whose number is its argument: a JSON object a line. It answers with two lines: the copy's process
id, and its exit status once it has ended.
"""

from __future__ import annotations

import ast
import atexit
import contextlib
import gc
import importlib.util
import io
import json
import os
import runpy
import socket
import sys
import threading
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# what the engines load when a net is run; not pycaffe itself, which reads the environment when it is loaded
OF_ENGINE = {"caffe": ("skimage.io", "skimage.transform"), "torch": ("skinmtl.engines.torch_engine",)}


def load_libraries(tool, loaded):
    """Imports what the tool and the files beside it that it imports take from the library; `loaded` has their names."""
    if tool in loaded or not tool.is_file():
        return
    loaded.add(tool)
    for node in ast.parse(tool.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module]
        else:
            continue
        for name in names:
            if tool.with_name(f"{name}.py").is_file():
                load_libraries(tool.with_name(f"{name}.py"), loaded)
            else:
                load(name)


def load_engines(words):
    """The same of a tool that runs nets: of the engine that there is, and of the other one if it is asked for."""
    if "skinmtl.engines.engine" in sys.modules:
        for engine, names in OF_ENGINE.items():
            if engine in words or (engine == "caffe" and importlib.util.find_spec(engine)):
                for name in names:
                    load(name)


def load(name):
    with contextlib.suppress(ImportError):  # the tool itself says so
        importlib.import_module(name)


def become(asked):
    """Makes this process what a started tool finds: its folder, environment, streams and path of modules."""
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    for number, name in ((1, "stdout"), (2, "stderr")):
        file = os.open(asked[name], os.O_WRONLY)
        os.dup2(file, number)
        os.close(file)
        earlier = getattr(sys, f"__{name}__")
        raw = os.fdopen(number, "wb", closefd=False)
        stream = io.TextIOWrapper(raw, earlier.encoding, earlier.errors, line_buffering=name == "stderr")
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    sys.argv = asked["command"]
    sys.path[0] = str(Path(asked["command"][0]).parent)


def status_of(tool):
    """Runs the tool's file to its end, as Python does; returns the exit status."""
    status = 0
    try:
        runpy.run_path(tool, run_name="__main__")
    except SystemExit as stop:
        status = stop.code
        if status is not None and not isinstance(status, int):
            print(status, file=sys.stderr)
            status = 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    try:
        threading._shutdown()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        traceback.print_exc()
        status = 120  # Python's own, where its end failed
    return (status or 0) & 0xFF


def serve(number):
    loaded = set()
    here = sys.path[0]
    sys.path.insert(1, str(ROOT / "python"))
    os.set_inheritable(number, False)
    with socket.socket(fileno=number).makefile("rw", encoding="utf-8") as lines:
        for line in lines:
            asked = json.loads(line)
            load_libraries(Path(asked["command"][0]), loaded)
            load_engines(asked["command"])
            gc.collect()
            gc.freeze()  # what a copy does not touch it need not have of its own
            copy = os.fork()
            if copy == 0:
                os.close(number)
                sys.path[:] = [here, *sys.path[2:]]
                become(asked)
                os._exit(status_of(asked["command"][0]))
            print(copy, file=lines, flush=True)
            _, ended = os.waitpid(copy, 0)
            print(-os.WTERMSIG(ended) if os.WIFSIGNALED(ended) else os.WEXITSTATUS(ended), file=lines, flush=True)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
