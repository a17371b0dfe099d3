"""The outline of a mask and a box, drawn on the photograph that they are of."""

from __future__ import annotations

from typing import NamedTuple, Sequence

import cv2
import numpy as np

from skinmtl.figures.style import BLACK, SKY, YELLOW

THIN = 1 / 350  # a line's width, as a share of the picture's longer side: our choice, to be seen at any size


class Drawn(NamedTuple):
    """What is drawn of one reader of the picture.

    mask    (H, W) bool in any size, stretched to the picture; None: no outline
    box     (4,) x1, y1, x2, y2 as shares of the picture's width and height, 0 to 1; None: no box
    colour  of both, as #rrggbb
    """

    mask: np.ndarray | None
    box: np.ndarray | None
    colour: str


ANSWER, TRUTH = YELLOW, SKY  # of Okabe and Ito's colours, the two that are bright on skin and on moles


def outlined(image: np.ndarray, drawn: Sequence[Drawn]) -> np.ndarray:
    """(H, W, 3) uint8 BGR of a photograph (H, W, 3) uint8 BGR with outlines and boxes, the last one on top.

    Each line has a dark edge, so that it is seen on light skin and on a dark mole. Outlines follow the middles of the
    outermost lesion pixels; holes are outlined too.
    """
    picture = image.copy()
    height, width = image.shape[:2]
    thick = max(1, round(THIN * max(height, width)))
    for each in drawn:
        for colour, line in ((BLACK, 3 * thick), (each.colour, thick)):
            if each.box is not None:
                x1, y1, x2, y2 = _pixels(each.box, width, height)
                cv2.rectangle(picture, (x1, y1), (x2, y2), _bgr(colour), line, cv2.LINE_AA)
            if each.mask is not None:
                cv2.drawContours(picture, _contours(each.mask, height, width), -1, _bgr(colour), line, cv2.LINE_AA)
    return picture


def _contours(mask: np.ndarray, height: int, width: int) -> Sequence[np.ndarray]:
    """Of a mask stretched to a size; small masks are smoothed by it, not drawn as steps."""
    values = np.where(mask, 255, 0).astype(np.uint8)
    if values.shape != (height, width):
        smaller = height < values.shape[0] or width < values.shape[1]
        values = cv2.resize(values, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
    found = cv2.findContours((values > 127).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    return found[-2]  # OpenCV 3 gives the image first


def _pixels(box: np.ndarray, width: int, height: int) -> tuple[int, int, int, int]:
    """The first and the last pixels of a box."""
    x1, y1, x2, y2 = (float(edge) for edge in box)
    left, top = round(x1 * width), round(y1 * height)
    return left, top, max(left, round(x2 * width) - 1), max(top, round(y2 * height) - 1)


def _bgr(colour: str) -> tuple[int, int, int]:
    red, green, blue = (int(colour[n : n + 2], 16) for n in (1, 3, 5))
    return blue, green, red
