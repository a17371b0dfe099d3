"""ISIC 2017: dermoscopic images with masks (its Part 1) and diagnoses (its Part 3), in three official splits.

`ISIC-2017_<split>_Part3_GroundTruth.csv` has `image_id,melanoma,seborrheic_keratosis` as 0.0 and 1.0; neither is a
nevus. The images are in `ISIC-2017_<split>_Data`, with superpixels, which are no masks, and `..._metadata.csv` (age and
sex); the masks are `<image_id>_segmentation.png` in `ISIC-2017_<split>_Part1_GroundTruth`. Splits are named Training,
Validation and Test_v2. There is neither body site nor patient.

Codella and others, "Skin Lesion Analysis Toward Melanoma Detection: A Challenge at the 2017 ISBI", 2018.
"""

from __future__ import annotations

from typing import Iterator, Mapping

from skinmtl.data.near_images import without_case
from skinmtl.importers.challenge import (
    BENIGN,
    MALIGNANT,
    NOT_0_OR_1,
    ONE_CLASS,
    ONE_LESION,
    SEVERAL_CLASSES,
    SUPERPIXELS,
    Downloads,
    Entry,
    Label,
    Part,
    described,
)
from skinmtl.importers.importer import Found, Importer, Option
from skinmtl.importers.records import labels_set
from skinmtl.importers.source import Source

COLUMNS = {"melanoma": "melanoma", "seborrheic_keratosis": "seborrheic keratosis"}
NEITHER = "nevus"
ID = "image_id"
NAMES = {"train": "Training", "validation": "Validation", "test": "Test_v2"}
SUBGROUPS = {"age_approximate": "age", "sex": "sex"}
PARTS = tuple(
    Part(
        split,
        (f"ISIC-2017_{name}_Data",),
        (f"ISIC-2017_{name}_Part1_GroundTruth",),
        (f"ISIC-2017_{name}_Part3_GroundTruth.csv",),
    )
    for split, name in NAMES.items()
)


def read(source: Source) -> Iterator[Found]:
    downloads = Downloads(source, PARTS)
    for part in PARTS:
        facts = described(source, f"{part.images[0]}_metadata.csv", (ID, *SUBGROUPS))
        for entry in downloads.entries(part, (ID, *COLUMNS)):
            yield entry.found(_diagnosis(entry, source.options), others=facts.get(without_case(entry.name), {}))


def _diagnosis(entry: Entry, options: Mapping[str, bool]) -> Label:
    if options["one_class"]:
        return Label((ONE_LESION,))
    if entry.record is None:
        return Label(problem=entry.no_record)
    empty = next((f"{name}=" for name in COLUMNS if not entry.record[name]), "")
    found, wrong = labels_set(entry.record, COLUMNS)
    if empty or wrong:
        return Label(problem=NOT_0_OR_1, detail=empty or wrong)
    if len(found) > 1:
        return Label(problem=SEVERAL_CLASSES, detail=";".join(found))
    if options["binary"]:
        return Label((MALIGNANT if "melanoma" in found else BENIGN,))
    return Label(found or (NEITHER,))


IMPORTER = Importer(
    name="isic2017",
    title="ISIC 2017 (lesions' masks and diagnoses)",
    home_page="https://challenge.isic-archive.com/data/#2017",
    licence="CC-0",
    lesion_labels="single",
    group="none: every image is its own",
    read=read,
    has_sites=False,
    subgroups=SUBGROUPS,
    masks="<image_id>_segmentation.png in ISIC-2017_<split>_Part1_GroundTruth",
    no_images=(SUPERPIXELS,),
    options=(
        Option(
            "--binary",
            f"the lesions are {BENIGN!r} (nevus or seborrheic keratosis) and {MALIGNANT!r} (melanoma), as ISIC 2016 "
            "names them (default: melanoma, seborrheic keratosis, nevus)",
            switch=True,
        ),
        ONE_CLASS,
    ),
    overlap="ISIC 2016's test set and the training set of ISIC 2017 share images, and the ISIC Archive has both: see "
    "leakage.py --against, and never train on one and test on another.",
    notes=(
        "A row with neither melanoma nor seborrheic_keratosis is a nevus.",
        "Superpixels (`*_superpixels.png`) are no masks, and passed over.",
        "Age and sex are copied from the tables `..._metadata.csv` where they are there.",
    ),
)
