"""Tables: CSV files with a header, read strictly and written for other programs."""

from __future__ import annotations

import csv
import difflib
from pathlib import Path
from typing import Any, Iterable, Iterator, Sequence

from skinmtl.common.errors import InputError


def read_csv(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yields (line, column -> stripped value) for each record of a UTF-8 CSV that has at least `columns`."""
    line = 0
    try:
        with open(str(path), encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip() for name in next(reader, [])]
            _check_header(path, header, columns)
            line = reader.line_num
            for record in reader:
                first, line = line + 1, reader.line_num
                if not record:
                    continue
                if len(record) != len(header):
                    raise InputError(
                        f"{path}:{first}: {len(record)} fields where the header has {len(header)}; "
                        "quote a field that holds a comma"
                    )
                yield first, {name: value.strip() for name, value in zip(header, record)}
    except UnicodeDecodeError:
        raise InputError(f"{path}:{undecodable_line(path)}: not UTF-8; save the file as UTF-8") from None
    except csv.Error as error:
        raise InputError(f"{path}:{line + 1}: not CSV ({error}); correct the line") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from None


def undecodable_line(path: Path) -> int:
    """The first line that is not UTF-8, from 1."""
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        try:
            line.decode("utf-8")
        except UnicodeDecodeError:
            return number
    return 1


def write_csv(path: Path, header: Sequence[str], records: Iterable[Sequence[Any]]) -> None:
    """Writes a UTF-8 CSV in place: the caller gives a path in a folder, or a file, that is still being made."""
    with open(str(path), "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(records)


def _check_header(path: Path, header: Sequence[str], columns: Sequence[str]) -> None:
    for name in (*columns, *filter(None, header)):
        if name not in header:
            near = difflib.get_close_matches(name.lower(), [other.lower() for other in header], 1)
            hint = next(f" ({other!r} is near)" for other in header if other.lower() == near[0]) if near else ""
            raise InputError(f"{path}:1: no column {name!r}{hint}; the header must have {','.join(columns)}")
        if header.count(name) != 1:
            raise InputError(f"{path}:1: more than one column {name!r}; the header must have {','.join(columns)}")
