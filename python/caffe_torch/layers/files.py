"""Layers that read files as they lie on the disk: ImageData and HDF5Data."""

from __future__ import annotations

from caffe_files.streams import Recipe
from caffe_torch.hdf5_rows import HDF5Rows
from caffe_torch.layers.sources import StreamSource
from caffe_torch.listed_images import ListedImages
from caffe_torch.records import Transform


class ImageData(StreamSource):
    """Images of a list of files, and their labels (BVLC: image_data_layer.cpp)."""

    gives = (2, 2)

    def prepare(self) -> None:
        settings = self.param.image_data_param
        for field in ("scale", "mean_file", "crop_size", "mirror"):
            if settings.HasField(field):
                raise self.refuse(f"image_data_param.{field} is the old form; move it to transform_param")
        if settings.rand_skip:
            raise self.refuse("rand_skip is not supported: a resumed training would skip others")
        if not settings.batch_size:
            raise self.refuse("needs a batch_size")
        size = (settings.new_height, settings.new_width)
        if (size[0] > 0) != (size[1] > 0):
            raise self.refuse(f"new_height {size[0]} and new_width {size[1]}; give both, or none")
        transform = Transform.of(self.param.transform_param, self.phase == "TRAIN", self.refuse)
        recipe = ListedImages.recipe(
            transform,
            source=settings.source,
            root=settings.root_folder,
            size=size,
            in_color=settings.is_color,
            shuffled=settings.shuffle,
        )
        alike = transform.crop > 0 or size[0] > 0 or settings.batch_size > 1
        self.set_up_stream(recipe, settings.batch_size, alike, transform.mean, transform.scale)


class HDF5Data(StreamSource):
    """Rows of data sets in HDF5, a top for each, which has the data set's name (BVLC: hdf5_data_layer.cpp)."""

    begins_with_image = False

    def prepare(self) -> None:
        settings = self.param.hdf5_data_param
        if self.param.HasField("transform_param"):
            raise self.refuse("transforms no data; leave transform_param out")
        if not settings.batch_size:
            raise self.refuse("needs a batch_size")
        names = list(self.param.top)
        recipe = Recipe.of(HDF5Rows, source=settings.source, names=names, shuffled=settings.shuffle)
        self.set_up_stream(recipe, settings.batch_size, True, ())
