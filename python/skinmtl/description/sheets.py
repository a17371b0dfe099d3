"""Contact sheets: which images of a label are shown, and a picture of them, their names and groups below them."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path, PurePosixPath
from typing import NamedTuple, Sequence

import cv2
import numpy as np
from tqdm import tqdm

from skinmtl.data.manifest import Manifest, Row
from skinmtl.description.files import TILE, FileFacts
from skinmtl.description.sheet import CAPTION_SIZE, GAP, HEAD, Sheet
from skinmtl.figures.labels import label
from skinmtl.images.image_file import encode_jpeg

COLUMNS = 6
MOST_TILES = 300  # 50 rows, 12,300 pixels: most viewers show no more than some 16,000
CAPTION, LINE = 36, 15  # pixels: below a tile, and of a line there
LONGEST_CAPTION = 27  # characters that fit below a tile
QUALITY = 88
NOTHING = 232  # grey of a tile whose file cannot be used


class Tile(NamedTuple):
    """One image of a sheet: its row of the manifest, and where the picture lies, in pixels of the sheet."""

    row: int
    left: int
    top: int
    width: int
    height: int


class LabelSheet(NamedTuple):
    """The sheet of a label: its file, in the folder of sheets, and its tiles. Both are empty without images."""

    file: str = ""
    tiles: tuple[Tile, ...] = ()


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
) -> dict[str, list[LabelSheet]]:
    """Writes a JPEG a label into `folder`; returns "lesion" and "location" -> each label's sheet. `samples` is what
    `sample` drew."""
    folder.mkdir()
    names = {"lesion": manifest.lesion_names, "location": manifest.location_names}
    labels = [(kind, index, rows) for kind, of in samples.items() for index, rows in enumerate(of)]
    written: dict[str, list[LabelSheet]] = {kind: [] for kind in samples}
    for kind, index, rows in tqdm(labels, "contact sheets", unit="sheet", disable=None):
        if not rows:
            written[kind].append(LabelSheet())
            continue
        name = names[kind][index]
        title = f"{kind}: {label(name, 80)}   ({len(rows)} of {_images(manifest, kind, name)} images)"
        captions = [_caption(manifest.rows[row]) for row in rows]
        drawn, boxes = contact_sheet([facts[row] for row in rows], captions, title)
        tiles = tuple(Tile(row, *box) for row, box in zip(rows, boxes))
        file_name = f"{kind}_{index:03d}{_slug(name)}.jpg"
        (folder / file_name).write_bytes(encode_jpeg(drawn, QUALITY))
        written[kind].append(LabelSheet(file_name, tiles))
    return written


def contact_sheet(
    facts: Sequence[FileFacts], captions: Sequence[tuple[str, str]], title: str
) -> tuple[np.ndarray, list[tuple[int, int, int, int]]]:
    """(H, W, 3) uint8 BGR: the thumbnails, COLUMNS side by side, a grey tile where a file cannot be used, the two lines
    of each below it; and of each left, top, width and height."""
    columns = _columns(len(facts))
    rows = -(-len(facts) // columns)
    sheet = Sheet(sheet_width(len(facts)), HEAD + rows * (TILE + CAPTION + GAP) + GAP)
    sheet.write(GAP, GAP, title, 11)
    boxes = []
    for n, (one, lines) in enumerate(zip(facts, captions)):
        left, top = GAP + n % columns * (TILE + GAP), HEAD + GAP + n // columns * (TILE + CAPTION + GAP)
        middle = left + TILE / 2
        if one.thumbnail is None:
            sheet.pixels[top : top + TILE, left : left + TILE] = NOTHING
            sheet.write(middle, top + TILE / 2, one.kind, 9, ha="center")
            boxes.append((left, top, TILE, TILE))
        else:
            picture = cv2.imdecode(np.frombuffer(one.thumbnail, np.uint8), cv2.IMREAD_COLOR)
            boxes.append((*sheet.put(picture, left, top + TILE, TILE), *picture.shape[1::-1]))
        for number, (line, colour) in enumerate(zip(lines, ("black", "0.35"))):
            below = top + TILE + 5 + number * LINE
            sheet.write(middle, below, label(line, LONGEST_CAPTION), CAPTION_SIZE, ha="center", color=colour)
    return sheet.drawn(), boxes


def sheet_width(images: int) -> int:
    """Pixels of a sheet of so many images."""
    return _columns(images) * (TILE + GAP) + GAP


def _columns(images: int) -> int:
    return min(COLUMNS, max(3, images))


def _caption(row: Row) -> tuple[str, str]:
    """An image's name, and its group where it has one."""
    return PurePosixPath(row.image).name, "" if row.group == row.image else f"group {row.group}"


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
