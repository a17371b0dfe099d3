"""LesionData without Caffe: the same settings, draws and numbers as the layer for BVLC Caffe."""

from __future__ import annotations

from skinmtl.layers.lesion_data import recipe_of
from skinmtl.layers.param_str import read_param_str
from skinmtl.layers.settings import LESION_TOPS, LesionDataSettings
from skinmtl.layers.torch_stream import OwnStream


class LesionData(OwnStream):
    """Images in the letterbox, less the mean, with window, box, class, mask and draw; in TRAIN augmented."""

    def prepare(self) -> None:
        if len(self.param.top) != len(LESION_TOPS):
            raise self.refuse(f"gives {len(LESION_TOPS)} tops: {', '.join(LESION_TOPS)}; correct the net")
        settings = read_param_str(LesionDataSettings, self.param.python_param.param_str, f"layer {self.name!r}")
        self.read_from(recipe_of(settings, self.phase == "TRAIN", planes=False), settings)
