"""What is wrong with the words of a step, by the step's own parser: for an experiment, before it begins."""

import contextlib
import importlib
import io
from contextvars import copy_context
from typing import List

from caffe_files.errors import InputError


def fault_of(step: str, words: List[str]) -> str:
    """What the tool `step` would say of its arguments; "" where it takes them."""
    tool = importlib.import_module(step)  # here: they take a while, and `skinmtl run --help` needs none
    told = io.StringIO()
    try:
        with contextlib.redirect_stderr(told), contextlib.redirect_stdout(io.StringIO()):
            copy_context().run(tool.parse_args, words)  # what --overwrite says is of that tool alone
    except InputError as error:
        return str(error)
    except SystemExit as end:
        if not end.code:
            return "asks for help, and makes nothing"
        lines = told.getvalue().strip().splitlines()
        return lines[-1].partition(": error: ")[2] or lines[-1]
    return ""
