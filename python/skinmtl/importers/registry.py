"""All importers: whatever modules there are in the folder `datasets`."""

from __future__ import annotations

import importlib
import pkgutil

from skinmtl.importers import datasets
from skinmtl.importers.importer import Importer


def importers() -> dict[str, Importer]:
    """Name -> importer, sorted by name."""
    modules = [
        importlib.import_module(f"{datasets.__name__}.{module.name}")
        for module in pkgutil.iter_modules(datasets.__path__)
    ]
    return {each.name: each for each in sorted((module.IMPORTER for module in modules), key=lambda each: each.name)}
