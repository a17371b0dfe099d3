"""What the tests share: the library from a clone, the tools as a user runs them, and what a test needs to run."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))
sys.path.insert(0, str(Path(__file__).resolve().parent / "helpers"))

from caffe_reference import Reference
from started_tools import Tools

from caffe_files.outputs import allow_overwriting
from skinmtl.data.folds import select
from skinmtl.data.lmdb_write import Sizes, write_lmdbs
from skinmtl.data.manifest import read_manifest
from skinmtl.nets.multi_task import NetOptions
from skinmtl.nets.net_files import net_files, write_net_files

ROOT = Path(__file__).resolve().parents[1]
# on today's Python; the older one beside Caffe differs in its libraries alone, and has a share
FUZZ_CASES = 2000 if sys.version_info >= (3, 10) else 300
CAFFE = str(Path(sys.executable).with_name("caffe"))  # beside the Python that has pycaffe


def pytest_configure():
    """Where a script's `&` started the tests, SIGINT is ignored in what they start: no test of Ctrl-C could pass."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser):
    parser.addoption(
        "--fuzz-cases", type=int, default=FUZZ_CASES, metavar="N", help="damaged files for each reader (%(default)s)"
    )


@pytest.fixture
def fuzzer(request):
    """Gives a reader damaged files, in memory where there is a folder for that: see helpers/fuzzing.py."""
    from fuzzing import Fuzzer

    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as folder:
        yield Fuzzer(Path(folder), request.config.getoption("--fuzz-cases"))


def pytest_collection_modifyitems(items):
    """A test whose part is missing here is skipped with the reason, never failed and never silently left out. Files
    with slow tests come first, so that no worker has one left when the others have ended."""
    slow = {item.fspath for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.fspath not in slow)
    if importlib.util.find_spec("caffe") is None:
        no_caffe = pytest.mark.skip(reason="BVLC Caffe is not importable here: make caffe, then .caffe/bin/pytest")
        for item in items:
            if item.get_closest_marker("caffe"):
                item.add_marker(no_caffe)


@pytest.fixture(scope="session")
def tool(tmp_path_factory):
    """Runs tools/NAME as a user would, from another folder; returns the CompletedProcess with text output."""
    tools = Tools(tmp_path_factory.mktemp("some where élse"))
    yield tools
    tools.close()


@pytest.fixture(scope="session")
def small_set(tmp_path_factory):
    """24 noisy images with 3 lesions and 4 locations, the first 8 in test fold 0, and LMDBs of both subsets."""
    folder = tmp_path_factory.mktemp("small set")
    (folder / "images").mkdir()
    random = np.random.RandomState(1)
    manifest, folds = ["image,lesions,location"], ["image,fold"]
    for number in range(24):
        noise = random.randint(0, 256, (5, 5, 3)).astype(np.uint8)
        size = (int(random.randint(70, 130)), int(random.randint(70, 130)))
        cv2.imwrite(str(folder / "images" / f"{number}.jpg"), cv2.resize(noise, size, interpolation=cv2.INTER_CUBIC))
        lesions = [name for bit, name in enumerate(("crust", "nodule", "scar")) if (number % 7 + 1) >> bit & 1]
        manifest.append(f"{number}.jpg,{';'.join(lesions)},{('back', 'face', 'hands', 'scalp')[number % 4]}")
        folds.append(f"{number}.jpg,{0 if number < 8 else 1}")
    (folder / "manifest.csv").write_text("\n".join(manifest) + "\n")
    (folder / "folds.csv").write_text("\n".join(folds) + "\n")
    whole = read_manifest(folder / "manifest.csv")
    for subset in ("train", "test"):
        selected = select(whole, folder / "folds.csv", 0, subset)
        write_lmdbs(selected, folder / "images", folder / subset, Sizes(72, 72, 1), seed=1, workers=1, arguments={})
    return SimpleNamespace(
        manifest=folder / "manifest.csv",
        folds=folder / "folds.csv",
        images=folder / "images",
        train=folder / "train",
        test=folder / "test",
    )


@pytest.fixture(scope="session")
def tiny_model(small_set, tmp_path_factory):
    """The tiny multi-task net on the small set, with a snapshot of five iterations by `caffe train` itself."""
    folder = tmp_path_factory.mktemp("tiny_mtl")
    options = NetOptions(
        "resnet50_mtl", "tiny", 64, 3, 4, str(small_set.train), str(small_set.test), 8, 8, frozen_batch_norm=False
    )
    write_net_files(net_files(options, "a test"), folder)
    (folder / "solver.prototxt").write_text(
        f'train_net: "{folder}/train.prototxt"\n'
        'base_lr: 0.001 lr_policy: "fixed" momentum: 0.9 weight_decay: 0.0001 random_seed: 1\n'
        f'max_iter: 5 snapshot_prefix: "{folder}/tiny"\n'
    )
    train = [CAFFE, "train", "-solver", str(folder / "solver.prototxt")]
    subprocess.run(train, check=True, stderr=subprocess.PIPE)
    return SimpleNamespace(
        folder=folder, deploy=folder / "deploy.prototxt", snapshot=folder / "tiny_iter_5.caffemodel", data=small_set
    )


@pytest.fixture(scope="session")
def run_on_test_fold(tool, tiny_model):
    """Runs a tool with the tiny model on the small set's test fold; keyword arguments replace flags, None omits one."""

    def run(name, out, *more, **changes):
        data = tiny_model.data
        command = {
            "deploy": tiny_model.deploy,
            "weights": tiny_model.snapshot,
            "manifest": data.manifest,
            "images": data.images,
            "folds": data.folds,
            "fold": 0,
            "subset": "test",
            "short-side": 72,
            "workers": 1,
            **{flag.replace("_", "-"): value for flag, value in changes.items()},
        }
        flags = [word for flag, value in command.items() if value is not None for word in (f"--{flag}", value)]
        return tool(name, *flags, *more, "--out", out)

    return run


@pytest.fixture(scope="session")
def known_net(tmp_path_factory):
    """A net that says what its image shows: a cell of res5c is the mean colour of its 8 x 8 pixels of a crop of 32,
    lesion 0 is the blue there, lesion 1 less of the red; location 0 the green, 1 and 2 nothing."""
    import caffe

    from skinmtl.engines.engine import Engine
    from skinmtl.explanation.attention_net import AttentionNet
    from skinmtl.scores.forward import Protocol

    folder = tmp_path_factory.mktemp("known")
    head = "inner_product_param {{ num_output: {} }}"
    (folder / "deploy.prototxt").write_text(f"""name: 'known'
        layer {{ name: 'data' type: 'Input' top: 'data' input_param {{ shape {{ dim: [10, 3, 32, 32] }} }} }}
        layer {{ name: 'res5c' type: 'Pooling' bottom: 'data' top: 'res5c'
          pooling_param {{ pool: AVE kernel_size: 8 stride: 8 }} }}
        layer {{ name: 'pool5' type: 'Pooling' bottom: 'res5c' top: 'pool5'
          pooling_param {{ pool: AVE kernel_size: 4 }} }}
        layer {{ name: 'fc_lesion' type: 'InnerProduct' bottom: 'pool5' top: 'fc_lesion' {head.format(2)} }}
        layer {{ name: 'fc_location' type: 'InnerProduct' bottom: 'pool5' top: 'fc_location' {head.format(3)} }}
        layer {{ name: 'lesion_prob' type: 'Sigmoid' bottom: 'fc_lesion' top: 'lesion_prob' }}
        layer {{ name: 'location_prob' type: 'Softmax' bottom: 'fc_location' top: 'location_prob' }}""")
    net = caffe.Net(str(folder / "deploy.prototxt"), caffe.TEST)
    net.params["fc_lesion"][0].data[...] = [[1, 0, 0], [0, 0, -1]]
    net.params["fc_lesion"][1].data[...] = [-100, 5]
    net.params["fc_location"][0].data[...] = [[0, 1, 0], [0, 0, 0], [0, 0, 0]]
    net.params["fc_location"][1].data[...] = [-1, 0, 0]
    net.save(str(folder / "known.caffemodel"))
    protocol = Protocol(32, (0.0, 0.0, 0.0), 10, Engine(), 1)
    return SimpleNamespace(
        deploy=folder / "deploy.prototxt",
        weights=folder / "known.caffemodel",
        attention=AttentionNet(folder / "deploy.prototxt", folder / "known.caffemodel", protocol),
    )


@pytest.fixture(scope="session")
def caffe():
    """BVLC Caffe in a process of its own, for tests on a Python that has none."""
    reference = Reference()
    yield reference
    reference.close()


@pytest.fixture
def refused():
    """Holds a finished tool against the rule for bad input: status 1, one line on stderr that says `words`."""

    def check(finished, *words):
        assert finished.returncode == 1, finished
        assert finished.stdout == ""
        assert len(finished.stderr.splitlines()) == 1, finished.stderr
        for word in words:
            assert str(word) in finished.stderr
        return finished.stderr

    return check


@pytest.fixture
def overwriting():
    """What --overwrite says to the library."""
    allow_overwriting(True)
    yield
    allow_overwriting(False)


@pytest.fixture
def make_dataset(tmp_path):
    """Writes `n` small photographs and their manifest below tmp_path; returns where: .folder, .manifest, .images.

    Each image has its own size and its own bright corner, so that two of them are never taken for each other.
    """

    def make(n=6, folder="data", names=None, shape=(48, 60)):
        at = tmp_path / folder
        names = names or [f"image {i}.jpg" for i in range(n)]
        lines = ["image,lesions,location,group"]
        for i, name in enumerate(names):
            rows, columns = np.mgrid[0 : shape[0] + i % 3, 0 : shape[1] + i % 5]
            pixels = np.stack([rows * 4, columns * 3, (rows + columns) * (i % 4)], axis=2) + 40 * (i % 3)
            path = at / "images" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(cv2.imencode(path.suffix, pixels.clip(0, 255).astype(np.uint8))[1].tobytes())
            quoted = '"' + name.replace('"', '""') + '"'
            lines.append(
                f"{quoted},{('naevus', 'melanoma', 'naevus;melanoma')[i % 3]},{('arm', 'leg')[i % 2]},{i // 2}"
            )
        (at / "manifest.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return SimpleNamespace(folder=at, manifest=at / "manifest.csv", images=at / "images")

    return make


@pytest.fixture
def read_lmdb():
    """Reads a whole LMDB: key -> message."""

    def read(folder):
        from caffe_files.schema import caffe_messages

        lmdb = pytest.importorskip("lmdb")
        with lmdb.open(str(folder), readonly=True, lock=False) as environment, environment.begin() as transaction:
            return {bytes(key): caffe_messages().Datum.FromString(value) for key, value in transaction.cursor()}

    return read


@pytest.fixture
def mount(tmp_path):
    """Mounts an empty file system in memory with the options given, such as "size=64k" or "ro"; returns where."""
    at = tmp_path / "disk"

    def mount(options):
        at.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(at)]
        try:
            subprocess.run(command, check=True, stderr=subprocess.PIPE)
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"no file system can be mounted here: {getattr(error, 'stderr', error)}")
        return at

    yield mount
    if at.is_mount():
        subprocess.run(["umount", str(at)], check=True)
