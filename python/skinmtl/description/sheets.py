"""Contact sheets: which images of a label are shown, and a picture of them, their names below them."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path, PurePosixPath
from typing import Sequence

import cv2
import numpy as np
from tqdm import tqdm

from skinmtl.data.manifest import Manifest
from skinmtl.description.files import TILE, FileFacts
from skinmtl.description.sheet import CAPTION_SIZE, GAP, HEAD, Sheet
from skinmtl.figures.labels import label
from skinmtl.images.image_file import encode_jpeg

COLUMNS = 6
MOST_TILES = 300  # 50 rows, 11,600 pixels: most viewers show no more than some 16,000
CAPTION = 22  # pixels
LONGEST_CAPTION = 33  # characters that fit below a tile
QUALITY = 88
NOTHING = 232  # grey of a tile whose file cannot be used


def sample(manifest: Manifest, per_label: int, seed: int) -> dict[str, list[list[int]]]:
    """ "lesion" and "location" -> for each label `per_label` of its rows at most, in a seeded random order.

    A group gives its second image only after every group has given one (our choice): the images of one patient are
    alike, and a sheet of them would say little of the label. One random order serves all labels, so that a label's
    sample does not depend on which others there are.
    """
    order = np.random.RandomState(seed).permutation(len(manifest.rows))
    lesions: list[list[int]] = [[] for _ in manifest.lesion_names]
    locations: list[list[int]] = [[] for _ in manifest.location_names]
    lesion = {name: p for p, name in enumerate(manifest.lesion_names)}
    location = {name: q for q, name in enumerate(manifest.location_names)}
    for n in order.tolist():
        row = manifest.rows[n]
        for name in row.lesions:
            lesions[lesion[name]].append(n)
        if row.location:
            locations[location[row.location]].append(n)
    groups = [row.group for row in manifest.rows]
    return {
        kind: [_over_groups(rows, groups)[:per_label] for rows in of_labels]
        for kind, of_labels in (("lesion", lesions), ("location", locations))
    }


def write_sheets(
    folder: Path, manifest: Manifest, facts: Sequence[FileFacts], samples: dict[str, list[list[int]]]
) -> dict[str, list[str]]:
    """Writes a JPEG a label into `folder`; returns "lesion" and "location" -> each label's file name.

    The name is empty for a label without images. `samples` is what `sample` drew.
    """
    folder.mkdir()
    names = {"lesion": manifest.lesion_names, "location": manifest.location_names}
    labels = [(kind, index, rows) for kind, of in samples.items() for index, rows in enumerate(of)]
    written: dict[str, list[str]] = {kind: [] for kind in samples}
    for kind, index, rows in tqdm(labels, "contact sheets", unit="sheet", disable=None):
        name = names[kind][index]
        file_name = f"{kind}_{index:03d}{_slug(name)}.jpg" if rows else ""
        if rows:
            title = f"{kind}: {label(name, 80)}   ({len(rows)} of {_images(manifest, kind, name)} images)"
            drawn = contact_sheet([facts[n] for n in rows], [manifest.rows[n].image for n in rows], title)
            (folder / file_name).write_bytes(encode_jpeg(drawn, QUALITY))
        written[kind].append(file_name)
    return written


def contact_sheet(facts: Sequence[FileFacts], images: Sequence[str], title: str) -> np.ndarray:
    """(H, W, 3) uint8 BGR: the thumbnails in rows of COLUMNS, a grey tile where a file cannot be used."""
    columns = min(COLUMNS, max(3, len(facts)))
    rows = -(-len(facts) // columns)
    width = columns * (TILE + GAP) + GAP
    height = HEAD + rows * (TILE + CAPTION + GAP) + GAP
    sheet = Sheet(width, height)
    sheet.write(GAP, GAP, title, 11)
    for n, (one, image) in enumerate(zip(facts, images)):
        left, top = GAP + n % columns * (TILE + GAP), HEAD + GAP + n // columns * (TILE + CAPTION + GAP)
        if one.thumbnail is None:
            sheet.pixels[top : top + TILE, left : left + TILE] = NOTHING
            sheet.write(left + TILE / 2, top + TILE / 2, one.kind, 9, ha="center")
        else:
            picture = cv2.imdecode(np.frombuffer(one.thumbnail, np.uint8), cv2.IMREAD_COLOR)
            sheet.put(picture, left, top + TILE, TILE)
        caption = label(PurePosixPath(image).name, LONGEST_CAPTION)
        sheet.write(left + TILE / 2, top + TILE + 5, caption, CAPTION_SIZE, ha="center", color="0.25")
    return sheet.drawn()


def _over_groups(rows: Sequence[int], groups: Sequence[str]) -> list[int]:
    """The rows, every group's first before any group's second, and so on."""
    taken: dict[str, int] = {}
    turns = []
    for n in rows:
        turn = taken.get(groups[n], 0)
        taken[groups[n]] = turn + 1
        turns.append(turn)
    return [rows[at] for at in np.argsort(turns, kind="stable")]


def _images(manifest: Manifest, kind: str, name: str) -> int:
    if kind == "lesion":
        return sum(name in row.lesions for row in manifest.rows)
    return sum(row.location == name for row in manifest.rows)


def _slug(name: str) -> str:
    """What of a name may stand in a file's name everywhere; nothing where nothing may."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode("ascii").lower()
    slug = re.sub("[^a-z0-9]+", "-", plain).strip("-")[:40].strip("-")
    return f"_{slug}" if slug else ""
