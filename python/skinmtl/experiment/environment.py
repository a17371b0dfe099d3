"""What must be there to run an experiment: Snakemake in this Python, and a Python for the tools that has the engine."""

from __future__ import annotations

import importlib.util
import platform
import sys
from pathlib import Path

from caffe_files.errors import InputError
from skinmtl.experiment.places import CLONE

SNAKEMAKE = "9.0"  # the first with the plugins that tell what it does


def check_snakemake() -> str:
    """Snakemake's version. InputError says how to get it."""
    here = f"this Python ({sys.executable}, {platform.python_version()})"
    if CLONE and (CLONE / ".venv" / "bin" / "snakemake").is_file():
        get = f"call {CLONE / '.venv' / 'bin' / 'skinmtl'} run"
    elif CLONE:
        get = f"make -C {CLONE} .venv/ready, then call {CLONE / '.venv' / 'bin' / 'skinmtl'} run"
    else:
        get = "pip install 'skinmtl[workflow]' with Python 3.11 or later"
    if importlib.util.find_spec("snakemake") is None:
        raise InputError(f"{here} has no Snakemake, which runs the steps; {get}")
    from importlib import metadata

    version = metadata.version("snakemake")
    if int(version.split(".")[0]) < int(SNAKEMAKE.split(".")[0]):
        raise InputError(f"{here} has Snakemake {version}; {SNAKEMAKE} or later is needed: pip install -U snakemake")
    return version


def engine_and_python(engine: str | None) -> tuple[str, Path]:
    """The engine, BVLC Caffe where none is asked for and it is there, and the folder of the Python that has it."""
    places = {name: _python_with(name) for name in ("caffe", "torch")}
    chosen = engine or next((name for name, place in places.items() if place), "caffe")
    place = places[chosen]
    if place:
        return chosen, place
    nothing = "" if engine else ", and no PyTorch for --engine torch either"
    ways = {
        "caffe": f"no BVLC Caffe here{nothing}: make caffe in a clone, or use the Docker image",
        "torch": "no PyTorch here: make torch in a clone, or pip install 'skinmtl[torch]'",
    }
    raise InputError(ways[chosen])


def _python_with(module: str) -> Path | None:
    """The folder of a python3 that has MODULE and runs the tools: this one's, or where make puts them."""
    if importlib.util.find_spec(module) is not None:
        return Path(sys.executable).parent
    made = CLONE and CLONE / {"caffe": ".caffe", "torch": ".venv"}[module] / "bin"
    if (
        made
        and (made / "python3").exists()
        and (module == "caffe" or list(made.parent.glob("lib/*/site-packages/torch")))
    ):
        return made
    return None
