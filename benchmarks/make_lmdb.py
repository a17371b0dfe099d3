#!/usr/bin/env python3
"""tools/make_lmdb.py against BVLC's convert_imageset --encoded: whole commands, on the same JPEG photographs.

The photographs are drawn: texture at every scale and sensor noise, at quality 82 to 95, one in twenty progressive. Each
size is measured by itself: 600 x 450 (HAM10000's), 1024 x 768, 2000 x 1500, and a mix, 600 to 4,000 pixels wide. Kept
in --data, they serve the next run. convert_imageset can only stretch to one size, so it is told to make images of the
same area as ours are on average; it fills one LMDB, ours fills three. Both code at quality 95. The files are read once
before, so that the disk's speed counts for neither. The commands are run in turn; on fewer than some 1,000 images the
start of ours, a second, counts for much.

The pictures of both are compared. Memory is the largest sum over a command's processes, which counts what they share
more than once. Decoding alone is timed in this process, one thread, on some of the images. PSNR is against the image
decoded in full and resized by exact area. Exits 1 where a picture is another one, where make_lmdb.py with one worker
takes more than the size's claim times as long of a core as convert_imageset, or where quality is below its floors. A
core's time is claimed, and not the clock's, since other programs on the machine change it less; the clock's is told
beside it.
"""

import argparse
import math
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Optional, Tuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

from cli import new_parser, positive, run, seed, usable_cores  # first: it finds the library

# isort: split
import cv2
import lmdb
import numpy as np
from machine import described
from photographs import draw_photographs
from watched import Run, run_command

from caffe_files.errors import InputError
from caffe_files.schema import caffe_messages
from skinmtl.data.stored_image import image_datum
from skinmtl.data.table import read_csv
from skinmtl.images import image_file, jpeg
from skinmtl.images.image_size import size_of
from skinmtl.images.jpeg_decoder import REDUCED, decode_jpeg, name_of_decoder

ROOT = Path(__file__).resolve().parents[1]
# (width, height), and how many times as much of a core's time as convert_imageset takes is claimed at most
SIZES: Dict[str, Tuple[Tuple[int, int], float]] = {
    "600x450": ((600, 450), 1.8),
    "1024x768": ((1024, 768), 1.1),
    "2000x1500": ((2000, 1500), 1.0),
    "mix": ((0, 0), 0.7),
}
FLOORS = {"before JPEG coding": 45.0, "as stored": 40.0}  # dB, of the median
SAME_PICTURE = 12.0  # grey levels, of means over an 8 x 8 grid: another picture differs by tens
SAMPLE = 100  # images that quality and decoding are measured on
SIDE = 256
DECODING = "decoding as make_lmdb.py does"


def parse_args() -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("--images", type=positive, default=1500, help="how many of each (default %(default)s)")
    parser.add_argument(
        "--sizes", nargs="+", choices=SIZES, default=list(SIZES), help="which sizes (default: %(default)s)"
    )
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="where to keep the photographs (default: nowhere)")
    parser.add_argument("--repeats", type=positive, default=3, help="of each command, in turn (default %(default)s)")
    parser.add_argument("--seed", type=seed, default=1, help="of the photographs (default %(default)s)")
    return parser.parse_args()


def convert_imageset() -> Path:
    for program in (Path(sys.executable).with_name("convert_imageset"), ROOT / ".caffe/bin/convert_imageset"):
        if program.exists():
            return program
    raise InputError("convert_imageset: not found beside this Python nor in .caffe; run `make caffe`")


def widths_and_heights(folder: Path, names: List[str]) -> np.ndarray:
    """(N, 2). Reads every file, so that all are in the system's cache."""
    return np.array([size_of((folder / "images" / name).read_bytes()) for name in names])


def stored_by_us(out: Path) -> Dict[str, bytes]:
    """Image name -> its JPEG."""
    keys = {record["key"].encode(): record["image"] for _, record in read_csv(out / "records.csv", ["key", "image"])}
    return {keys[key]: jpeg_data for key, jpeg_data in records_of(out / "image_lmdb")}


def records_of(folder: Path) -> Iterator[Tuple[bytes, bytes]]:
    with lmdb.open(str(folder), readonly=True, lock=False) as environment, environment.begin() as transaction:
        for key, value in transaction.cursor():
            yield bytes(key), caffe_messages().Datum.FromString(value).data


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    squared = float(np.square(one.astype(np.float64) - other).mean())
    return 10 * math.log10(255**2 / max(squared, 1e-4))


def compare(
    folder: Path, names: List[str], ours: Path, theirs: Path, stretched: Tuple[int, int]
) -> Dict[str, np.ndarray]:
    """Holds the pictures in both LMDBs against exact resizes: the PSNR of each kind, image by image."""
    by_us = stored_by_us(ours)
    by_them = {key.split(b"_", 1)[1].decode(): data for key, data in records_of(theirs)}
    if by_us.keys() != by_them.keys():
        raise InputError(f"{len(by_us)} images in ours, {len(by_them)} in convert_imageset's, or other ones")
    found: Dict[str, List[float]] = {
        "before JPEG coding": [],
        "as stored": [],
        "exact, coded": [],
        "convert_imageset": [],
    }
    for name in names:
        path = folder / "images" / name
        full = image_file.decode(path.read_bytes())
        short = min(full.shape[:2])
        to = tuple(max(SIDE, round(length * SIDE / short)) for length in full.shape[1::-1])
        exact = cv2.resize(full, to, interpolation=cv2.INTER_AREA)
        ours_seen, theirs_seen = image_file.decode(by_us[name]), image_file.decode(by_them[name])
        found["before JPEG coding"].append(psnr(image_file.load((path, SIDE)).pixels, exact))
        found["as stored"].append(psnr(ours_seen, exact))
        found["exact, coded"].append(psnr(image_file.decode(image_file.encode_jpeg(exact, 95)), exact))
        exact_stretched = cv2.resize(full, stretched, interpolation=cv2.INTER_AREA)
        found["convert_imageset"].append(psnr(theirs_seen, exact_stretched))
        means = [
            cv2.resize(seen, (8, 8), interpolation=cv2.INTER_AREA).astype(int) for seen in (ours_seen, theirs_seen)
        ]
        if np.abs(means[0] - means[1]).mean() > SAME_PICTURE:
            raise InputError(f"{name}: make_lmdb.py and convert_imageset have different pictures")
    return {kind: np.array(values) for kind, values in found.items()}


def stages(folder: Path, names: List[str]) -> Dict[str, float]:
    """Milliseconds an image of one thread: of decoding alone, in full and reduced, and of all that a worker does."""
    cv2.setNumThreads(1)
    seconds = dict.fromkeys(("OpenCV decoding in full", DECODING, "decoded and resized", "all"), 0.0)
    for name in names:
        path = folder / "images" / name
        data = path.read_bytes()
        bytes_of, short = np.frombuffer(data, np.uint8), min(size_of(data))
        by = max([by for by in REDUCED if image_file.KEPT_LARGER * by * SIDE <= short], default=1)
        ways: List[Tuple[str, Callable[[], object]]] = [
            ("OpenCV decoding in full", lambda at=bytes_of: cv2.imdecode(at, cv2.IMREAD_COLOR)),
            (DECODING, lambda at=data, by=by: decode_jpeg(at, jpeg.header(at), by)),
            ("decoded and resized", lambda at=data: image_file.resized(at, SIDE)),
            ("all", lambda at=path: image_datum((at, SIDE))),
        ]
        for way, do in ways:
            started = time.process_time()
            do()
            seconds[way] += time.process_time() - started
    return {way: 1000 * total / len(names) for way, total in seconds.items()}


def commands(folder: Path, out: Path, stretched: Tuple[int, int]) -> Dict[str, List[str]]:
    width, height = stretched
    theirs = [str(convert_imageset()), "-encoded", "-encode_type=jpg", f"-resize_height={height}"]
    theirs += [f"-resize_width={width}", f"{folder / 'images'}/", str(folder / "list.txt"), str(out / "theirs")]
    found = {"convert_imageset": theirs}
    for workers in sorted({1, usable_cores()}):
        ours = [sys.executable, str(ROOT / "tools/make_lmdb.py"), "--manifest", str(folder / "manifest.csv")]
        ours += ["--images", str(folder / "images"), "--short-side", str(SIDE), "--workers", str(workers)]
        found[f"make_lmdb.py, {workers} worker{'s' * (workers > 1)}"] = [*ours, "--out", str(out / f"ours {workers}")]
    return found


def measured(ways: Dict[str, List[str]], repeats: int) -> Dict[str, Run]:
    """The median run of each way, by its seconds. What the last one wrote is left."""
    runs: Dict[str, List[Run]] = {way: [] for way in ways}
    for _ in range(repeats):
        for way, command in ways.items():
            shutil.rmtree(command[-1], ignore_errors=True)
            runs[way].append(run_command(command))
    return {way: Run(*np.median(every, axis=0)) for way, every in runs.items()}


def report_runs(ways: Dict[str, List[str]], runs: Dict[str, Run], count: int) -> None:
    for way, (wall, cores, memory) in runs.items():
        stored = sum(path.stat().st_size for path in Path(ways[way][-1]).rglob("*") if path.is_file())
        print(
            f"  {way:24} {count / wall:7.1f} images/s ({1000 * cores / count:5.1f} ms of a core each), "
            f"{memory:.0f} MB of memory, {stored / count / 1024:.1f} kB a record"
        )


def measure(folder: Path, out: Path, args: argparse.Namespace, name: str) -> bool:
    """Prints all of a size; True where the claims hold."""
    size, claim = SIZES[name]
    names = draw_photographs(folder, args.images, args.seed, usable_cores(), size)
    sizes = widths_and_heights(folder, names)
    pixels, total = sizes.prod(axis=1), sum((folder / "images" / name).stat().st_size for name in names)
    area = float((SIDE**2 * sizes.max(axis=1) / sizes.min(axis=1)).mean())
    stretched = (round(area / SIDE), SIDE)
    print(
        f"{name}: {args.images} JPEGs, {sizes[:, 0].min()} to {sizes[:, 0].max()} pixels wide, "
        f"{pixels.mean() / 1e6:.1f} million pixels on average, {total / pixels.sum():.2f} bytes a pixel; "
        f"medians of {args.repeats}"
    )
    ways = commands(folder, out, stretched)
    runs = measured(ways, args.repeats)
    some = [names[at] for at in np.unique(np.linspace(0, len(names) - 1, min(SAMPLE, len(names))).astype(int))]
    theirs, *ours = ways
    quality = compare(folder, some, Path(ways[ours[-1]][-1]), Path(ways[theirs][-1]), stretched)
    report_runs(ways, runs, args.images)
    of_a_core = stages(folder, some)
    for way, milliseconds in of_a_core.items():
        print(f"  {way:30} {milliseconds:5.1f} ms of a core, {milliseconds / of_a_core['all']:.0%} of a worker's time")
    for kind, values in quality.items():
        print(f"  PSNR {kind:20} median {np.median(values):.1f} dB, lowest {values.min():.1f} dB")
    ratio, alone = runs[theirs].wall / runs[ours[-1]].wall, runs[theirs].wall / runs[ours[0]].wall
    of_theirs = runs[ours[0]].cores / runs[theirs].cores
    share = of_a_core[DECODING] / of_a_core["all"]
    stored, before = (np.median(quality[kind]) for kind in ("as stored", "before JPEG coding"))
    print(
        f"{name}, make_lmdb.py against convert_imageset: {of_theirs:.2f} of its time of a core; {ratio:.1f} times as "
        f"many images a second with {usable_cores()} workers, {alone:.1f} times with one; {share:.0%} of a worker's "
        f"time is decoding; stored at {stored:.1f} dB ({before:.1f} dB before coding)"
    )
    good = all(np.median(quality[kind]) >= floor for kind, floor in FLOORS.items())
    if of_theirs > claim:
        print(f"  the claim is {claim:.1f} of its time of a core at most")
    return good and of_theirs <= claim


def main() -> Optional[int]:
    args = parse_args()
    print(f"{described()}, OpenCV {cv2.__version__}; JPEGs are read by {name_of_decoder()}")
    holds = []
    with tempfile.TemporaryDirectory() as out:
        for name in args.sizes:
            folder = (args.data or Path(out) / "photographs") / name
            holds.append(measure(folder, Path(out), args, name))
    return None if all(holds) else 1


if __name__ == "__main__":
    run(main)
