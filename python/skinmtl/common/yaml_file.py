"""Settings in YAML files. It comes with Snakemake, and is imported only where such a file is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from caffe_files.errors import InputError
from caffe_files.inputs import regular_file


def read_yaml(path: Path, remedy: str) -> Any:
    """What a YAML file holds. InputError where it cannot be read, with `remedy` behind what is wrong."""
    import yaml

    try:
        return yaml.safe_load(regular_file(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); {remedy}") from None
    except RecursionError:
        raise InputError(f"{path}: is nested too deep to be read; {remedy}") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path}: is no YAML ({' '.join(str(error).split())}); {remedy}") from None
    except (ArithmeticError, AttributeError, TypeError, ValueError) as error:  # of a value, such as a date or a number
        raise InputError(f"{path}: has a value that YAML cannot hold ({error}); {remedy}") from None
