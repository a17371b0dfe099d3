"""What an importer reads from: the tables of a data set, found below its folder, each noted for the report."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterable, Iterator, Mapping, Sequence

from caffe_files.errors import InputError
from caffe_files.inputs import regular_file
from skinmtl.common.provenance import sha256
from skinmtl.data.nothing import Nothings
from skinmtl.data.table import (
    Oddities,
    optional_columns,
    read_csv,
    read_header,
    refuse_what_is_no_text,
    text_codec,
    undecodable_line,
)
from skinmtl.importers.files import Files


@dataclass
class Table:
    """A table that was read: its records so far, and those of its fields that run over several lines, and what was
    passed over."""

    path: Path
    records: int = 0
    line_breaks: int = 0
    oddities: Oddities = field(default_factory=Oddities)


class Source:
    """A data set's folder, the importer's options (name -> value), and the tables that were read from it.

    image_files, mask_files  where images and masks are looked for; None: they are not
    has_sites whether body sites are asked for
    nothings  tells words that mean nothing from names, and counts them
    noticed   what the importer noticed while it read, for the report: a name with a number, a list or a dict
    """

    def __init__(
        self,
        files: Files,
        options: Mapping[str, Any],
        encoding: str = "utf-8",
        keep_words: Iterable[str] = (),
        image_files: Files | None = None,
        mask_files: Files | None = None,
        has_sites: bool = True,
    ) -> None:
        self.files = files
        self.root = files.root
        self.image_files = image_files
        self.mask_files = mask_files
        self.has_sites = has_sites
        self.options = options
        self.encoding = encoding
        self.nothings = Nothings(keep_words)
        self.tables: list[Table] = []
        self.noticed: dict[str, Any] = {}

    def known(self, value: str) -> str:
        """The value, or "" where it says that nothing is known."""
        return "" if self.nothings.is_one(value) else value

    def group_of(self, first: str, **others: str) -> str:
        """The group: `first` (the patient) as it is, else the first of the others that is known, as `lesion:HAM_1`.

        The prefix keeps a lesion's name from meeting a patient's of the same spelling. A cell such as `N/A` is nobody's
        name: all rows that have it would be one group. Where none is known that is left for `importing` to count.
        """
        known = (f"{kind}:{value}" for kind, value in others.items() if self.known(value))
        return self.known(first) or next(known, first)

    def find(self, *names: str) -> Path:
        """The table of one of these names (in any case, in any subfolder; `*` and `?` stand for any characters).

        A name with folders is that file below the root, where it is there; else only its last part counts.
        """
        found = self.find_or_none(*names)
        if found is None:
            tables = [Path(name).name for name in self.files.matching("*.csv")]
            near = difflib.get_close_matches(names[0], tables, 1, 0.4)
            hint = f" ({near[0]} is near)" if near else ""
            raise InputError(
                f"{self.root}: no {' or '.join(names)} there or in its folders{hint}; download it, "
                "or give the folder that holds it"
            )
        return found

    def find_or_none(self, *names: str) -> Path | None:
        """As `find`, or None. Copies with the same bytes count as one; InputError where two files differ."""
        for name in names:
            path = Path(name)
            given = path.name != name and (self.root / path).is_file()
            found = [self.root / each for each in ([name] if given else self.files.matching(path.name))]
            if len(found) > 1 and len({sha256(path) for path in found}) > 1:
                raise InputError(f"{found[0]}: {found[1]} has that name too, and differs; move one of them away")
            if found:
                return found[0]
        return None

    def header(self, path: Path, delimiter: str = ",") -> list[str]:
        """The names of a table's columns."""
        return read_header(path, self.encoding, delimiter)

    def read(
        self,
        path: Path,
        columns: Sequence[str],
        delimiter: str = ",",
        optional: Sequence[str] = (),
        header: Sequence[str] | None = None,
    ) -> Iterator[tuple[int, dict[str, str]]]:
        """Yields (line, column -> stripped text) for each record; InputError as for `read_csv`.

        A line break in one of `columns` is refused, since a quote that is left open swallows the lines after it.
        Elsewhere it is legitimate, and counted. Of the columns that are `optional` none may be there under a name that
        differs in case, spaces or signs. `header` names the columns of a table that has no header.
        """
        table = Table(Path(path))
        self.tables.append(table)
        check = optional_columns(path, optional)
        oddities = table.oddities
        for line, record in read_csv(path, columns, self.encoding, delimiter, check, oddities=oddities, names=header):
            table.records += 1
            for name, value in record.items():
                if "\n" in value or "\r" in value:
                    if name in columns:
                        raise InputError(
                            f"{path}:{line}: a line break in {name!r}; close the quote, or put the value on one line"
                        )
                    table.line_breaks += 1
            yield line, record

    def lines(self, path: Path) -> Iterator[tuple[int, str]]:
        """Yields (line, stripped text) of a table that is no CSV, without empty lines; InputError as for `read`."""
        table = Table(Path(path))
        self.tables.append(table)
        codec = text_codec(self.encoding)
        refuse_what_is_no_text(path)
        try:
            with open(str(regular_file(path)), encoding=codec) as file:
                for number, text in enumerate(file, 1):
                    if text.strip():
                        table.records += 1
                        yield number, text.strip()
        except UnicodeError:
            where = f"{path}:{undecodable_line(path, codec)}"
            raise InputError(f"{where}: not {self.encoding}; save the file as UTF-8, or name its --encoding") from None
        except LookupError:
            raise InputError(f"{path}: {self.encoding!r} is no text encoding; try cp1252") from None
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from None
