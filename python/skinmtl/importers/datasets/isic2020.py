"""ISIC 2020, the training set of the SIIM-ISIC challenge: dermoscopic images of about 2,000 patients.

Read from `ISIC_2020_Training_GroundTruth_v2.csv`, else the first version without lesion_id, else Kaggle's `train.csv`.
Of 33,126 images 27,124 have the diagnosis `unknown`: benign, but nobody says what it is. They have no lesion label
unless the label asked for is benign or malignant.

`ISIC_2020_Training_Duplicates.csv` lists 425 pairs of images that are the same photograph. Where a pair is of two
patients, these are one group.

Rotemberg et al., "A patient-centric dataset of images and metadata for identifying melanomas using clinical context",
Scientific Data 8, 34 (2021).
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Iterator

from caffe_files.errors import InputError
from skinmtl.importers.importer import Found, Importer, Option
from skinmtl.importers.records import Groups, image_key, kept
from skinmtl.importers.source import Source

TABLES = ("ISIC_2020_Training_GroundTruth_v2.csv", "ISIC_2020_Training_GroundTruth.csv", "train.csv")
DUPLICATES = "ISIC_2020_Training_Duplicates.csv"
COLUMNS = ("image_name", "patient_id", "anatom_site_general_challenge")
SUBGROUPS = {"age_approx": "age", "sex": "sex"}
LABELS = {"diagnosis": "diagnosis", "benign-malignant": "benign_malignant"}

UNKNOWN_DIAGNOSIS = "unknown diagnosis"
LISTED = "listed duplicate"
LISTED_ACROSS_PATIENTS = "listed duplicate of another patient's image"


def read(source: Source) -> Iterator[Found]:
    table = source.find(*TABLES)
    label = LABELS[source.options["labels"]]
    records = list(source.read(table, (*COLUMNS, label), optional=("lesion_id",)))
    by_image = {image_key(record["image_name"]): record for _, record in reversed(records)}
    pairs = source.find_or_none(DUPLICATES)
    stands_for = _duplicates(source, pairs, by_image, label) if pairs is not None else {}
    if pairs is None:
        source.noticed["no_list_of_duplicates_so_that_pairs_of_one_photograph_stay"] = [DUPLICATES]
    groups, group_of_image = _groups(source, by_image, stands_for)
    source.noticed["groups_joined_by_the_list_of_duplicates"] = groups.joined
    for line, record in records:
        problem, detail = "", ""
        chosen = stands_for.get(image_key(record["image_name"]))
        if chosen is not None:
            one = by_image[chosen]
            problem, detail = LISTED, f"of {one['image_name']}"
            if one["patient_id"] != record["patient_id"]:
                problem, detail = LISTED_ACROSS_PATIENTS, f"{detail}, {record['patient_id']} and {one['patient_id']}"
        elif record[label] and not source.known(record[label]):
            problem, detail = UNKNOWN_DIAGNOSIS, record.get("benign_malignant", "")
        lesion = record.get("lesion_id", "")
        yield Found(
            file=table,
            line=line,
            image=record["image_name"],
            lesions=(record[label],),
            sites=(record["anatom_site_general_challenge"],),
            group=groups.of(_group(source, record) or group_of_image[image_key(record["image_name"])]),
            lesion_id=lesion,
            others=kept(record, "lesion_id", "benign_malignant", *SUBGROUPS),
            problem=problem,
            detail=detail,
        )


def _group(source: Source, record: dict[str, str]) -> str:
    return source.known(source.group_of(record["patient_id"], lesion=record.get("lesion_id", "")))


def _groups(
    source: Source, by_image: dict[str, dict[str, str]], stands_for: dict[str, str]
) -> tuple[Groups, dict[str, str]]:
    """(groups, joined where they have copies of one photograph; image -> group, a copy's where it has none itself)."""
    groups = Groups()
    of_image = {image: _group(source, record) for image, record in by_image.items()}
    for image, chosen in stands_for.items():
        of_image[chosen] = of_image[chosen] or of_image[image]
        if of_image[image]:
            groups.join(of_image[chosen], of_image[image])
    return groups, of_image


def _duplicates(source: Source, pairs: Path, by_image: dict[str, dict[str, str]], label: str) -> dict[str, str]:
    """The image to be left out -> the one that is kept for it.

    Images that pairs connect are one photograph. Of them the one listed first is kept that has a label and a site, so
    that no label is lost with a poorer copy; where none has both, the one listed first.
    """
    linked, listed = Groups(), {}
    for line, record in source.read(pairs, ("image_name_1", "image_name_2")):
        first, second = image_key(record["image_name_1"]), image_key(record["image_name_2"])
        if not (first and second):
            raise InputError(f"{pairs}:{line}: a pair needs two names; complete the line, or remove it")
        linked.join(first, second)
        listed.update({first: None, second: None})
    same: dict[str, list[str]] = defaultdict(list)
    for image in listed:
        if image in by_image:
            same[linked.of(image)].append(image)
    stands_for = {}
    for images in same.values():
        chosen = next((image for image in images if _labelled(source, by_image[image], label)), images[0])
        stands_for.update({image: chosen for image in images if image != chosen})
    return stands_for


def _labelled(source: Source, record: dict[str, str], label: str) -> bool:
    return bool(source.known(record[label]) and source.known(record["anatom_site_general_challenge"]))


IMPORTER = Importer(
    name="isic2020",
    title="ISIC 2020 (training set)",
    home_page="https://challenge.isic-archive.com/data/#2020",
    licence="CC BY-NC 4.0",
    lesion_labels="single",
    group="patient_id",
    read=read,
    subgroups=SUBGROUPS,
    overlap="The ISIC Archive has these images too: never train on one and test on the other.",
    options=(
        Option(
            "--labels",
            "what the lesion label is: the diagnosis, without the rows where it is `unknown`, or benign and malignant",
            default="diagnosis",
            choices=tuple(LABELS),
        ),
    ),
    notes=(
        f"{DUPLICATES}, where it is there (see Read from), names pairs that are one photograph: one is kept, the first "
        f"listed that has a label and a site, the others are dropped as `{LISTED}` or, where the two patients differ, "
        f"as `{LISTED_ACROSS_PATIENTS}`; these patients become one group. Where it is not there no such pair is "
        "dropped.",
        f"A diagnosis `unknown` is no lesion label, and dropped as `{UNKNOWN_DIAGNOSIS}`; `--labels benign-malignant` "
        "keeps these rows.",
    ),
)
