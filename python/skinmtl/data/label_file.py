"""Files of label names beside a manifest: a name a line, the line's number is the label index."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

from caffe_files.errors import InputError
from skinmtl.data.faults import Faults
from skinmtl.data.names import name_fault
from skinmtl.data.table import refuse_what_is_no_text, undecodable_line


def read_names(path: Path, spelled: Callable[[str], str], faults: Faults) -> list[str]:
    """The names of a file in their one spelling; `faults` takes what is wrong with it."""
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
    names = [spelled(name.strip()) for name in text.split("\n")]  # splitlines() would split at rarer characters too
    if not names[-1]:
        names.pop()
    first_lines: dict[str, int] = {}
    for line, name in enumerate(names, 1):
        fault = _fault(name)
        if not fault and first_lines.setdefault(name, line) != line:
            fault = f"{name!r} stands on line {first_lines[name]} too; keep one"
        if fault:
            faults.add(f"{path}:{line}: {fault}")
    if not names:
        faults.add(f"{path}: empty; write one name per line, or remove the file")
    return names


def _fault(name: str) -> str:
    if not name:
        return "an empty line; write one name per line: its number is the label index"
    if ";" in name:
        return f"';' in the name {name!r}, which joins names in the manifest; rename it"
    fault = name_fault(name)
    return f"{fault} in {name!r}; correct it" if fault else ""
