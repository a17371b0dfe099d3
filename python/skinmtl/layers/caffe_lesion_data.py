"""LesionData: images with box, class and mask of their lesion, as a Caffe layer of type "Python"."""

from __future__ import annotations

import caffe

from caffe_files.streams import Plan, Recipe
from skinmtl.layers.caffe_stream import StreamLayer
from skinmtl.layers.lesion_data import plan_of, recipe_of
from skinmtl.layers.param_str import read_param_str
from skinmtl.layers.settings import LESION_TOPS, LesionDataSettings


class LesionData(StreamLayer):
    """Tops, all float32; S is the side, boxes are x1, y1, x2, y2 in its pixels, x2 and y2 exclusive:

    data (N, 3, S, S) blue, green, red in the letterbox, less the mean; window (N, 4), what of it is not padding;
    box (N, 4) and class_label (N) from 1, both zeros where the mask is empty; mask (N, 1, S, S) 0 or 1; draw (N, 2),
    whole numbers below 2**24 from which other layers draw for the visit.

    In TRAIN augmented, in TEST never, and there every pass over the records has the same numbers. The param_str is
    JSON: LesionDataSettings.
    """

    tops = len(LESION_TOPS)

    def read_settings(self) -> LesionDataSettings:
        return read_param_str(LesionDataSettings, self.param_str, "LesionData")

    def stream(self, settings: LesionDataSettings) -> tuple[Recipe, Plan]:
        return recipe_of(settings, self.phase == caffe.TRAIN, planes=True), plan_of(settings)
