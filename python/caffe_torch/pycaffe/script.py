"""`caffe-torch python SCRIPT`: a script of pycaffe's users, whose `import caffe` finds this package."""

from __future__ import annotations

import importlib
import pkgutil
import runpy
import sys
from pathlib import Path
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
    """Runs a script with its arguments as Python does. NetError where there is no such file."""
    if not arguments:
        raise NetError("python: names no script; give the path of one, and its arguments")
    if not Path(arguments[0]).is_file():
        raise NetError(f"python {arguments[0]}: no such script; give the path of one, and its arguments")
    stand_for_caffe()
    sys.argv = list(arguments)
    sys.path.insert(0, str(Path(arguments[0]).resolve().parent))
    runpy.run_path(arguments[0], run_name="__main__")
