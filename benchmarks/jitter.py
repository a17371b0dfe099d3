#!/usr/bin/env python3
"""Images a second of scale jittering online, against Caffe's Data layer and against what a ResNet-50 takes.

All on photographs drawn alike, 480 pixels on the shorter side and stored as JPEG, in nets that have the data layer
alone, in turn and in this process: JitteredImageData (a new scale from [256, 480], crop of 224, flip) with none, one
and two workers; the Data layer on the same LMDB, which crops and flips alone; and the Data layer on copies stored at
drawn scales, as make_lmdb.py --jitter 256 480 makes them. Then forward and backward of the paper's ResNet-50 on this
CPU, without data. What reads ahead has some batches ready at the start: those do not count.

Also: how long the layer holds a training up for a batch that lies ready, and how the time of one image divides.

Exits 1 where the numbers depend on the workers, or where two workers are slower than the ResNet-50 step.
"""

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

from cli import new_parser, positive, run, seed  # first: it finds the library

# isort: split
import cv2
import lmdb
import numpy as np
from google.protobuf.message import Message
from machine import described

from caffe_files.prototxt import message_text
from caffe_files.schema import caffe_messages
from skinmtl.engines.caffe_engine import pycaffe
from skinmtl.layers.jitter import crop_of, draw
from skinmtl.layers.param_str import settings_text
from skinmtl.layers.settings import JitterSettings
from skinmtl.nets.multi_task import NetOptions, make_net
from skinmtl.nets.trunks import TRUNKS

SCALES, CROP, QUALITY = (256, 480), 224, 95
MEAN = TRUNKS["resnet50"].mean
GPU_NEED = 2700  # images/s: what is aimed at for a ResNet-50 on a large GPU in half precision


def parse_args() -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("--images", type=positive, default=300, help="of the data set (default %(default)s)")
    parser.add_argument("--batches", type=positive, default=30, help="read each time (default %(default)s)")
    parser.add_argument("--batch-size", type=positive, default=20, help="default %(default)s: the paper's")
    parser.add_argument("--repeats", type=positive, default=5, help="of each, in turn (default %(default)s)")
    parser.add_argument("--seed", type=seed, default=1, help="of images, draws and weights (default %(default)s)")
    return parser.parse_args()


def photograph(random: np.random.RandomState, scale: int) -> bytes:
    """A JPEG of coloured blobs with fine noise, 4 to 3."""
    small = random.randint(0, 256, (9, 12, 3)).astype(np.uint8)
    image = cv2.resize(small, (640, 480), interpolation=cv2.INTER_CUBIC).astype(np.int16)
    image = np.clip(image + random.randint(-8, 9, image.shape), 0, 255).astype(np.uint8)
    if scale != 480:
        image = cv2.resize(image, (round(640 * scale / 480), scale), interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()


def write_images(folder: Path, images: List[bytes]) -> Path:
    folder.mkdir()
    with lmdb.open(str(folder), map_size=1 << 32) as environment, environment.begin(write=True) as records:
        for number, image in enumerate(images):
            datum = caffe_messages().Datum(channels=3, encoded=True, data=image)
            records.put(b"%08d" % number, datum.SerializeToString())
    return folder


def jittered(folder: Path, settings: JitterSettings, workers: int) -> Message:
    net = caffe_messages().NetParameter(name="data")
    layer = net.layer.add(name="data", type="Python", top=["data"])
    layer.python_param.module, layer.python_param.layer = "skinmtl.layers", "JitteredImageData"
    layer.python_param.param_str = settings_text(replace(settings, source=str(folder), workers=workers))
    return net


def plain(folder: Path, batch: int) -> Message:
    net = caffe_messages().NetParameter(name="data")
    layer = net.layer.add(name="data", type="Data", top=["data"])
    layer.data_param.source, layer.data_param.batch_size = str(folder), batch
    layer.data_param.backend = layer.data_param.LMDB
    transform = layer.transform_param
    transform.crop_size, transform.mirror, transform.force_color = CROP, True, True
    transform.mean_value.extend(MEAN)
    return net


def opened(folder: Path, described_net: Message) -> Any:
    path = folder / "net.prototxt"
    path.write_text(message_text(described_net), encoding="utf-8")
    return pycaffe().Net(str(path), pycaffe().TRAIN)


def images_per_second(net: Any, batches: int) -> float:
    """After what was prepared ahead (4 batches of either layer, and one that is under way)."""
    for _ in range(6):
        net.forward()
    started = time.perf_counter()
    for _ in range(batches):
        net.forward()
    return batches * len(net.blobs["data"].data) / (time.perf_counter() - started)


def seconds_for_a_ready_batch(net: Any) -> float:
    """The time of a forward pass while four batches lie ready."""
    times = []
    for _ in range(5):
        time.sleep(1)
        started = time.perf_counter()
        net.forward()
        times.append(time.perf_counter() - started)
    return float(np.median(times))


def close(net: Any) -> None:
    for layer in net.layers:
        if hasattr(layer, "close"):
            layer.close()


def resnet_images_per_second(folder: Path, batch: int, repeats: int) -> float:
    """Forward and backward of the paper's multi-task net on data that lies ready."""
    options = NetOptions("resnet50_mtl", "resnet50", CROP, 25, 23, "none", "none", batch, 1, True)
    net = make_net(options, "train")
    for layer, shape in zip(net.layer, ((batch, 3, CROP, CROP), (batch, 25, 1, 1), (batch, 1, 1, 1))):
        layer.Clear()
        layer.name = layer.type = ""
        layer.name, layer.type = {3: "data", 25: "lesion_label", 1: "location_label"}[shape[1]], "Input"
        layer.top.append(layer.name)
        layer.input_param.shape.add(dim=shape)
    built = opened(folder, net)
    times = []
    for _ in range(1 + repeats):
        started = time.perf_counter()
        built.forward()
        built.backward()
        times.append(time.perf_counter() - started)
    return batch / float(np.median(times[1:]))


def parts_of_an_image(image: bytes, settings: JitterSettings) -> Tuple[float, float]:
    """Milliseconds of a core for decoding alone, and for all that is done for an image; medians of 200."""
    cv2.setNumThreads(1)
    times: Dict[str, List[float]] = {"decode": [], "all": []}
    actions: Dict[str, Callable[[int], Any]] = {
        "decode": lambda visit: cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR),
        "all": lambda visit: crop_of(image, draw(settings.seed, visit, SCALES), CROP, SCALES[1]).copy(),
    }
    for visit in range(200):
        for name, action in actions.items():
            started = time.process_time()
            action(visit)
            times[name].append(1000 * (time.process_time() - started))
    return float(np.median(times["decode"])), float(np.median(times["all"]))


def same_numbers(folder: Path, stored: Path, settings: JitterSettings) -> bool:
    batches = []
    for workers in (0, 1, 2):
        net = opened(folder, jittered(stored, settings, workers))
        batches.append([np.array(net.forward()["data"]) for _ in range(3)])
        close(net)
    return all(np.array_equal(batches[0], others) for others in batches[1:])


def main() -> int:
    args = parse_args()
    pycaffe().set_mode_cpu()
    random = np.random.RandomState(args.seed)
    print(described())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = [photograph(random, 480) for _ in range(args.images)]
        stored = write_images(folder / "stored", images)
        scales = random.randint(SCALES[0], SCALES[1] + 1, args.images)
        copies = write_images(folder / "copies", [photograph(random, int(scale)) for scale in scales])
        settings = JitterSettings("", args.batch_size, CROP, SCALES, MEAN, args.seed)
        same = same_numbers(folder, stored, settings)
        print(f"{args.images} photographs of 640 x 480, {np.mean([len(image) for image in images]) / 1000:.0f} kB each")
        print(f"the same numbers with none, one and two workers: {'yes' if same else 'NO'}")
        ways: Dict[str, Callable[[], Message]] = {
            "online, in the training's process": lambda: jittered(stored, settings, 0),
            "online, 1 worker": lambda: jittered(stored, settings, 1),
            "online, 2 workers": lambda: jittered(stored, settings, 2),
            "Data layer, the same images, no jitter": lambda: plain(stored, args.batch_size),
            "Data layer, copies at drawn scales": lambda: plain(copies, args.batch_size),
        }
        found: Dict[str, List[float]] = {way: [] for way in ways}
        waits: List[float] = []
        for repeat in range(args.repeats):
            for way, make in ways.items():
                net = opened(folder, make())
                found[way].append(images_per_second(net, args.batches))
                if way == "online, 2 workers" and repeat == 0:
                    waits.append(seconds_for_a_ready_batch(net))
                close(net)
                del net
        resnet = resnet_images_per_second(folder, 4, args.repeats)
    print(f"medians of {args.repeats}, {args.batches} batches of {args.batch_size} each, images/s (lowest to highest):")
    for way, values in found.items():
        print(f"  {way:40} {np.median(values):6.0f}  ({min(values):.0f} to {max(values):.0f})")
    print(f"  {'ResNet-50, forward and backward':40} {resnet:6.1f}  (batches of 4)")
    decode, whole = parts_of_an_image(images[0], settings)
    print(f"an image on one core: {whole:.2f} ms, of which decoding the JPEG {decode:.2f} ms ({decode / whole:.0%})")
    print(f"a batch of {args.batch_size} that lies ready holds the training up for {1000 * waits[0]:.1f} ms")
    one, two = (float(np.median(found[f"online, {workers}"])) for workers in ("1 worker", "2 workers"))
    copies_rate = float(np.median(found["Data layer, copies at drawn scales"]))
    print(f"a GPU that took {GPU_NEED} images/s would need {GPU_NEED / (1000 / whole):.0f} such cores for it")
    print(
        f"online jitter: {one:.0f} images/s with one worker, {two:.0f} with two: {two / copies_rate:.2f} times the "
        f"Data layer on stored copies, {two / resnet:.0f} times what the ResNet-50 takes here"
    )
    return 0 if same and two > resnet else 1


if __name__ == "__main__":
    run(main)
