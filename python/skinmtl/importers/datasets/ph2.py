"""PH2: 200 dermoscopic images of melanocytic lesions, with masks and diagnoses.

`PH2_dataset.txt` is a table whose columns are parted by `||` and padded with spaces; legends follow it. Its column
`Clinical Diagnosis` has 0 (common nevus), 1 (atypical nevus) or 2 (melanoma). An image is
`PH2 Dataset images/IMD003/IMD003_Dermoscopic_Image/IMD003.bmp`, its mask, of 1 bit a pixel,
`PH2 Dataset images/IMD003/IMD003_lesion/IMD003_lesion.bmp`; the masks of single colours in `IMD003_roi` are not used.
There is neither body site nor patient.

Mendonca and others, "PH2 - A dermoscopic image database for research and benchmarking", EMBC 2013.
"""

from __future__ import annotations

from pathlib import Path
from typing import Iterator

from caffe_files.errors import InputError
from skinmtl.importers.challenge import BENIGN, MALIGNANT, ONE_CLASS, ONE_LESION
from skinmtl.importers.importer import Found, Importer, Option
from skinmtl.importers.source import Source

TABLE = "PH2_dataset.txt"
NAME, DIAGNOSIS, HISTOLOGY = "Name", "Clinical Diagnosis", "Histological Diagnosis"
DIAGNOSES = {"0": "common nevus", "1": "atypical nevus", "2": "melanoma"}
BINARY = {"0": BENIGN, "1": BENIGN, "2": MALIGNANT}
PARTING = "||"

UNKNOWN_CODE = "neither 0, 1 nor 2"


def read(source: Source) -> Iterator[Found]:
    table = source.find(TABLE)
    meanings = BINARY if source.options["binary"] else DIAGNOSES
    for line, record in _records(source, table):
        code = record[DIAGNOSIS]
        name = record[NAME]
        lesion = ONE_LESION if source.options["one_class"] else meanings.get(code, "")
        yield Found(
            file=table,
            line=line,
            image=name,
            lesions=(lesion,) if lesion else (),
            sites=(),
            mask=f"{name}_lesion" if name else "",
            others={"histology": record.get(HISTOLOGY, "")},
            problem="" if lesion else UNKNOWN_CODE,
            detail="" if lesion else code,
        )


def _records(source: Source, table: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """(line, column -> text) of each line that starts with `||`, but for the first, which names the columns."""
    header: list[str] = []
    for line, text in source.lines(table):
        if not text.startswith(PARTING):
            continue
        cells = [cell.strip() for cell in text.strip("|").split(PARTING)]
        if not header:
            header = cells
            missing = [name for name in (NAME, DIAGNOSIS) if name not in header]
            if missing:
                raise InputError(f"{table}:{line}: no column {missing[0]!r}; take the set's own file")
        elif len(cells) < 1 + max(header.index(NAME), header.index(DIAGNOSIS)):
            raise InputError(
                f"{table}:{line}: {len(cells)} cells where the header has {len(header)}; complete the line"
            )
        else:
            yield line, dict(zip(header, cells))
    if not header:
        raise InputError(f"{table}: no line starts with {PARTING!r}; take the set's own {TABLE}, not a copy in CSV")


IMPORTER = Importer(
    name="ph2",
    title="PH2 (lesions' masks; common nevus, atypical nevus or melanoma)",
    home_page="https://www.fc.up.pt/addi/ph2%20database.html",
    licence="for research and education; its terms are at the home page",
    lesion_labels="single",
    group="none: every image is its own",
    read=read,
    ending=".bmp",
    has_sites=False,
    masks="<name>_lesion.bmp in the folder of each image",
    no_images=("*_R?_Label*.bmp",),
    options=(
        Option(
            "--binary",
            f"the lesions are {BENIGN!r} (nevus) and {MALIGNANT!r} (melanoma), as ISIC 2016 names them (default: "
            "common nevus, atypical nevus, melanoma)",
            switch=True,
        ),
        ONE_CLASS,
    ),
    notes=("The lesion is the column `Clinical Diagnosis`; the histology, where one was made, is copied.",),
)
