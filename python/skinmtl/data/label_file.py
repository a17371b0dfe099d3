"""Files of label names: a name a line, whose number is the label index; beside a manifest, and in a model folder."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Iterator, Sequence

from caffe_files.errors import InputError
from skinmtl.data import names
from skinmtl.data.faults import Faults
from skinmtl.data.table import refuse_what_is_no_text, undecodable_line


def read_names(path: Path, spelled: Callable[[str], str], faults: Faults) -> list[str]:
    """The names of the file beside a manifest in their one spelling; `faults` takes what is wrong with it."""
    try:
        refuse_what_is_no_text(path)
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        faults.add(f"{path}:{undecodable_line(path)}: not UTF-8; save the file as UTF-8")
        return []
    except OSError as error:
        faults.add(f"{path}: cannot be read ({error.strerror}); check it")
        return []
    except InputError as fault:
        faults.add(str(fault))
        return []
    listed = names_of(text, spelled)
    for line, name in enumerate(listed, 1):
        if ";" in name:
            faults.add(f"{path}:{line}: ';' in the name {name!r}, which joins names in the manifest; rename it")
    for line, fault in line_faults(listed):
        faults.add(f"{path}:{line}: {fault}; write each name once, one per line: its number is the label index")
    if not listed:
        faults.add(f"{path}: empty; write one name per line, or remove the file")
    return listed


def names_of(text: str, spelled: Callable[[str], str] = names.spelled) -> list[str]:
    """The names in a file's text, in their one spelling."""
    listed = [spelled(name.strip()) for name in text.split("\n")]  # splitlines() would split at rarer characters too
    return listed if listed[-1] else listed[:-1]


def line_faults(listed: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Yields (line, what is wrong) for each name that is empty, that is none, or that is there before it."""
    first_lines: dict[str, int] = {}
    for line, name in enumerate(listed, 1):
        fault = names.name_fault(name)
        if not name:
            yield line, "an empty line"
        elif fault:
            yield line, f"{fault} in {name!r}"
        elif first_lines.setdefault(name, line) != line:
            yield line, f"{name!r} stands on line {first_lines[name]} too"
