"""Libraries that only some commands need."""

from __future__ import annotations

import importlib
from types import ModuleType

from caffe_files.errors import InputError


def import_or_refuse(name: str) -> ModuleType:
    """The module; InputError says how to have it."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        raise InputError(f"this Python has no {name}: make torch, and run with .venv/bin/python") from None
