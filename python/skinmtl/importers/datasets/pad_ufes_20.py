"""PAD-UFES-20: clinical photographs from smartphones, one diagnosis each.

`metadata.csv` (26 columns) names the image with its ending (`PAT_1516_1765_530.png`); the images lie in the folders
imgs_part_1 to imgs_part_3. `lesion_id` is reused across patients, so that a lesion is patient and lesion_id together,
and the group is the patient. (Licence: by data-set cards that cite the home page; check it there.)
"""

from __future__ import annotations

from typing import Iterator

from skinmtl.importers.importer import Found, Importer
from skinmtl.importers.records import kept
from skinmtl.importers.source import Source

COLUMNS = ("patient_id", "lesion_id", "region", "diagnostic", "img_id")
SUBGROUPS = {"fitspatrick": "Fitzpatrick skin type", "gender": "sex", "age": "age"}  # as the set spells them


def read(source: Source) -> Iterator[Found]:
    table = source.find("metadata.csv", "PAD*metadata.csv")
    for line, record in source.read(table, COLUMNS):
        patient, lesion = record["patient_id"], record["lesion_id"]
        whole = f"{patient}/{lesion}" if source.known(patient) and source.known(lesion) else ""
        yield Found(
            file=table,
            line=line,
            image=record["img_id"],
            lesions=(record["diagnostic"],),
            sites=(record["region"],),
            group=source.group_of(patient),
            lesion_id=whole,
            others={"lesion_id": lesion, "biopsed": record.get("biopsed", ""), **kept(record, *SUBGROUPS)},
        )


IMPORTER = Importer(
    name="pad-ufes-20",
    title="PAD-UFES-20",
    home_page="https://data.mendeley.com/datasets/zr7vgbcyr2/1",
    licence="CC BY 4.0",
    lesion_labels="single",
    group="patient_id",
    read=read,
    ending=".png",
    subgroups=SUBGROUPS,
    notes=("A lesion is patient_id and lesion_id together, since lesion_id is reused across patients.",),
)
