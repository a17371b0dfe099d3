"""HAM10000: dermoscopic images of pigmented lesions, one of seven diagnoses each.

`HAM10000_metadata.csv` has a row an image, `<image_id>.jpg` in HAM10000_images_part_1 or _part_2. The release at its
home page has a column `dataset` (the source), that on Kaggle has not, and there both folders come twice, the same
bytes. The site downloads the table as `HAM10000_metadata`, `.csv` or, parted by tabs, `.tab`. A lesion has up to six
images, which is why the lesion is the group. `HAM10000_segmentations_lesion_tschandl`, a download of its own, has a
mask of each image, `<image_id>_segmentation.png`.

Tschandl, Rosendahl and Kittler, "The HAM10000 dataset", Scientific Data 5, 180161 (2018).
"""

from __future__ import annotations

from typing import Iterator

from skinmtl.importers.challenge import Folders, stem
from skinmtl.importers.importer import Found, Importer
from skinmtl.importers.records import kept
from skinmtl.importers.source import Source

TABLES = ("HAM10000_metadata.csv", "HAM10000_metadata", "HAM10000_metadata.tab")
MASKS = ("HAM10000_segmentations_lesion_tschandl",)
COLUMNS = ("lesion_id", "image_id", "dx", "localization")
SUBGROUPS = {"age": "age", "sex": "sex", "dataset": "centre and device"}


def read(source: Source) -> Iterator[Found]:
    table = source.find(*TABLES)
    masks = Folders(source.mask_files, MASKS)
    if source.mask_files is not None and not masks.there:
        source.noticed["not_there"] = [f"{MASKS[0]} (masks)"]
    delimiter = "\t" if "lesion_id" in source.header(table, "\t") else ","
    for line, record in source.read(table, COLUMNS, delimiter):
        lesion = record["lesion_id"]
        yield Found(
            file=table,
            line=line,
            image=record["image_id"],
            lesions=(record["dx"],),
            sites=(record["localization"],),
            group=source.group_of("", lesion=lesion),
            lesion_id=lesion,
            mask=masks.ask(MASKS, f"{stem(record['image_id'])}_segmentation"),
            others=kept(record, "dx_type", *SUBGROUPS),
        )


IMPORTER = Importer(
    name="ham10000",
    title="HAM10000",
    home_page="https://doi.org/10.7910/DVN/DBW86T",
    licence="CC BY-NC 4.0",
    lesion_labels="single",
    group="lesion_id",
    read=read,
    subgroups=SUBGROUPS,
    masks="<image_id>_segmentation.png in HAM10000_segmentations_lesion_tschandl",
    overlap="ISIC 2019 contains all of HAM10000: never train on one and test on the other.",
)
