"""Derm7pt, the seven-point checklist data set: a clinical photograph and a dermoscopic image of each of 1,011 cases.

`meta/meta.csv` names the images below `images/`, in subfolders and with endings of both cases (`NEL/NEL025.JPG`,
`NEL/Nel026.jpg`). Where a case has no clinical photograph, `clinic` names the dermoscopic image again,
and `notes` says so. `meta/train_indexes.csv`, `valid_indexes.csv` and `test_indexes.csv` have a column `indexes`: the
published split as row numbers of meta.csv from 0, not as case_num, which starts from 1.

Kawahara, Daneshvar, Argenziano and Hamarneh, "Seven-Point Checklist and Skin Lesion Classification Using Multitask
Multimodal Neural Nets", IEEE Journal of Biomedical and Health Informatics 23 (2019).
"""

from __future__ import annotations

import re
from typing import Iterator, Mapping

from caffe_files.errors import InputError
from skinmtl.importers.importer import Found, Importer, Option
from skinmtl.importers.records import kept
from skinmtl.importers.source import Source

TABLE = "meta.csv"
VIEWS = ("clinic", "derm")
SPLITS = {"train": "train", "valid": "validation", "test": "test"}  # in its files' names -> in a manifest
ATTRIBUTES = (
    "pigment_network",
    "streaks",
    "pigmentation",
    "regression_structures",
    "dots_and_globules",
    "blue_whitish_veil",
    "vascular_structures",
)
ABSENT = "absent"

NO_CLINICAL = "no clinical photograph"


def read(source: Source) -> Iterator[Found]:
    table = source.find(TABLE)
    views = VIEWS if source.options["view"] == "both" else (source.options["view"],)
    labels = ("diagnosis",) if source.options["labels"] == "diagnosis" else ATTRIBUTES
    splits = _splits(source)
    number = -1
    for number, (line, record) in enumerate(source.read(table, ("case_num", "location", *labels, *views))):
        for view in views:
            stand_in = view == "clinic" and bool(record[view]) and record[view] == record.get("derm")
            yield Found(
                file=table,
                line=line,
                image=record[view],
                lesions=(record["diagnosis"],) if labels == ("diagnosis",) else _attributes(source, record),
                sites=(record["location"],),
                group=source.group_of("", case=record["case_num"]),
                lesion_id=record["case_num"],
                split=SPLITS.get(splits.get(number, ("",))[0], ""),
                others={"view": view, **kept(record, "sex")},
                problem=NO_CLINICAL if stand_in else "",
                detail=record.get("notes", "") if stand_in else "",
            )
    for index, (split, line) in splits.items():
        if index > number:
            raise InputError(
                f"{source.find(f'{split}_indexes.csv')}:{line}: row {index} is not in {table.name}, which has "
                f"{number + 1} rows, counted from 0; take the two from one release"
            )


def _attributes(source: Source, record: Mapping[str, str]) -> tuple[str, ...]:
    """Each criterion that is there as `pigment network: atypical`."""
    return tuple(
        f"{name.replace('_', ' ')}: {record[name]}"
        for name in ATTRIBUTES
        if source.known(record[name]) and record[name].lower() != ABSENT
    )


def _splits(source: Source) -> dict[int, tuple[str, int]]:
    """Row number -> (published split, line of its file); empty where the files are not there."""
    splits: dict[int, tuple[str, int]] = {}
    for split in SPLITS:
        path = source.find_or_none(f"{split}_indexes.csv")
        for line, record in source.read(path, ("indexes",)) if path is not None else ():
            text = record["indexes"]
            if not re.fullmatch("[0-9]{1,9}", text):
                raise InputError(f"{path}:{line}: {text!r} is no row number; give a row of {TABLE}, counted from 0")
            index = int(text)
            if index in splits:
                raise InputError(f"{path}:{line}: row {index} is in {splits[index][0]} too; keep it in one split")
            splits[index] = (split, line)
    return splits


IMPORTER = Importer(
    name="derm7pt",
    title="Derm7pt (seven-point checklist)",
    home_page="https://derm.cs.sfu.ca",
    licence="for research; its terms are at the home page, which asks for registration",
    lesion_labels="single (diagnosis) or multi (seven-point criteria)",
    group="case_num",
    read=read,
    subgroups={"sex": "sex", "view": "device"},
    options=(
        Option(
            "--view",
            "the clinical photograph, the dermoscopic image, or both as rows of one group",
            default="clinic",
            choices=(*VIEWS, "both"),
        ),
        Option(
            "--labels",
            "what the lesion labels are: the diagnosis, or each criterion of the checklist that is not absent",
            default="diagnosis",
            choices=("diagnosis", "attributes"),
        ),
    ),
    notes=(
        "The view is clinic unless asked for otherwise (our choice: the paper's images are clinical photographs).",
        "Where `clinic` names the dermoscopic image again, the case has no clinical photograph: that row is dropped as "
        f"`{NO_CLINICAL}`; its dermoscopic image is not.",
        "A criterion is a label as `pigment network: atypical`; one that is absent is none, so that a case without any "
        "has no lesion label.",
        "The published split, where its files are there, is the column split. It is by case, as the group is.",
    ),
)
