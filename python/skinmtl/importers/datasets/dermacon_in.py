"""DermaCon-IN: clinical photographs with several lesion descriptors each, body parts, and the subject.

`METADATA/Skin_Metadata.csv` has a row an image. Its schema says that several values are joined by semicolons; in the
released file it is commas, in `Descriptors` (`Papule, Scale`) and in `Body_part` (`Head Cheeks,Head Nose`), so that
both part values here; no value of the release has either inside. Missing values are empty or `N/A`. `train_split.csv`
and `test_split.csv` have the same rows with a column of 0 and 1 a label (`Body_part_Back`, `Descriptor_Papule`); they
are read where Skin_Metadata.csv is not there, or when asked for.

Near-synonyms (`Back`, `Trunk Back (Dorsum)`; `Trunk Abdomen`, `Trunk Abdomen anterior`) stay apart: merging is the
user's map's business.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Iterator, Mapping

from caffe_files.errors import InputError
from skinmtl.importers.importer import Found, Importer, Option
from skinmtl.importers.records import labels_set, prefixed
from skinmtl.importers.source import Source

METADATA = "Skin_Metadata.csv"
SPLITS = ("train_split.csv", "test_split.csv")
COMMON = ("Image_name", "Subject_ID")
KEPT = ("Main_class", "Disease_label", "Gradability", "Confidence", "Fitzpatrick", "Monk_skin_tone", "Sex", "Age")
SUBGROUPS = {"fitzpatrick": "Fitzpatrick skin type", "monk_skin_tone": "Monk skin tone", "sex": "sex", "age": "age"}


def read(source: Source) -> Iterator[Found]:
    wanted = source.options["table"]
    table = None if wanted == "splits" else source.find_or_none(METADATA)
    if table is not None:
        yield from _metadata(source, table)
        return
    splits = [] if wanted == "metadata" else [(name, source.find_or_none(name)) for name in SPLITS]
    if not any(path for _, path in splits):
        names = {"metadata": (METADATA,), "splits": SPLITS}.get(wanted, (METADATA, *SPLITS))
        source.find(*names)  # says what is missing
    for name, path in splits:
        if path is not None:
            yield from _split(source, path, name.split("_")[0])


def _metadata(source: Source, table: Path) -> Iterator[Found]:
    for line, record in source.read(table, (*COMMON, "Body_part", "Descriptors")):
        yield _found(source, table, line, record, _parted(record["Descriptors"]), _parted(record["Body_part"]))


def _split(source: Source, table: Path, split: str) -> Iterator[Found]:
    header = source.header(table)
    sites, lesions = prefixed(header, "Body_part_"), prefixed(header, "Descriptor_")
    for line, record in source.read(table, COMMON):
        if not (sites and lesions):
            raise InputError(f"{table}:1: no columns Body_part_... and Descriptor_...; take the released split files")
        has_sites, wrong_site = labels_set(record, sites)
        has_lesions, wrong_lesion = labels_set(record, lesions)
        yield _found(source, table, line, record, has_lesions, has_sites, split, wrong_site or wrong_lesion)


def _found(
    source: Source,
    table: Path,
    line: int,
    record: Mapping[str, str],
    lesions: tuple[str, ...],
    sites: tuple[str, ...],
    split: str = "",
    wrong: str = "",
) -> Found:
    others = {name.lower(): record[name] for name in KEPT if name in record}
    return Found(
        file=table,
        line=line,
        image=record["Image_name"],
        lesions=lesions,
        sites=sites,
        group=source.group_of(record["Subject_ID"]),
        split=split,
        others=others,
        problem="neither 0 nor 1" if wrong else "",
        detail=wrong,
    )


def _parted(cell: str) -> tuple[str, ...]:
    return tuple(filter(None, map(str.strip, re.split("[;,]", cell))))


IMPORTER = Importer(
    name="dermacon-in",
    title="DermaCon-IN",
    home_page="https://doi.org/10.7910/DVN/W7OUZM",
    licence="CC BY-NC-SA 4.0",
    lesion_labels="multi",
    group="Subject_ID",
    read=read,
    subgroups=SUBGROUPS,
    options=(
        Option(
            "--table",
            "metadata: Skin_Metadata.csv; splits: train_split.csv and test_split.csv, and keep which one a row is of; "
            "auto: the first of them that is there",
            default="auto",
            choices=("auto", "metadata", "splits"),
        ),
    ),
    notes=(
        "Descriptors and Body_part: both `,` and `;` part values. Words such as N/A are no value.",
        "Columns that are copied have their names in lower case.",
    ),
)
