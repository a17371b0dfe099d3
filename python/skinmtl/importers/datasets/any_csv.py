"""Any table: which column is what comes from flags."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any, Iterator, Mapping, Sequence

from caffe_files.errors import InputError
from skinmtl.data.group_column import group_like
from skinmtl.importers.importer import Found, Importer, Option
from skinmtl.importers.records import SPLIT_WORDS, labels_set, prefixed
from skinmtl.importers.source import Source

UNKNOWN_SPLIT = "unknown split"


def read(source: Source) -> Iterator[Found]:
    options = source.options
    table = _table(source)
    lesion_columns, location_column = options["lesion_column"], options["location_column"]
    header = source.header(table, options["delimiter"])
    lesion_set = prefixed(header, options["lesion_prefix"] or "\n")
    location_set = prefixed(header, options["location_prefix"] or "\n")
    _check(table, options, bool(lesion_set), bool(location_set), source.has_sites)
    _check_groups(table, options, header)
    columns = [options["image_column"], *lesion_columns, *options["group_column"], *options["keep_column"]]
    named = (location_column, options["lesion_id_column"], options["mask_column"], options["split_column"])
    columns += filter(None, named)
    for line, record in source.read(table, list(dict.fromkeys(columns)), options["delimiter"]):
        lesions, wrong_lesion = labels_set(record, lesion_set)
        sites, wrong_site = labels_set(record, location_set)
        wrong = wrong_lesion or wrong_site
        split, wrong_split = _split(source, record, options["split_column"])
        yield Found(
            file=table,
            line=line,
            image=record[options["image_column"]],
            lesions=(*_cells(record, lesion_columns, options["separator"]), *lesions),
            sites=(*_cells(record, filter(None, [location_column]), options["separator"]), *sites),
            group=_group(source, record, options["group_column"]),
            lesion_id=record[options["lesion_id_column"]] if options["lesion_id_column"] else "",
            mask=source.known(record[options["mask_column"]]) if options["mask_column"] else "",
            split=split,
            others={name: record[name] for name in options["keep_column"]},
            problem="neither 0 nor 1" if wrong else UNKNOWN_SPLIT if wrong_split else "",
            detail=wrong or wrong_split,
        )


def _table(source: Source) -> Path:
    name = source.options["table"]
    if name:
        return source.find(name)
    tables = source.files.matching("*.csv")
    if len(tables) != 1:
        found = f"{len(tables)} tables, such as {tables[0]} and {tables[1]}" if tables else "no table (*.csv)"
        raise InputError(f"{source.root}: {found}; name the one to read with --table")
    return source.root / tables[0]


def _check(
    table: Path, options: Mapping[str, object], has_lesions: bool, has_locations: bool, asks_for_sites: bool
) -> None:
    for kind, column, found in (
        ("lesion", options["lesion_column"], has_lesions),
        ("location", options["location_column"], has_locations),
    ):
        prefix = options[f"{kind}_prefix"]
        if prefix and not found:
            raise InputError(f"{table}:1: no column starts with {prefix!r}; correct --{kind}-prefix")
        if not (column or prefix) and (kind == "lesion" or asks_for_sites):
            otherwise = ", or --without-locations" if kind == "location" else ""
            remedy = f"Give --{kind}-column or --{kind}-prefix{otherwise}"
            raise InputError(f"{table}: which column has the {kind}? {remedy}")


def _check_groups(table: Path, options: Mapping[str, Any], header: Sequence[str]) -> None:
    """Without a column of groups each image is a group: not where one looks as if it had them."""
    read = {options["image_column"], options["location_column"], *options["lesion_column"]}
    meant = [name for name in group_like(header) if name not in read]
    if meant and not options["group_column"]:
        raise InputError(
            f"{table}:1: {meant[0]!r} may say which images are of one patient; give --group-column "
            f"{shlex.quote(meant[0])}, or --group-column {options['image_column']} if every image is of another patient"
        )


def _cells(record: Mapping[str, str], columns: object, separator: str) -> tuple[str, ...]:
    cells = (record[name] for name in columns)
    return tuple(part for cell in cells for part in (cell.split(separator) if separator else [cell]) if part.strip())


def _split(source: Source, record: Mapping[str, str], column: str | None) -> tuple[str, str]:
    """(a manifest's word for the split, "" or what is none)."""
    value = source.known(record[column]) if column else ""
    split = SPLIT_WORDS.get(value.lower(), "")
    return split, "" if split else value


def _group(source: Source, record: Mapping[str, str], columns: tuple[str, ...]) -> str:
    """The first column's value, else the next known one's with the column's name before it."""
    for number, name in enumerate(columns):
        if source.known(record[name]):
            return f"{name}:{record[name]}" if number else record[name]
    return record[columns[0]] if columns else ""


def one_character(text: str) -> str:
    """The separator of a table's fields; `tab` for a tab."""
    text = {"tab": "\t", "\\t": "\t"}.get(text, text)
    if len(text) != 1 or text in '"\r\n':
        raise ValueError(text)
    return text


def ending(text: str) -> str:
    """An ending of image files, with its point."""
    if not text.startswith(".") or len(text) < 2 or "/" in text:
        raise ValueError(text)
    return text


IMPORTER = Importer(
    name="csv",
    title="Any table",
    home_page="none: a table of your own",
    licence="the owner's",
    lesion_labels="single or multi",
    group="the columns given with --group-column",
    read=read,
    masks="as the column of --mask-column names them",
    options=(
        Option("--table", "the table's file name (default: the only *.csv below --root)", metavar="NAME"),
        Option("--image-column", "the image's id or path", required=True, metavar="NAME"),
        Option("--lesion-column", "a column with lesions; may be given again", many=True, metavar="NAME"),
        Option(
            "--lesion-prefix",
            "lesions are columns of 0 and 1 whose names start so; the rest is the label",
            metavar="TEXT",
        ),
        Option("--location-column", "the body site", metavar="NAME"),
        Option("--location-prefix", "sites are columns of 0 and 1 whose names start so", metavar="TEXT"),
        Option(
            "--group-column",
            "the patient; given again, the column to take where the first is empty (lesion, case)",
            many=True,
            metavar="NAME",
        ),
        Option("--mask-column", "the file of the lesion's mask, below --masks", metavar="NAME"),
        Option("--split-column", "the official split: train, validation or test (or val, training...)", metavar="NAME"),
        Option("--lesion-id-column", "to find lesions whose rows name different sites", metavar="NAME"),
        Option("--keep-column", "a column to copy to the manifest; may be given again", many=True, metavar="NAME"),
        Option(
            "--separator",
            "separates several labels in one cell; '' takes a cell as one label",
            default=";",
            metavar="TEXT",
        ),
        Option(
            "--delimiter",
            "the separator of the table's fields; tab for a tab",
            kind=one_character,
            default=",",
            metavar="TEXT",
        ),
        Option("--ending", "of the images of ids that have none", kind=ending, default=".jpg", metavar="TEXT"),
    ),
)
