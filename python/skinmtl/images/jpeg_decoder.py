"""JPEG data to pixels, in full or at 1/2, 1/4, 1/8: by simplejpeg where it is installed, else by OpenCV.

Both have libjpeg-turbo under them and make the same pixels. simplejpeg's is newer and takes the whole picture at once:
in full it needs 40 to 65 % of the time. Its other scales (7/8, 6/8, 5/8, 3/8) are not used: libjpeg-turbo has no
vector instructions for them, so that they take longer than the next larger scale that has.
"""

from __future__ import annotations

from functools import lru_cache
from types import ModuleType

import cv2
import numpy as np

from skinmtl.images import jpeg
from skinmtl.images.decoder import imdecode

REDUCED = {2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4, 8: cv2.IMREAD_REDUCED_COLOR_8}
AT_LEAST = 1.5  # for simplejpeg: any scale below 1 is let in, the sides choose


def decode_jpeg(data: bytes, header: jpeg.Header, by: int = 1) -> tuple[np.ndarray, str]:
    """(H, W, 3) uint8 BGR as stored, each side 1/`by` of the file's, rounded up; and libjpeg's messages.

    simplejpeg is given plain colours only, and stops at whatever libjpeg has to say: OpenCV's decoder then decides
    whether that is damage, as it does of grey, CMYK and RGB. ImageError as from `imdecode`. OpenCV's early versions do
    not reduce.
    """
    pixels = _by_simplejpeg(data, header, by) if header.is_ycc and header.bits == 8 else None
    if pixels is not None:
        return pixels, ""
    return imdecode(data, REDUCED.get(by, cv2.IMREAD_COLOR) | cv2.IMREAD_IGNORE_ORIENTATION)


def name_of_decoder() -> str:
    """Which library reads JPEGs here, and its version.

    >>> name_of_decoder().split()[0] in ("simplejpeg", "OpenCV")
    True
    """
    library = simplejpeg()
    return f"OpenCV {cv2.__version__}" if library is None else f"simplejpeg {library.__version__}"


@lru_cache(maxsize=None)
def simplejpeg() -> ModuleType | None:
    """The library; None where it is not installed, or was built for another NumPy."""
    try:
        import simplejpeg as library
    except (ImportError, RuntimeError, ValueError):
        return None
    return library


def _by_simplejpeg(data: bytes, header: jpeg.Header, by: int) -> np.ndarray | None:
    library = simplejpeg()
    if library is None:
        return None
    height, width = -(-header.height // by), -(-header.width // by)
    scale = {} if by == 1 else {"min_height": height, "min_width": width, "min_factor": AT_LEAST}
    try:
        pixels = library.decode_jpeg(data, colorspace="BGR", strict=True, **scale)
    except ValueError:
        return None
    return pixels if pixels.shape == (height, width, 3) else None
