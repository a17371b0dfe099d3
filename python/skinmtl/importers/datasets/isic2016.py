"""ISIC 2016 (ISBI 2016): dermoscopic images, benign or malignant (its Part 3), with masks (its Part 1).

`ISBI2016_ISIC_Part3_<split>_GroundTruth.csv` has no header: an id and a label on each line, `benign` or `malignant` for
the training set, 0.0 or 1.0 for the test set. The images are in `ISBI2016_ISIC_Part1_<split>_Data` and again in
`..._Part3_<split>_Data`: either will do. The masks are `<id>_Segmentation.png` in `..._Part1_<split>_GroundTruth`.
Part 3B has images and masks in one folder. Splits are named Training and Test; there is no validation set.

Gutman and others, "Skin Lesion Analysis toward Melanoma Detection: A Challenge at the International Symposium on
Biomedical Imaging (ISBI) 2016", 2016.
"""

from __future__ import annotations

from typing import Iterator, Mapping

from skinmtl.importers.challenge import (
    BENIGN,
    MALIGNANT,
    NOT_0_OR_1,
    ONE_CLASS,
    ONE_LESION,
    SUPERPIXELS,
    Downloads,
    Entry,
    Label,
    Part,
)
from skinmtl.importers.importer import Found, Importer
from skinmtl.importers.source import Source

NO_HEADER = ("image", "label")
LABELS = {
    "benign": BENIGN,
    "0": BENIGN,
    "0.0": BENIGN,
    "malignant": MALIGNANT,
    "1": MALIGNANT,
    "1.0": MALIGNANT,
}
PARTS = tuple(
    Part(
        split,
        tuple(f"ISBI2016_ISIC_Part{number}_{name}_Data" for number in ("1", "3", "3B")),
        (f"ISBI2016_ISIC_Part1_{name}_GroundTruth", f"ISBI2016_ISIC_Part3B_{name}_Data"),
        tuple(f"ISBI2016_ISIC_Part{number}_{name}_GroundTruth.csv" for number in ("3", "3B")),
    )
    for split, name in (("train", "Training"), ("test", "Test"))
)


def read(source: Source) -> Iterator[Found]:
    downloads = Downloads(source, PARTS)
    for part in PARTS:
        for entry in downloads.entries(part, NO_HEADER, NO_HEADER):
            yield entry.found(_label(entry, source.options))


def _label(entry: Entry, options: Mapping[str, bool]) -> Label:
    if options["one_class"]:
        return Label((ONE_LESION,))
    if entry.record is None:
        return Label(problem=entry.no_record)
    label = entry.record["label"]
    if label.lower() not in LABELS:
        return Label(problem=f"neither {BENIGN} nor {MALIGNANT}" if label else NOT_0_OR_1, detail=label)
    return Label((LABELS[label.lower()],))


IMPORTER = Importer(
    name="isic2016",
    title="ISIC 2016 (lesions' masks, benign or malignant)",
    home_page="https://challenge.isic-archive.com/data/#2016",
    licence="CC-0",
    lesion_labels="single",
    group="none: every image is its own",
    read=read,
    has_sites=False,
    masks="<id>_Segmentation.png in ISBI2016_ISIC_Part1_<split>_GroundTruth or ISBI2016_ISIC_Part3B_<split>_Data",
    no_images=(SUPERPIXELS,),
    options=(ONE_CLASS,),
    overlap="ISIC 2016's test set and the training set of ISIC 2017 share images, and the ISIC Archive has both: see "
    "leakage.py --against, and never train on one and test on another.",
    notes=(
        "The tables have no header. `benign`, 0 and 0.0 are one label, and so are `malignant`, 1 and 1.0.",
        "Images are taken from the folder of Part 1, else of Part 3, else of Part 3B.",
    ),
)
