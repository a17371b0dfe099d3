"""The augmentations of JitteredImageData beside scale, crop and flip: their ranges, and what is drawn for a visit.

The paper has none of them; each is off until it has a range. All that is drawn is a pure function of the seed and of
the visit's number, as the crop is (jitter.py). Each value has bits of its own, so that one more augmentation changes
neither the crop nor what the others draw.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple

import numpy as np

from skinmtl.layers.changes import blurred, cut_out, flipped, recoloured
from skinmtl.layers.param_str import Settings, number, setting, true_or_false

FRACTION = 2.0**-64
SHARE = number(0, 1)  # of a factor from 1 - share to 1 + share


@dataclass(frozen=True)
class Augmentation(Settings):
    """rotate         degrees: turned by up to so many, either way
    vertical_flip  upside down, half of the times
    brightness     of 0.2: times 0.8 to 1.2; contrast, saturation and white_balance (of blue and of red) likewise
    hue            degrees on the circle of colours, up to so many, either way
    blur           largest sigma of a Gaussian, in pixels of the crop; each from 0 is as likely
    cutout         largest side of a square of the mean's colour, as a share of the crop's; each from 0 is as likely
    """

    rotate: float = setting(number(0, 180), 0)
    vertical_flip: bool = setting(true_or_false(), False)
    brightness: float = setting(SHARE, 0)
    contrast: float = setting(SHARE, 0)
    saturation: float = setting(SHARE, 0)
    hue: float = setting(number(0, 180), 0)
    white_balance: float = setting(SHARE, 0)
    blur: float = setting(number(0, 100), 0)
    cutout: float = setting(number(0, 1), 0)

    @property
    def augmentation(self) -> Augmentation:
        """These fields alone, of settings that have others too."""
        return Augmentation(**{one.name: getattr(self, one.name) for one in fields(Augmentation)})

    @property
    def is_none(self) -> bool:
        """Whether nothing is changed."""
        return self.augmentation == NONE

    def plain(self) -> dict[str, Any] | None:
        """What another process is told; None where nothing is changed."""
        return None if self.is_none else asdict(self.augmentation)


NONE = Augmentation()


class Change(NamedTuple):
    """What happens to one visit's crop.

    degrees   against the clock
    gains     of blue and red
    sigma     pixels
    cut       side, y and x of the square that is cut out, pixels
    """

    degrees: float
    up_down: bool
    brightness: float
    contrast: float
    saturation: float
    hue: float
    gains: tuple[float, float]
    sigma: float
    cut: tuple[int, int, int]


def draw_change(seed: int, visit: int, ranges: Augmentation, crop: int) -> Change:
    """The change of a visit: 1024 bits of BLAKE2b of (seed, visit, 1) and (seed, visit, 2), 64 a value; every value is
    uniform in its range.

    >>> draw_change(1, 0, Augmentation(rotate=90), 224) == draw_change(1, 0, Augmentation(rotate=90, hue=0), 224)
    True
    """
    digests = (hashlib.blake2b(struct.pack("<QQQ", seed, visit, half), digest_size=64).digest() for half in (1, 2))
    bits = [value for digest in digests for value in struct.unpack("<8Q", digest)]
    share = [value * FRACTION for value in bits]
    between = [2 * each - 1 for each in share]  # -1 to 1
    return Change(
        degrees=ranges.rotate * between[0],
        up_down=ranges.vertical_flip and bool(bits[1] >> 63),
        brightness=1 + ranges.brightness * between[2],
        contrast=1 + ranges.contrast * between[3],
        saturation=1 + ranges.saturation * between[4],
        hue=ranges.hue * between[5],
        gains=(1 + ranges.white_balance * between[6], 1 + ranges.white_balance * between[7]),
        sigma=ranges.blur * share[8],
        cut=(int(ranges.cutout * crop * share[9]), int(crop * share[10]), int(crop * share[11])),
    )


def changed(crop: np.ndarray, change: Change, mean: tuple[float, ...]) -> np.ndarray:
    """A crop (H, W, 3) uint8, blue, green, red, that is turned already, as drawn; `mean` is the colour of a cutout."""
    crop = flipped(crop, False, change.up_down)
    colours = (change.brightness, change.contrast, change.saturation, change.hue, change.gains)
    crop = blurred(recoloured(crop, *colours), change.sigma)
    return cut_out(crop, *change.cut, mean)
