"""ISIC 2019, the training set of that year's challenge: dermoscopic images, one of eight diagnoses each.

`ISIC_2019_Training_GroundTruth.csv` has the diagnoses as columns of 0.0 and 1.0, `ISIC_2019_Training_Metadata.csv`
site and lesion. They are joined on the image's id, which may end in `_downsampled`, as the image's file does. Where a
folder has the images as the ISIC Archive names them, without it, they are found too. UNK is the class of the test
set's other diseases, so that it is no diagnosis.

A lesion_id says its source: `HAM_...` HAM10000, `BCN_...` BCN_20000, `MSK4_...` MSK. 2,084 are empty: those rows are
each a group of their own, which is also why folds of this set cannot be shown to be free of leaks.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import Iterable, Iterator, Mapping

from skinmtl.importers.importer import Found, Importer, Option
from skinmtl.importers.records import image_key
from skinmtl.importers.source import Source

TRUTH = "ISIC_2019_Training_GroundTruth.csv"
METADATA = "ISIC_2019_Training_Metadata.csv"
CLASSES = ("MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC")
UNKNOWN_CLASS = "UNK"
COLUMNS = ("image", "anatom_site_general", "lesion_id")
OF_PATIENT = ("age_approx", "sex")
SUBGROUPS = {"age_approx": "age", "sex": "sex", "source": "centre"}
DOWNSAMPLED = re.compile(r"_downsampled(\.\w+)?$", re.IGNORECASE)

NO_CLASS = "no class set"
SEVERAL_CLASSES = "several classes set"
NOT_0_OR_1 = "neither 0 nor 1"
NO_METADATA = "no row in the metadata"
NO_TRUTH = "no row in the ground truth"
CONTRADICTORY_METADATA = "contradictory rows in the metadata"
OF_HAM10000 = "of HAM10000"


def read(source: Source) -> Iterator[Found]:
    truth, metadata = source.find(TRUTH), source.find(METADATA)
    stems = {image_key(name) for name in source.files.names}
    described: dict[str, list[tuple[int, dict[str, str]]]] = defaultdict(list)
    for line, record in source.read(metadata, COLUMNS):
        described[image_key(record["image"])].append((line, record))
    without_ham10000 = source.options["ham10000"] == "leave-out"
    diagnosed = set()
    of_ham10000 = 0
    for line, record in source.read(truth, ("image", *CLASSES)):
        key = image_key(record["image"])
        diagnosed.add(key)
        lesions, problem, detail = _diagnosis(record)
        facts = {(row["anatom_site_general"], row["lesion_id"]) for _, row in described.get(key, ())}
        site, lesion = min(facts, default=("", ""))
        of_ham10000 += lesion.startswith("HAM_")
        if len(facts) != 1:
            problem = problem or (CONTRADICTORY_METADATA if facts else NO_METADATA)
        elif without_ham10000 and lesion.startswith("HAM_"):
            problem = problem or OF_HAM10000
        yield Found(
            file=truth,
            line=line,
            image=_file_name(record["image"], stems),
            lesions=lesions,
            sites=(site,),
            group=source.group_of("", lesion=lesion),
            lesion_id=lesion,
            others={"source": lesion.rpartition("_")[0], **_of_patient(described.get(key, ()))},
            problem=problem,
            detail=detail,
        )
    source.noticed["rows_of_ham10000_which_that_data_set_has_too"] = of_ham10000
    yield from _undiagnosed(metadata, described, diagnosed)


def _of_patient(rows: Iterable[tuple[int, Mapping[str, str]]]) -> dict[str, str]:
    """The columns of OF_PATIENT that the metadata have; "" where two rows of the image differ."""
    values = {name: {row[name] for _, row in rows if name in row} for name in OF_PATIENT}
    return {name: min(of) if len(of) == 1 else "" for name, of in values.items() if of}


def _diagnosis(record: Mapping[str, str]) -> tuple[tuple[str, ...], str, str]:
    """(the class, or what is wrong and what was read instead); numbers, since the file has floats."""
    values = {name: record[name] for name in (*CLASSES, UNKNOWN_CLASS) if name in record}
    wrong = [f"{name}={value}" for name, value in values.items() if _number(value) not in (0, 1)]
    found = tuple(name for name, value in values.items() if _number(value) == 1)
    if wrong:
        return (), NOT_0_OR_1, ";".join(wrong)
    if len(found) > 1:
        return (), SEVERAL_CLASSES, ";".join(found)
    if not found or found == (UNKNOWN_CLASS,):
        return (), NO_CLASS, ";".join(found)
    return found, "", ""


def _number(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None


def _file_name(image: str, stems: set[str]) -> str:
    """The image's id; without `_downsampled` where only a file of that name is there."""
    archived = DOWNSAMPLED.sub("", image)
    return archived if image_key(image) not in stems and image_key(archived) in stems else image


def _undiagnosed(
    metadata: Path, described: Mapping[str, list[tuple[int, dict[str, str]]]], diagnosed: set[str]
) -> Iterator[Found]:
    for key, rows in described.items():
        if key not in diagnosed:
            for line, record in rows:
                yield Found(metadata, line, record["image"], (), (record["anatom_site_general"],), problem=NO_TRUTH)


IMPORTER = Importer(
    name="isic2019",
    title="ISIC 2019 (training set)",
    home_page="https://challenge.isic-archive.com/data/#2019",
    licence="CC BY-NC 4.0",
    lesion_labels="single",
    group="lesion_id",
    read=read,
    subgroups=SUBGROUPS,
    options=(
        Option(
            "--ham10000",
            "leave-out: without the rows of HAM10000, all of which are in this set",
            default="keep",
            choices=("keep", "leave-out"),
        ),
    ),
    overlap="ISIC 2019 contains all of HAM10000: never train on one and test on the other.",
    notes=(
        "`--ham10000 leave-out` leaves the rows of HAM10000 out.",
        "A ground truth row counts where exactly one class is 1 and all others are 0. None set, or UNK alone: dropped "
        f"as `{NO_CLASS}`. Several set: dropped as `{SEVERAL_CLASSES}`. Any other value: `{NOT_0_OR_1}`.",
        "A row without lesion_id is a group of its own; its lesion may still be on another image.",
        "The column source is the name of the collection in lesion_id.",
        "An image named ..._downsampled is also found under the name without it.",
    ),
)
