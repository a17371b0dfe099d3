"""ISIC 2018, Task 1: dermoscopic images with masks, in three official splits; Task 3's diagnoses where they are there.

The images of a split are in `ISIC2018_Task1-2_<split>_Input`, their masks in `ISIC2018_Task1_<split>_GroundTruth` as
`<image>_segmentation.png`. Task 1 has no diagnoses; Task 3 has them for images of its own (its training set is
HAM10000), of which Task 1 has some: `ISIC2018_Task3_<split>_GroundTruth.csv`, with columns of 0.0 and 1.0, and
`ISIC2018_Task3_Training_LesionGroupings.csv` with the lesion that an image is of.

Codella and others, "Skin Lesion Analysis Toward Melanoma Detection 2018: A Challenge Hosted by the International Skin
Imaging Collaboration (ISIC)", 2019.
"""

from __future__ import annotations

from typing import Iterator, Mapping

from skinmtl.data.near_images import without_case
from skinmtl.importers.challenge import (
    NOT_0_OR_1,
    ONE_CLASS,
    ONE_LESION,
    SEVERAL_CLASSES,
    SUPERPIXELS,
    Downloads,
    Label,
    Part,
    described,
)
from skinmtl.importers.importer import Found, Importer
from skinmtl.importers.records import image_key, labels_set
from skinmtl.importers.source import Source

CLASSES = ("MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC")
NAMES = {"train": "Training", "validation": "Validation", "test": "Test"}
PARTS = tuple(
    Part(split, (f"ISIC2018_Task1-2_{name}_Input",), (f"ISIC2018_Task1_{name}_GroundTruth",))
    for split, name in NAMES.items()
)
DIAGNOSES = tuple(f"ISIC2018_Task3_{name}_GroundTruth.csv" for name in NAMES.values())
GROUPINGS = "ISIC2018_Task3_Training_LesionGroupings.csv"

NO_DIAGNOSIS = "no row in Task 3's ground truth"
NO_CLASS = "no class set"


def read(source: Source) -> Iterator[Found]:
    downloads = Downloads(source, PARTS)
    diagnoses = {} if source.options["one_class"] else _diagnoses(source)
    lesions_of = described(source, GROUPINGS, ("image", "lesion_id"))
    if not diagnoses:
        source.noticed["no_diagnoses_so_that_every_lesion_is_called"] = [ONE_LESION]
    for part in PARTS:
        for entry in downloads.entries(part, ("image",)):
            key = without_case(entry.name)
            label = diagnoses.get(key, Label(problem=NO_DIAGNOSIS)) if diagnoses else Label((ONE_LESION,))
            lesion = lesions_of.get(key, {}).get("lesion_id", "")
            yield entry.found(label, group=source.group_of("", lesion=lesion), lesion_id=lesion)


def _diagnoses(source: Source) -> Mapping[str, Label]:
    """Image in lower case -> its label, of all tables of Task 3 that are there."""
    found = {}
    for name in DIAGNOSES:
        path = source.find_or_none(name)
        for _, record in source.read(path, ("image", *CLASSES)) if path is not None else ():
            lesions, wrong = labels_set(record, {name: name for name in CLASSES})
            problem = NOT_0_OR_1 if wrong else "" if len(lesions) == 1 else SEVERAL_CLASSES if lesions else NO_CLASS
            found[image_key(record["image"])] = Label(() if problem else lesions, problem, wrong or ";".join(lesions))
    return found


IMPORTER = Importer(
    name="isic2018",
    title="ISIC 2018 (Task 1: lesions' masks; Task 3's diagnoses where they are there)",
    home_page="https://challenge.isic-archive.com/data/#2018",
    licence="CC-0 (Task 1); CC BY-NC 4.0 (Task 3)",
    lesion_labels="single",
    group="lesion_id of Task 3's LesionGroupings, where it is there",
    read=read,
    has_sites=False,
    masks="<image>_segmentation.png in ISIC2018_Task1_<split>_GroundTruth",
    no_images=(SUPERPIXELS,),
    options=(ONE_CLASS,),
    overlap="ISIC 2018 shares images with ISIC 2017, HAM10000 and the ISIC Archive: see leakage.py --against, and "
    "never train on one and test on another.",
    notes=(
        f"Without a table of Task 3, and with --one-class, every lesion is called `{ONE_LESION}`. With one, an image "
        f"that it does not name has no label: dropped as `{NO_DIAGNOSIS}`.",
        "The rows are the images in the folders of Task 1: it has no table.",
    ),
)
