"""Every image file of a manifest looked at once: what it is, whether it can be used, and a thumbnail where wanted."""

from __future__ import annotations

import hashlib
from contextlib import closing
from pathlib import Path
from typing import Container, NamedTuple

import cv2
import numpy as np
from tqdm import tqdm

from caffe_files.errors import InputError
from caffe_files.inputs import no_file
from skinmtl.common.parallel import ordered_map
from skinmtl.data.manifest import Manifest
from skinmtl.data.near_images import hint, near_file
from skinmtl.description.headers import Header, read_header
from skinmtl.description.masks import MaskFacts, look_at_mask, outlined
from skinmtl.images.formats import format_of, unread_here
from skinmtl.images.image_file import LONGEST_SIDE, ImageError, encode_jpeg, read, resized
from skinmtl.images.masks import Mask

TILE = 200  # pixels, the longer side of a thumbnail
QUALITY = 92  # of a thumbnail, which is decoded and encoded once more for its sheet
BLANK_SIDE, BLANK_SPREAD = 32, 3  # levels of 256 between the darkest and the brightest of 32 x 32 mean colours
SHORT_SIDE = 256  # make_lmdb.py's default: what it refuses at that is refused here
MISSING, UNREADABLE, DAMAGED, NARROW = "missing", "unreadable", "damaged", "too narrow"
NOT_READ = "of a format that is not read here"


class FileFacts(NamedTuple):
    """One file, decoded as make_lmdb.py decodes it.

    `width` and `height` are as shown, upright, and 0 where the header does not tell.

    `kind` is empty, or says what sort of `problem`, in one line, the file has: a file with one cannot be trained on.
    `told`: what a person should know of a file that can be used, a line each. `blank`: all of one colour, or so near
    that nothing is seen. `thumbnail` is a JPEG where one was asked for, with the outline of the mask, if there is one.
    `mask` is what is known of the mask, None for an image without.
    """

    n_bytes: int = 0
    sha256: str = ""
    header: Header = Header()
    width: int = 0
    height: int = 0
    blank: bool = False
    kind: str = ""
    problem: str = ""
    told: tuple[str, ...] = ()
    thumbnail: bytes | None = None
    mask: MaskFacts | None = None


def look_at_files(
    manifest: Manifest, folder: Path, thumbnails: Container[int], workers: int, masks: Path | None = None
) -> list[FileFacts]:
    """The facts of every row's file below `folder`, in the manifest's order; `thumbnails` of these rows. The manifest's
    masks are below `masks`, None: below `folder` too.

    InputError where the folder is none, or has none of the images: the wrong one was named.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; correct --images")
    if len(manifest.rows) > 1 and not any(_is_file(folder / row.image) for row in manifest.rows):
        near = hint(near_file(folder, manifest.rows[0].image))
        raise InputError(
            f"{folder}: has none of the {len(manifest.rows)} images of {manifest.path}{near}; correct "
            f"{'the names' if near else '--images'}, or leave it out to describe the labels alone"
        )
    tasks = (
        (folder / row.image, n in thumbnails, (masks or folder) / row.mask if row.mask else None)
        for n, row in enumerate(manifest.rows)
    )
    with closing(ordered_map(look, tasks, workers)) as looked:  # its workers end here, whatever happens
        return list(tqdm(looked, "image files", len(manifest.rows), unit="image", disable=None))


def look(task: tuple[Path, bool] | tuple[Path, bool, Path | None]) -> FileFacts:
    """The facts of one file, given with whether its thumbnail is wanted, and with its mask. Never raises: workers call
    it."""
    path, wanted, *masks = task
    facts, pixels = _look(path, wanted)
    if not masks or masks[0] is None:
        return facts._replace(thumbnail=_thumbnail(pixels) if wanted and pixels is not None else None)
    about, mask = look_at_mask(masks[0], (facts.height, facts.width) if facts.width else None)
    facts = facts._replace(mask=about)
    if not wanted or pixels is None:
        return facts
    return facts._replace(thumbnail=_thumbnail(pixels, mask))


def _look(path: Path, wanted: bool) -> tuple[FileFacts, np.ndarray | None]:
    """The facts without those of the mask, and the pixels, small, where they can be used."""
    try:
        if not path.exists():
            return FileFacts(kind=MISSING, problem="the file is missing"), None
        if not path.is_file():  # a folder; or a pipe, which would be waited for
            return FileFacts(kind=UNREADABLE, problem=f"it is {no_file(path)}, no file"), None
        data = read(path)
    except OSError as error:
        return FileFacts(kind=UNREADABLE, problem=f"cannot be read ({error.strerror})"), None
    except ImageError as error:
        return FileFacts(kind=UNREADABLE, problem=str(error)), None
    header = read_header(data)
    width, height = (header.height, header.width) if header.turned >= 5 else (header.width, header.height)
    facts = FileFacts(len(data), hashlib.sha256(data).hexdigest(), header, width, height)
    if max(width, height) * SHORT_SIDE > LONGEST_SIDE * min(width, height):
        narrow = f"{width} x {height} is too narrow for a shorter side of {SHORT_SIDE}"
        return facts._replace(kind=NARROW, problem=narrow), None
    try:
        # all of a JPEG is read at any scale, so that damage is found; a small one spares most of the arithmetic
        found = resized(data, max(1, min(TILE if wanted else BLANK_SIDE, width, height)))
    except ImageError as error:
        form = format_of(data)
        return facts._replace(kind=NOT_READ if form and unread_here(form) else DAMAGED, problem=str(error)), None
    pixels = found.pixels
    small = cv2.resize(pixels, (BLANK_SIDE, BLANK_SIDE), interpolation=cv2.INTER_AREA).reshape(-1, 3)
    blank = bool(np.ptp(small, axis=0).max() <= BLANK_SPREAD)
    return facts._replace(blank=blank, told=found.told), pixels


def _thumbnail(pixels: np.ndarray, mask: Mask | None = None) -> bytes:
    """A JPEG whose longer side is TILE at most, with the mask's outline."""
    height, width = pixels.shape[:2]
    scale = min(1.0, TILE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return encode_jpeg(small if mask is None else outlined(small, mask), QUALITY)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long
        return False
