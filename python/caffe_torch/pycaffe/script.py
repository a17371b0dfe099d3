"""`caffe-torch python SCRIPT`: a script of pycaffe's users, whose `import caffe` finds this package."""

from __future__ import annotations

import importlib
import pkgutil
import runpy
import sys
from pathlib import Path
from types import TracebackType
from typing import Sequence

import caffe_torch.pycaffe
from caffe_torch.errors import NetError


def stand_for_caffe() -> None:
    """Has `import caffe`, and imports of its modules, find this package: also where another caffe is installed."""
    package = caffe_torch.pycaffe
    sys.modules["caffe"] = package
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if module.name != __name__:
            sys.modules["caffe" + module.name[len(package.__name__) :]] = importlib.import_module(module.name)


def run_script(arguments: Sequence[str]) -> None:
    """Runs a script with its arguments as Python does. NetError where there is no such file.

    What the script raises and does not catch is shown as Python would show it: from the script on.
    """
    if not arguments:
        raise NetError("python: names no script; give the path of one, and its arguments")
    if not Path(arguments[0]).is_file():
        raise NetError(f"python {arguments[0]}: no such script; give the path of one, and its arguments")
    stand_for_caffe()
    sys.argv = list(arguments)
    sys.path.insert(0, str(Path(arguments[0]).resolve().parent))
    try:
        runpy.run_path(arguments[0], run_name="__main__")
    except BaseException:
        show = sys.excepthook  # the script may have set its own

        def show_own(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
            own = _own(trace)
            show(kind, error.with_traceback(own), own)

        sys.excepthook = show_own
        raise


def _own(trace: TracebackType | None) -> TracebackType | None:
    """The script's part of a traceback, below `run_script` and runpy; None where it was not even compiled."""
    while trace is not None and trace.tb_frame.f_code is not run_script.__code__:
        trace = trace.tb_next
    trace = trace and trace.tb_next
    while trace is not None and trace.tb_frame.f_globals.get("__name__") == "runpy":
        trace = trace.tb_next
    return trace
