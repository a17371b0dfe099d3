"""A small made-up data set for the demo: labels drawn from a table of lesions by body site, then one JPEG a row.

Labels and pixels are drawn apart: the manifest depends on the seed alone, and each image on the seed, its patient and
its own number, so neither depends on the number of workers.
"""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Any, Callable, Iterable, NamedTuple, Sequence

import cv2
import numpy as np
from tqdm import tqdm

from caffe_files.outputs import new_folder
from skinmtl.common.json_file import write_json
from skinmtl.common.parallel import ordered_map
from skinmtl.common.provenance import made_by
from skinmtl.data.demo.drawing import LESIONS, SITES, UNIT, Look, Scene

# How often a lesion is drawn at a site, in proportion, lesions in the order of LESIONS. Strong but never certain, as in
# the paper's Figure 1. The sites and the numbers are ours: they follow common clinical knowledge, not the paper's data.
# Lesions that look alike (alopecia and scar, nodule and pearly papule, ...) have different sites on purpose.
PROFILE = {
    #           alop come crus eryt macu nodu pear scar squa vesi
    "scalp": (42, 0, 14, 2, 1, 2, 6, 1, 31, 1),
    "face": (1, 34, 16, 5, 2, 2, 34, 2, 1, 3),
    "back": (0, 14, 5, 18, 30, 9, 2, 12, 4, 6),
    "abdomen": (0, 1, 12, 32, 10, 8, 1, 26, 2, 8),
    "hands": (0, 0, 3, 4, 28, 14, 1, 8, 12, 30),
    "legs": (1, 0, 14, 20, 4, 28, 1, 24, 7, 1),
    "feet": (0, 0, 2, 2, 6, 18, 0, 8, 34, 30),
}
N_LESIONS = (0.52, 0.34, 0.14)  # the shares of images with one, two and three lesions
TENDENCY = 5.0  # how many times likelier a patient's own lesion is at each of the patient's sites
SHORTEST_SIDE, LONGEST_SIDE = 120, 320  # pixels
LABELS, PATIENT, IMAGE = 0, 1, 2  # streams of random numbers under one seed


class Row(NamedTuple):
    """One image of the manifest; `number` and `patient` seed its pixels."""

    number: int
    patient: int
    location: str
    lesions: tuple[str, ...]

    @property
    def image(self) -> str:
        return f"{self.number:05d}.jpg"

    @property
    def group(self) -> str:
        return f"p{self.patient:04d}"


def draw_rows(images: int, patients: int, seed: int) -> list[Row]:
    """Draws the labels of `images` images of `patients` patients; renders nothing."""
    rng = np.random.RandomState([seed, LABELS])
    sites, lesions = list(SITES), list(LESIONS)
    owners = owners_of(images, patients, rng)
    homes = [rng.choice(len(sites), 1 + (rng.random_sample() < 0.4), replace=False) for _ in range(patients)]
    own = [rng.choice(len(lesions), p=_shares(PROFILE[sites[home[0]]])) for home in homes]
    rows = []
    for number, patient in enumerate(owners):
        site = sites[homes[patient][rng.randint(len(homes[patient]))]]
        weights = np.array(PROFILE[site], float)
        weights[own[patient]] *= TENDENCY
        count = 1 + rng.choice(len(N_LESIONS), p=N_LESIONS)
        chosen = rng.choice(len(lesions), count, replace=False, p=_shares(weights))
        rows.append(Row(number, patient, site, tuple(lesions[i] for i in sorted(chosen))))
    return rows


def owners_of(images: int, patients: int, rng: np.random.RandomState) -> list[int]:
    """The patient of every image, sorted: each has one at least, and the last ones are dealt at random."""
    owners = list(range(patients)) * max(1, images // patients - 1)
    return sorted([*owners, *rng.randint(0, patients, images - len(owners)).tolist()])


def _shares(weights: Iterable[float]) -> np.ndarray:
    weights = np.array(weights, float)
    return weights / weights.sum()


def render(row: Row, seed: int) -> bytes:
    """The JPEG of one row. The patient's look is the same in all of the patient's images; the rest is the image's."""
    rng = np.random.RandomState([seed, IMAGE, row.number])
    look = Look(np.random.RandomState([seed, PATIENT, row.patient]))
    image = photograph(row.location, row.lesions, look, rng)
    quality = int(rng.randint(60, 96))
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def photograph(location: str, lesions: Iterable[str], look: Look, rng: np.random.RandomState) -> np.ndarray:
    """One picture of a site with lesions, as `photograph_of` makes it."""

    def draw(scene: Scene) -> None:
        SITES[location](scene)
        for lesion in lesions:
            LESIONS[lesion](scene)

    return photograph_of(draw, look, rng)[0]


def photograph_of(
    draw: Callable[[Scene], None], look: Look, rng: np.random.RandomState
) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """One picture, (height, width, 3) uint8 BGR: portrait, landscape or square, its sides from 120 to 320 pixels; and
    what takes any array of the canvas to the photograph's size and side."""
    ratio = 1.0 if rng.random_sample() < 0.2 else rng.uniform(1.1, 1.45)
    shorter = rng.randint(SHORTEST_SIDE, int(LONGEST_SIDE / ratio) + 1)
    sides = (1.0, ratio) if rng.random_sample() < 0.5 else (ratio, 1.0)
    scene = Scene(look, rng, *(int(side * UNIT) for side in sides))
    draw(scene)
    image = _lit(scene)
    image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.3))
    height, width = (int(side * shorter) for side in sides)
    is_mirrored = rng.random_sample() < 0.5  # a left hand

    def to_photograph(canvas: np.ndarray) -> np.ndarray:
        resized = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_LINEAR)
        return resized[:, ::-1] if is_mirrored else resized

    image = to_photograph(image)
    noise = rng.normal(0, look.noise, (height, width, 1))
    return np.clip(image + noise, 0, 255).astype(np.uint8), to_photograph


def _lit(scene: Scene) -> np.ndarray:
    """The scene under the patient's uneven light, with a mottled skin, as uint8."""
    look, rng = scene.look, scene.rng
    mottle = rng.randint(116, 141, (9, 9)).astype(np.uint8)
    mottle = cv2.resize(mottle, (scene.width, scene.height), interpolation=cv2.INTER_CUBIC)
    y, x = np.mgrid[-1 : 1 : scene.height * 1j, -1 : 1 : scene.width * 1j]
    angle = look.light + rng.uniform(-0.4, 0.4)
    light = look.gain * (1 + look.gradient * (x * np.cos(angle) + y * np.sin(angle))) * (mottle / 128.0)
    return np.clip(scene.image * light[:, :, None], 0, 255).astype(np.uint8)


def make(out: Path, images: int = 1200, patients: int = 400, seed: int = 1, workers: int = 1) -> list[Row]:
    """Renders the data set into the new folder `out` and returns its rows.

    `out` gets images/, manifest.csv, lesions.txt, locations.txt and demo.json, all of them or nothing.
    """
    rows = draw_rows(images, patients, seed)
    arguments = {"count": images, "patients": patients, "seed": seed}
    write_set(out, rows, ("images",), _render_to, _write_labels, counts(rows), arguments, workers)
    return rows


def write_set(
    out: Path,
    rows: Sequence[Any],
    folders: Sequence[str],
    render_to: Callable[[tuple[Any, int, str]], None],
    write_labels: Callable[[Path, Sequence[Any]], None],
    counted: dict[str, dict[str, int]],
    arguments: dict[str, Any],
    workers: int,
) -> None:
    """Makes `out` with `folders`, which `render_to` fills from (row, seed, `out`), with the labels and demo.json.

    `arguments` are the user's, less the number of workers: that changes nothing.
    """
    with new_folder(out) as folder:
        for name in folders:
            (folder / name).mkdir()
        tasks = ((row, arguments["seed"], str(folder)) for row in rows)
        done = ordered_map(render_to, tasks, min(workers, len(rows)))
        for _ in tqdm(done, total=len(rows), unit="image", disable=None):
            pass
        write_labels(folder, rows)
        write_json(folder / "demo.json", {**made_by(arguments), "counts": counted})


def counts(rows: list[Row]) -> dict[str, dict[str, int]]:
    """Images by lesion and by location, every name present, in label order."""
    lesions = Counter(lesion for row in rows for lesion in row.lesions)
    locations = Counter(row.location for row in rows)
    return {
        "lesions": {name: lesions[name] for name in LESIONS},
        "locations": {name: locations[name] for name in SITES},
    }


def _write_labels(folder: Path, rows: list[Row]) -> None:
    with open(str(folder / "manifest.csv"), "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["image", "lesions", "location", "group"])
        writer.writerows([row.image, ";".join(row.lesions), row.location, row.group] for row in rows)
    for name, labels in (("lesions.txt", LESIONS), ("locations.txt", SITES)):
        (folder / name).write_text("".join(f"{label}\n" for label in labels), encoding="utf-8")


def _render_to(task: tuple[Row, int, str]) -> None:
    row, seed, folder = task
    (Path(folder) / "images" / row.image).write_bytes(render(row, seed))
