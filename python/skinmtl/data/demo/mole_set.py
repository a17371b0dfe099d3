"""A small made-up data set with masks: one mole a photograph, benign or malignant, its mask, its site, its patient.

The folder is the image folder of its manifest: photographs are in images/, masks in masks/. As in `data_set`, the
manifest depends on the seed alone, and each picture on the seed, its patient and its own number.
"""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from skinmtl.data.demo.data_set import IMAGE, LABELS, PATIENT, owners_of, photograph_of, write_set
from skinmtl.data.demo.drawing import SITES, Look, Scene, belly
from skinmtl.data.demo.moles import BENIGN, MALIGNANT, draw_mole

LESIONS = (BENIGN, MALIGNANT)
# without what could be taken for a mole, such as eyes and navels
PLAIN_SITES = {"abdomen": belly, "back": SITES["back"], "legs": SITES["legs"]}
MOST_MALIGNANT = 0.8  # of a patient's moles; uniform from 0, so that 0.4 of all are (our choice, more than in clinics)


class Row(NamedTuple):
    """One image of the manifest; `number` and `patient` seed its pixels."""

    number: int
    patient: int
    location: str
    lesion: str

    @property
    def image(self) -> str:
        return f"images/{self.number:05d}.jpg"

    @property
    def mask(self) -> str:
        return f"masks/{self.number:05d}.png"

    @property
    def group(self) -> str:
        return f"p{self.patient:04d}"


def draw_rows(images: int, patients: int, seed: int) -> list[Row]:
    """Draws the labels of `images` images of `patients` patients; renders nothing."""
    rng = np.random.RandomState([seed, LABELS])
    sites, risks = list(PLAIN_SITES), rng.uniform(0, MOST_MALIGNANT, patients)
    rows = []
    for number, patient in enumerate(owners_of(images, patients, rng)):
        site, is_malignant = sites[rng.randint(len(sites))], rng.random_sample() < risks[patient]
        rows.append(Row(number, patient, site, LESIONS[int(is_malignant)]))
    return rows


def render(row: Row, seed: int) -> tuple[bytes, bytes]:
    """The JPEG of one row, and the PNG of its mask: 1 channel, 0 and 255, of the same size."""
    rng = np.random.RandomState([seed, IMAGE, row.number])
    look = Look(np.random.RandomState([seed, PATIENT, row.patient]))
    masks: list[np.ndarray] = []

    def draw(scene: Scene) -> None:
        PLAIN_SITES[row.location](scene)
        masks.append(draw_mole(scene, row.lesion))

    image, to_photograph = photograph_of(draw, look, rng)
    quality = int(rng.randint(60, 96))
    mask = np.where(to_photograph(masks[0]) > 127, 255, 0).astype(np.uint8)
    jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
    return jpeg, cv2.imencode(".png", mask)[1].tobytes()


def make(out: Path, images: int = 1200, patients: int = 400, seed: int = 1, workers: int = 1) -> list[Row]:
    """Renders the data set into the new folder `out` and returns its rows.

    `out` gets images/, masks/, manifest.csv, lesions.txt, locations.txt and demo.json, all of them or nothing.
    """
    rows = draw_rows(images, patients, seed)
    arguments = {"count": images, "patients": patients, "seed": seed, "masks": True}
    write_set(out, rows, ("images", "masks"), _render_to, _write_labels, counts(rows), arguments, workers)
    return rows


def counts(rows: list[Row]) -> dict[str, dict[str, int]]:
    """Images by lesion and by location, every name present, in label order."""
    lesions, locations = Counter(row.lesion for row in rows), Counter(row.location for row in rows)
    return {
        "lesions": {name: lesions[name] for name in LESIONS},
        "locations": {name: locations[name] for name in PLAIN_SITES},
    }


def _write_labels(folder: Path, rows: list[Row]) -> None:
    with open(str(folder / "manifest.csv"), "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["image", "lesions", "location", "group", "mask"])
        writer.writerows([row.image, row.lesion, row.location, row.group, row.mask] for row in rows)
    for name, labels in (("lesions.txt", LESIONS), ("locations.txt", PLAIN_SITES)):
        (folder / name).write_text("".join(f"{label}\n" for label in labels), encoding="utf-8")


def _render_to(task: tuple[Row, int, str]) -> None:
    row, seed, folder = task
    for name, data in zip((row.image, row.mask), render(row, seed)):
        (Path(folder) / name).write_bytes(data)
