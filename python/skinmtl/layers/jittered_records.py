"""The samples of a JitteredImageData layer: the draws and the pixels are those of the layer for BVLC Caffe."""

from __future__ import annotations

import numpy as np

from caffe_files.errors import InputError
from caffe_torch.errors import NetError
from caffe_torch.records import Lmdb
from skinmtl.layers.jitter import crop_of, draw
from skinmtl.layers.settings import JitterSettings


class JitteredRecords:
    """A new scale, crop and flip a visit."""

    def __init__(self, settings: JitterSettings) -> None:
        self.seed = settings.seed
        self._settings, self._records = settings, Lmdb(settings.source)

    def sample(self, visit: int) -> tuple[np.ndarray, int]:
        """(crop, crop, 3) uint8: blue, green, red; no label."""
        settings, records = self._settings, self._records
        datum = records.datum(visit)
        try:
            if not datum.encoded:
                raise InputError("holds no encoded image; build the LMDBs with make_lmdb.py")
            drawn = draw(self.seed, visit, settings.scales)
            return crop_of(datum.data, drawn, settings.crop, settings.scales[1]), 0
        except InputError as error:
            raise NetError(f"{records.source}: record {records.key(visit)}: {error}") from None
