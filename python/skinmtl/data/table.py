"""Tables: CSV files with a header, read strictly and written for other programs."""

from __future__ import annotations

import csv
import difflib
import re
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator, Sequence, TextIO

from caffe_files.errors import InputError
from caffe_files.first_bytes import kind_of_file
from caffe_files.inputs import regular_file
from skinmtl.data.faults import Faults


@dataclass
class Oddities:
    """What a reader of a table went past: a first line `sep=,` (Excel's), lines and fields without any text, columns
    without a name.

    unnamed  texts in columns without a name, which nobody reads
    """

    sep_line: bool = False
    empty_lines: int = 0
    longer_records: int = 0
    unnamed: int = 0

    def notes(self, path: Path) -> list[str]:
        """What to tell of them, a line each."""
        said = (
            (self.sep_line, "the first line names the separator and is no header: skipped"),
            (self.empty_lines, f"{_lines(self.empty_lines)} of commas or spaces alone: skipped"),
            (
                self.longer_records,
                f"{_lines(self.longer_records)} with more commas at the end than the header has: ignored",
            ),
            (self.unnamed, f"{_lines(self.unnamed)} with a value in a column without a name, which is not read"),
        )
        return [f"{path}: {text}" for there, text in said if there]


def _lines(count: int) -> str:
    return f"{count} line{'s' if count > 1 else ''}"


def read_csv(
    path: Path,
    columns: Sequence[str],
    encoding: str | None = None,
    delimiter: str = ",",
    check_header: Callable[[Sequence[str]], None] | None = None,
    faults: Faults | None = None,
    oddities: Oddities | None = None,
    names: Sequence[str] | None = None,
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yields (line, column -> stripped value) for each record of a CSV that has at least `columns`.

    It is UTF-8, with or without a byte order mark, unless the caller has another encoding from the user; a file that is
    not is an InputError with the line, as is a quote that is not closed. What is no text at all is named.

    check_header  raises InputError for what else the header must not have
    faults        takes the records that cannot be read, which are then left out; None: the first is an InputError
    oddities      is told of what was passed over
    names         of the columns of a table that has no header; None: its first line has them
    """
    line = 0
    name = encoding or "utf-8"
    codec = text_codec(name)
    oddities = Oddities() if oddities is None else oddities
    refuse_what_is_no_text(path)
    try:
        with open(str(regular_file(path)), encoding=codec, newline="") as file:
            line, rows = _rows(path, file, delimiter, oddities)
            before = line
            reader = csv.reader(rows, strict=True, delimiter=delimiter)
            header = [each.strip() for each in (next(reader, []) if names is None else names)]
            _check_header(f"{path}:{line + 1}", header, columns, delimiter)
            if check_header is not None:
                check_header(header)
            line = before + reader.line_num
            for record in reader:
                first, line = line + 1, before + reader.line_num
                text = "".join(record)
                if not text.strip():
                    oddities.empty_lines += bool(record)
                    continue
                fault = ""
                if "\0" in text:  # Python before 3.11 refuses it by itself
                    fault = f"{path}:{first}: not CSV (line contains NUL); correct the line"
                elif len(record) != len(header):
                    fault = _fit(path, first, record, header, delimiter, oddities)
                if not fault:
                    values = {name: value.strip() for name, value in zip(header, record)}
                    if values.get(""):
                        oddities.unnamed += 1
                    yield first, values
                elif faults is None:
                    raise InputError(fault)
                else:
                    faults.add(fault)
    except UnicodeError:
        where = f"{path}:{undecodable_line(path, codec)}"
        if encoding is None:
            raise InputError(f"{where}: not UTF-8; save the file as UTF-8") from None
        remedy = "save the file as UTF-8, or name its encoding (cp1252: Windows, western Europe)"
        raise InputError(f"{where}: not {name}; {remedy}") from None
    except LookupError:
        raise InputError(f"{path}: cannot be read as {name!r}, which is no text encoding; try cp1252") from None
    except csv.Error as error:
        raise InputError(f"{path}:{line + 1}: not CSV ({error}); correct the line") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from None


def optional_columns(path: Path, names: Sequence[str]) -> Callable[[Sequence[str]], None]:
    """For `read_csv`: InputError where a column that need not be there is, under a name that is not quite its own."""

    def check(header: Sequence[str]) -> None:
        for name in names:
            near = [other for other in header if _letters(other) in (_letters(name), _letters(name) + "s")]
            if near and name not in header:
                raise InputError(f"{path}:1: no column {name!r}, but {near[0]!r}; rename it, if it is that one")

    return check


def _letters(name: str) -> str:
    return re.sub(r"[\W_]", "", name).lower()


def read_header(path: Path, encoding: str = "utf-8", delimiter: str = ",") -> list[str]:
    """The names of a table's columns; none where it cannot be read: `read_csv` says why."""
    try:
        refuse_what_is_no_text(path)
        with open(str(path), encoding=text_codec(encoding), newline="") as file:
            _, rows = _rows(path, file, delimiter, Oddities())
            return [name.strip() for name in next(csv.reader(rows, delimiter=delimiter), [])]
    except (InputError, OSError, UnicodeError, LookupError, csv.Error):
        return []


def refuse_what_is_no_text(path: Path) -> None:
    """InputError where the file's first bytes are those of something else, such as a workbook or a web page."""
    kind = kind_of_file(path)
    if kind is not None:
        remedy = "name the table" if kind.is_image else kind.remedy
        raise InputError(f"{path}: is {kind.name}, no CSV table; {remedy}")


def _rows(path: Path, file: TextIO, delimiter: str, oddities: Oddities) -> tuple[int, Iterator[str]]:
    """(lines before the header, the lines from there): Excel takes a first line `sep=;` for itself."""
    before, first = 0, file.readline()
    said = re.fullmatch('"?sep=(.)"?[,;\t ]*\\s*', first, re.IGNORECASE)
    if said is not None:
        if said.group(1) != delimiter:
            raise InputError(f"{path}:1: says that the separator is {said.group(1)!r}; save it with {delimiter!r}")
        oddities.sep_line = True
        before, first = 1, file.readline()
    while first and not first.strip(f" \t\r\n{delimiter}"):
        oddities.empty_lines += 1
        before, first = before + 1, file.readline()
    return before, chain([first] if first else [], file)


def _fit(path: Path, line: int, record: list[str], header: Sequence[str], delimiter: str, oddities: Oddities) -> str:
    """ "" where a record of another length than the header is only short of nameless fields, or has more empty ones."""
    longer, shorter = record[len(header) :], header[len(record) :]
    if not any(map(str.strip, longer)) and not any(shorter):
        oddities.longer_records += bool(longer)
        return ""
    comma = "comma" if delimiter == "," else repr(delimiter)
    return f"{path}:{line}: {len(record)} fields where the header has {len(header)}; quote a field that holds a {comma}"


def text_codec(encoding: str) -> str:
    """The codec to open a file with: for UTF-8 the one that takes a byte order mark away."""
    return "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding


def undecodable_line(path: Path, encoding: str = "utf-8") -> int:
    """The first line that is not text of this encoding, from 1."""
    data = path.read_bytes()
    try:
        data.decode(encoding)
    except UnicodeDecodeError as error:
        return data[: error.start].decode(encoding, "replace").count("\n") + 1
    except UnicodeError:
        pass  # such as UTF-16 without its byte order mark
    return 1


def write_csv(path: Path, header: Sequence[str], records: Iterable[Sequence[Any]]) -> None:
    """Writes a UTF-8 CSV in place: the caller gives a path in a folder, or a file, that is still being made.

    What a reader would choke on is written as text: half a surrogate pair (of a file name) as `\\udc80`, NUL as `\\0`.
    """
    with open(str(path), "w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        plain = csv.writer(file, lineterminator="\n")
        quoting = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)  # `plain` leaves a lone CR unquoted
        for record in chain([header], records):
            texts = ["" if value is None else str(value).replace("\0", "\\0") for value in record]
            (quoting if "\r" in "".join(texts) else plain).writerow(texts)


def _check_header(where: str, header: Sequence[str], columns: Sequence[str], delimiter: str) -> None:
    """InputError with a line for each column that is missing or there twice; one line where no column is there."""
    wanted = f"the header must have {','.join(columns)}"
    faults = []
    for name in dict.fromkeys((*columns, *filter(None, header))):
        if name not in header:
            faults.append(f"{where}: no column {name!r}{_hint(name, header, delimiter)}; {wanted}")
        elif header.count(name) != 1:
            faults.append(f"{where}: more than one column {name!r}; {wanted}")
    if not set(columns) & set(header):
        del faults[1:]
    if faults:
        raise InputError("\n".join(faults))


def _hint(name: str, header: Sequence[str], delimiter: str) -> str:
    other = next((each for each in (";", "\t", ",", "|") if len(header) == 1 and each in header[0]), "")
    if other and other != delimiter:
        return f" (the header's separator is {other!r}, not {delimiter!r})"
    near = difflib.get_close_matches(name.lower(), [each.lower() for each in header], 1)
    return next((f" ({each!r} is near)" for each in header if near and each.lower() == near[0]), "")
