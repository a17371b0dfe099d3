"""A reader of samples that say which they are; worker processes import it by its name."""

from __future__ import annotations

import numpy as np

from caffe_files.errors import InputError
from caffe_files.streams import Reader


class NumberedSamples(Reader):
    """Three parts: the visit and the seed as pixels, the visit as a number, and as many boxes as are asked for."""

    def __init__(self, boxes, bad=-1):
        self.boxes, self.bad, self.cores = boxes, bad, None

    def sample(self, visit, seed):
        if visit == self.bad:
            raise InputError(f"a.lmdb: record {visit}: is bad")
        pixels = np.full((2, 3), 10 * seed + visit, np.uint8)
        return pixels, np.float32(visit), np.full((self.boxes, 4), self.cores or visit, np.int64)

    def use_one_core(self):
        self.cores = 1

    def close(self):
        pass


class Failing(NumberedSamples):
    """Ends its process, as one does that cannot load a library."""

    def __init__(self, **settings):
        raise SystemExit(3)


class LesionSamples(NumberedSamples):
    """Six parts, as of a photograph with a lesion: pixels, window, box, class, mask and what is drawn."""

    def sample(self, visit, seed):
        pixels = np.full((40, 48, 3), 10 * seed + visit, np.uint8)
        window, box = np.array([0, 4, 48, 36], np.float32), np.arange(4, dtype=np.float32) + visit
        mask = np.full((1, 40, 48), visit % 2, np.uint8)
        return pixels, window, box, np.float32(visit % 3), mask, np.array([seed, visit], np.float32)
