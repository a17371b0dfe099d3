"""HEIC images, as phones write them, through pillow-heif."""

from __future__ import annotations

from io import BytesIO

import numpy as np

from skinmtl.images import formats
from skinmtl.images.decoder import ImageError


def decode(data: bytes) -> np.ndarray:
    """(H, W, 3 or 4) uint8, BGR with straight transparency last, upright: libheif turns it. ImageError for damage."""
    unread = formats.unread_here(formats.HEIC)
    if unread:
        raise ImageError(unread)
    import pillow_heif

    try:
        image = pillow_heif.open_heif(BytesIO(data), convert_hdr_to_8bit=True).to_pillow()
        if image.mode not in ("RGB", "RGBA"):
            image = image.convert("RGBA" if "A" in image.mode or "a" in image.mode else "RGB")
        pixels = np.asarray(image)
    except MemoryError:
        raise
    except Exception as error:  # of damaged files it raises many kinds
        raise ImageError(f"pillow-heif cannot read it ({' '.join(str(error).split())})") from None
    return np.ascontiguousarray(pixels[:, :, [2, 1, 0, 3][: pixels.shape[2]]])
