"""Tables: CSV files with a header, read strictly and written for other programs."""

from __future__ import annotations

import csv
import difflib
from itertools import chain
from pathlib import Path
from typing import Any, Iterable, Iterator, Sequence

from caffe_files.errors import InputError
from caffe_files.inputs import regular_file


def read_csv(
    path: Path, columns: Sequence[str], encoding: str | None = None, delimiter: str = ","
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yields (line, column -> stripped value) for each record of a CSV that has at least `columns`.

    It is UTF-8, with or without a byte order mark, unless the caller has another encoding from the user; a file that is
    not is an InputError with the line, as is a quote that is not closed.
    """
    line = 0
    name = encoding or "utf-8"
    codec = text_codec(name)
    try:
        with open(str(regular_file(path)), encoding=codec, newline="") as file:
            reader = csv.reader(file, strict=True, delimiter=delimiter)
            header = [name.strip() for name in next(reader, [])]
            _check_header(path, header, columns, delimiter)
            line = reader.line_num
            for record in reader:
                first, line = line + 1, reader.line_num
                if not record:
                    continue
                if "\0" in "".join(record):  # Python before 3.11 refuses it by itself
                    raise InputError(f"{path}:{first}: not CSV (line contains NUL); correct the line")
                if len(record) != len(header):
                    raise InputError(
                        f"{path}:{first}: {len(record)} fields where the header has {len(header)}; "
                        f"quote a field that holds a {'comma' if delimiter == ',' else repr(delimiter)}"
                    )
                yield first, {name: value.strip() for name, value in zip(header, record)}
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


def _check_header(path: Path, header: Sequence[str], columns: Sequence[str], delimiter: str) -> None:
    for name in (*columns, *filter(None, header)):
        if name not in header:
            near = difflib.get_close_matches(name.lower(), [other.lower() for other in header], 1)
            hint = next(f" ({other!r} is near)" for other in header if other.lower() == near[0]) if near else ""
            other = next((each for each in (";", "\t", ",", "|") if len(header) == 1 and each in header[0]), "")
            if other and other != delimiter:
                hint = f" (the header is parted by {other!r})"
            raise InputError(f"{path}:1: no column {name!r}{hint}; the header must have {','.join(columns)}")
        if header.count(name) != 1:
            raise InputError(f"{path}:1: more than one column {name!r}; the header must have {','.join(columns)}")
