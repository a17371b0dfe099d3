"""How the maps of the multi-task net lie on the lesions, in the report: what evaluate_maps.py has measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from caffe_files.errors import InputError
from skinmtl.common.json_file import read_json
from skinmtl.explanation.map_words import HEADER, WORDS, counts, label_rows, rows_of, verdicts

REMEDY = "make it again with tools/evaluate_maps.py"


def read_maps(path: Path) -> dict[str, Any] | None:
    """What the file says; None where there is none. InputError where it is no file of evaluate_maps.py."""
    if not path.exists():
        return None
    found = read_json(path, REMEDY)
    try:
        shown_maps(found)
    except (AttributeError, KeyError, TypeError, ValueError, StopIteration):
        raise InputError(f"{path}: not the figures of maps in masks; {REMEDY}") from None
    return found


def shown_maps(found: dict[str, Any]) -> dict[str, Any]:
    """For the page: verdicts and notes as lines, and the heads' tables."""
    heads = {
        head: {
            "header": ["", "maps", *HEADER],
            "rows": rows_of(figures),
            "labels": [["", "images", *WORDS.values()], *label_rows(figures)],
        }
        for head, figures in found["heads"].items()
    }
    said = [line for head, figures in found["heads"].items() for line in verdicts(head, figures)]
    says = [each["protocol"]["says"] for each in found["attention"][:1] if "says" in each["protocol"]]
    return {"heads": heads, "verdicts": said, "notes": [*counts(found), *says]}
