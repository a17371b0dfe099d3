"""What the layers for caffe_torch that have bottoms have in common: settings, and checks of bottoms and tops."""

from __future__ import annotations

from typing import Sequence

from caffe_files.errors import InputError
from caffe_torch.errors import NetError
from caffe_torch.layers.layer import Layer, Shape
from skinmtl.layers.blob_shapes import Axis, check_count, check_shapes
from skinmtl.layers.label_settings import LABEL_SETTINGS
from skinmtl.layers.param_str import read_param_str
from skinmtl.layers.region_settings import REGION_SETTINGS

SETTINGS = {**REGION_SETTINGS, **LABEL_SETTINGS}


class CheckedLayer(Layer):
    """Reads its param_str, and says its bottoms' and tops' names, the optional tops behind, and what shapes the bottoms
    must have: as the layer of the same name for BVLC Caffe does."""

    bottom_names: Sequence[str] = ()
    top_names: Sequence[str] = ()
    optional_tops: Sequence[str] = ()

    def set_up(self, bottoms: list[Shape]) -> None:
        kind = type(self).__name__
        where, shapes = f"layer {self.name!r} ({kind})", [tuple(shape) for shape in bottoms]
        try:
            self.settings = read_param_str(SETTINGS[kind], self.param.python_param.param_str, where)
            self.prepare()
            names = self.names_of_bottoms()
            check_count(where, "bottom", len(bottoms), names)
            check_count(where, "top", len(self.param.top), self.top_names, self.optional_tops)
            check_shapes(where, names, shapes, self.wanted_shapes(shapes))
        except NetError:
            raise
        except InputError as error:
            raise NetError(str(error)) from None

    def prepare(self) -> None:
        """Makes what follows from the settings alone."""

    def names_of_bottoms(self) -> Sequence[str]:
        """The bottoms that there must be."""
        return self.bottom_names

    def wanted_shapes(self, shapes: Sequence[Shape]) -> Sequence[Sequence[Axis]]:
        """What `check_shapes` asks for, given the shapes that there are."""
        raise NotImplementedError
