"""What training sees: images as they are stored, and as its net is shown them at one visit after the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, NamedTuple

import cv2
import numpy as np

from caffe_files.errors import InputError
from caffe_files.inputs import is_there
from caffe_files.records import Records
from skinmtl.data.dataset import LESIONS, read_summary
from skinmtl.data.table import read_csv
from skinmtl.figures.outlines import TRUTH, Drawn, outlined
from skinmtl.layers import jittered_images, lesion_data
from skinmtl.layers.augment import Augmentation
from skinmtl.layers.param_str import read_param_str
from skinmtl.layers.settings import LesionDataSettings, read_settings
from skinmtl.nets.allowed_layers import read_given_net
from skinmtl.nets.data_layers import JITTERED
from skinmtl.nets.data_layers import LESIONS as LESION_DATA

Sampler = Callable[[int], np.ndarray]


class View(NamedTuple):
    """One record: the stored image and what each visit shows of it, (H, W, 3) uint8 BGR, its name, its lesions and its
    group, "" where it is not known."""

    stored: np.ndarray
    visits: list[np.ndarray]
    image: str
    lesions: str
    group: str = ""


class Views(NamedTuple):
    """The views, and in words what is drawn, and by which seed."""

    views: list[View]
    drawn: str


def training_views(net_folder: Path, images: int, visits: int, first: int, seed: int | None) -> Views:
    """The first visits of some records, from record `first` on, as the net in a folder of make_prototxt.py is shown
    them by `caffe train`, or by train.py with that `seed`.

    InputError where the net has no layer "data" that reads images, or where its LMDBs are not there.
    """
    path = net_folder / "train.prototxt"
    net = read_given_net(path, reads_data=True)
    layer = next((each for each in net.layer if each.name == "data"), None)
    if layer is None or layer.type not in ("Data", "Python"):
        raise InputError(f"{path}: no layer 'data' that reads images; make the net with make_prototxt.py")
    source, sampler, close, drawn = _sampler(layer, path, seed)
    records = Records(source)
    try:
        n = len(records)
        if first >= n:
            raise InputError(f"{source}: has {n} records, from 0 to {n - 1}; give a smaller --first")
        views = []
        for number in range(first, min(n, first + images)):
            stored = cv2.imdecode(np.frombuffer(records.datum(number).data, np.uint8), cv2.IMREAD_COLOR)
            if stored is None:
                raise records.fault(number, "not an image that OpenCV reads; build the LMDBs again")
            visits_of = [sampler(number + visit * n) for visit in range(visits)]
            views.append(View(stored, visits_of, *_told(Path(source).parent, number)))
    finally:
        records.close()
        close()
    return Views(views, drawn)


def _sampler(layer: Any, path: Path, seed: int | None) -> tuple[str, Sampler, Callable[[], None], str]:
    """The LMDB of a layer, what it shows at a visit, what ends it, and what it draws, in words."""
    if layer.type == "Data":
        return _of_data_layer(layer, 1 if seed is None else seed)
    kind, where = layer.python_param.layer, f"{path}: {layer.name}"
    if kind == JITTERED:
        settings = read_settings(layer.python_param.param_str, where)
        seed = settings.seed if seed is None else seed
        reader = jittered_images.recipe_of(settings, planes=False).make()
        ranges = settings_words(settings.augmentation)
        words = f"scale {settings.scales[0]} to {settings.scales[1]}, crop {settings.crop}, flip{ranges}; seed {seed}"
        return settings.source, lambda visit: reader.sample(visit, seed)[0], reader.close, words
    if kind == LESION_DATA:
        settings = read_param_str(LesionDataSettings, layer.python_param.param_str, where)
        seed = settings.seed if seed is None else seed
        reader = lesion_data.recipe_of(settings, training=True, planes=False).make()

        def outlined_sample(visit: int) -> np.ndarray:
            image, _, _, _, mask, _ = reader.sample(visit, seed)
            return outlined(image, [Drawn(mask[0] > 0, None, TRUTH)])

        words = f"up to {settings.augment} of flips, a turn, a factor and a blur; seed {seed}"
        return settings.source, outlined_sample, reader.close, words
    raise InputError(f"{path}: layer {layer.name!r} reads no images; make the net with make_prototxt.py")


def settings_words(ranges: Augmentation) -> str:
    """The ranges that are on, after a comma each."""
    return "".join(
        f", {name.replace('_', ' ')}" + ("" if value is True else f" {value:g}")
        for name, value in (ranges.plain() or {}).items()
        if value
    )


def _of_data_layer(layer: Any, seed: int) -> tuple[str, Sampler, Callable[[], None], str]:
    """A Data layer of Caffe crops and mirrors by random numbers of its own, which nobody else can draw: these are of
    the same kind."""
    transform, records = layer.transform_param, Records(layer.data_param.source)
    crop = transform.crop_size

    def sample(visit: int) -> np.ndarray:
        random = np.random.RandomState([seed % 2**32, visit % 2**32])
        image = cv2.imdecode(np.frombuffer(records.datum(visit).data, np.uint8), cv2.IMREAD_COLOR)
        if image is None or (crop and min(image.shape[:2]) < crop):
            raise records.fault(visit, f"no image from which {crop} pixels can be cropped; build the LMDBs again")
        if crop:
            top, left = (random.randint(0, side - crop + 1) for side in image.shape[:2])
            image = image[top : top + crop, left : left + crop]
        return image[:, ::-1] if transform.mirror and random.random_sample() < 0.5 else image

    flip = ", flip" if transform.mirror else ""
    words = f"crop {crop}{flip}, as Caffe's Data layer draws them, though not the very ones; seed {seed}"
    return layer.data_param.source, sample, records.close, words


def _told(folder: Path, number: int) -> tuple[str, str, str]:
    """The image's name, its lesions and its group, as far as the folder of make_lmdb.py says them."""
    name, group = f"record {number}", ""
    if is_there(folder / "records.csv"):
        listed = (record for _, record in read_csv(folder / "records.csv", ("key", "image")))
        found = next((record for place, record in enumerate(listed) if place == number), {})
        name, group = found.get("image", name), found.get("group", "")
    if not is_there(folder / "dataset.json") or not (folder / LESIONS).is_dir():
        return name, "", group
    labels = Records(str(folder / LESIONS))
    try:
        values = labels.datum(number).float_data
        lesions = [each for each, value in zip(read_summary(folder)["lesion_names"], values) if value]
        return name, ", ".join(lesions), group
    finally:
        labels.close()
