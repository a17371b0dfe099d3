"""ImageData and HDF5Data show what BVLC Caffe shows: random lists and settings, both layers."""

from __future__ import annotations

import subprocess

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="PyTorch is not installed here: make torch")
h5py = pytest.importorskip("h5py", reason="h5py is not installed here: pip install h5py")
from caffe_reference import PYTHON
from torch_agreement import NEEDS_CAFFE, SEEDS, net_of

from caffe_files.errors import InputError
from caffe_files.prototxt import read_caffemodel, read_net, read_solver
from caffe_torch.net import Net
from caffe_torch.solver import Solver

pytestmark = pytest.mark.torch
FILES = settings(
    max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def write_images(folder, random, count, sides=None):
    """Images of one size, or of several, as PNG or JPEG, and their list with labels."""
    lines = []
    for number in range(count):
        height, width = sides or (int(side) for side in random.randint(9, 20, 2))
        name = f"an image {number}." + ("png", "jpg")[number % 2]
        pixels = cv2.resize(random.randint(0, 256, (4, 4, 3)).astype(np.uint8), (width, height))
        cv2.imwrite(str(folder / name), pixels[:, :, 0] if number == 1 else pixels)
        lines.append(f"{name} {random.randint(-3, 9)}")
    (folder / "list.txt").write_text("\n".join(lines) + "\n" * random.randint(2))


def image_data(folder, batch, what="", transform=""):
    return f"""layer {{ name: 'data' type: 'ImageData' top: 'data' top: 'label' transform_param {{ {transform} }}
        image_data_param {{ source: '{folder}/list.txt' root_folder: '{folder}/' batch_size: {batch} {what} }} }}"""


def hdf5_data(folder, batch, tops=("x", "label"), what=""):
    named = " ".join(f"top: '{top}'" for top in tops)
    return f"""layer {{ name: 'data' type: 'HDF5Data' {named}
        hdf5_data_param {{ source: '{folder}/list.txt' batch_size: {batch} {what} }} }}"""


def write_rows(folder, counts, shapes, random, kind="f4"):
    for number, count in enumerate(counts):
        with h5py.File(str(folder / f"{number}.h5"), "w") as file:
            for name, shape in shapes.items():
                file[name] = (random.standard_normal((count, *shape)) * 50).astype(kind)
    (folder / "list.txt").write_text("\n".join(f"{folder}/{number}.h5" for number in range(len(counts))))


def shown(text, batches, phase="TEST", workers=0, start=None):
    """The tops of some batches by name, one batch after the other."""
    net = net_of(text, phase)
    layer = net.layer("data")
    layer.workers = workers
    if start:
        layer.start(*start)
    try:
        found = [{name: values.numpy().copy() for name, values in net().items()} for _ in range(batches)]
    finally:
        layer.close()
    return {name: np.concatenate([batch[name] for batch in found]) for name in found[0]}


@NEEDS_CAFFE
@FILES
@given(
    st.booleans(),
    st.sampled_from([(), (12, 12), (7, 15)]),
    st.sampled_from(["", "crop_size: 6", "crop_size: 7 scale: 0.25 mean_value: 3"]),
    st.integers(1, 5),
    SEEDS,
)
def test_images_of_a_list_are_caffes(caffe, tmp_path_factory, in_color, size, transform, count, seed):
    folder, random = tmp_path_factory.mktemp("images"), np.random.RandomState(seed)
    write_images(folder, random, count, (9, 11) if not (size or transform) else None)
    what = f"is_color: {str(in_color).lower()}"
    if size:
        what += f" new_height: {size[0]} new_width: {size[1]}"
    if in_color and "mean" in transform:
        transform += " mean_value: 2 mean_value: 1"
    expected = caffe.answer(image_data(folder, 8, what, transform), "TEST", {})
    found = shown(image_data(folder, 2, what, transform), 4)
    np.testing.assert_array_equal(found["label"], expected["blob:label"])
    # two OpenCVs round a resized pixel differently
    np.testing.assert_allclose(found["data"], expected["blob:data"], atol=1.01 if size else 0)
    assert found["data"].std() > 1


@NEEDS_CAFFE
@FILES
@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=3),
    st.lists(st.lists(st.integers(1, 3), max_size=4), min_size=1, max_size=3),
    st.sampled_from(["f4", "f8", "i4", "u1"]),
    SEEDS,
)
def test_rows_of_files_are_caffes(caffe, tmp_path_factory, counts, shapes, kind, seed):
    folder, random = tmp_path_factory.mktemp("rows"), np.random.RandomState(seed)
    shapes = dict(zip("abc", shapes))
    write_rows(folder, counts, shapes, random, kind)
    expected = caffe.answer(hdf5_data(folder, 15, shapes), "TEST", {})
    found = shown(hdf5_data(folder, 5, shapes), 3)
    for name, shape in shapes.items():
        assert found[name].shape == (15, *shape)
        np.testing.assert_array_equal(found[name], expected[f"blob:{name}"])


@pytest.mark.parametrize("kind", ["images", "rows"])
def test_a_shuffled_stream_shows_each_once_a_turn_and_is_a_function_of_the_seed(tmp_path, kind):
    random = np.random.RandomState(1)
    if kind == "images":
        write_images(tmp_path, random, 6, (40, 40))
        text = image_data(tmp_path, 3, "shuffle: true", "mirror: true")
        lines = (tmp_path / "list.txt").read_text().split("\n")
        (tmp_path / "list.txt").write_text("\n".join(f"{line.rpartition(' ')[0]} {n}" for n, line in enumerate(lines)))
    else:
        write_rows(tmp_path, (2, 4), {"data": (40, 40), "label": ()}, random)
        for number, rows in enumerate(([0, 1], [2, 3, 4, 5])):
            with h5py.File(str(tmp_path / f"{number}.h5"), "r+") as file:
                file["label"][...] = rows
        text = hdf5_data(tmp_path, 3, ("data", "label"), "shuffle: true")
    whole = shown(text, 8, "TRAIN", start=(0, 5))
    turns = whole["label"].reshape(4, 6)
    assert all(sorted(turn) == [0, 1, 2, 3, 4, 5] for turn in turns.tolist())
    assert len({tuple(turn) for turn in turns.tolist()}) > 2
    for workers, first in ((0, 3), (2, 0), (2, 3)):
        found = shown(text, 8 - first, "TRAIN", workers, start=(first, 5))
        for name in ("data", "label"):
            np.testing.assert_array_equal(found[name], whole[name][3 * first :])
    assert shown(text, 8, "TRAIN", start=(0, 6))["label"].tolist() != whole["label"].tolist()


SOLVER = """train_net: "net.prototxt" base_lr: 0.01 lr_policy: "fixed" momentum: 0.9 weight_decay: 0.01 max_iter: 20
solver_mode: CPU snapshot_prefix: "theirs" random_seed: 1"""


@NEEDS_CAFFE
@pytest.mark.parametrize("kind", ["images", "rows"])
def test_twenty_iterations_are_caffes(tmp_path, kind):
    random = np.random.RandomState(3)
    if kind == "images":
        write_images(tmp_path, random, 7, (8, 9))
        data = image_data(tmp_path, 3, "", "scale: 0.001")
    else:
        write_rows(tmp_path, (3, 4), {"data": (3, 2), "label": (1,)}, random)
        data = hdf5_data(tmp_path, 3, ("data", "label")) + POWER
    (tmp_path / "net.prototxt").write_text(data + HEAD[kind])
    (tmp_path / "solver.prototxt").write_text(SOLVER)
    torch.manual_seed(1)
    net = Net(read_net(tmp_path / "net.prototxt"), "TRAIN")
    solver = Solver(read_solver(tmp_path / "solver.prototxt"), net)
    solver.snapshot(str(tmp_path / "start"))
    caffe = PYTHON.with_name("caffe")
    command = [caffe, "train", "-solver", "solver.prototxt", "-weights", "start_iter_0.caffemodel"]
    subprocess.run(list(map(str, command)), cwd=str(tmp_path), check=True, stderr=subprocess.PIPE)
    for _ in range(20):
        solver.step()
    theirs = {layer.name: layer.blobs for layer in read_caffemodel(tmp_path / "theirs_iter_20.caffemodel").layer}
    assert 0.01 < net.layer("fc").blobs[0].abs().max().item() < 99  # it does not diverge
    for blob, stored in zip(net.layer("fc").blobs, theirs["fc"]):
        np.testing.assert_allclose(blob.detach().numpy().ravel(), stored.data, rtol=1e-4, atol=1e-6)


ROW = """layer { name: 'row' type: 'Reshape' bottom: 'label' top: 'row' reshape_param { shape { dim: 0 dim: 1 } } }"""
POWER = """layer { name: 'small' type: 'Power' bottom: 'data' top: 'small' power_param { scale: 0.02 } }"""
FC = """layer { name: 'fc' type: 'InnerProduct' bottom: '%s' top: 'fc' inner_product_param { num_output: 1
  weight_filler { type: 'gaussian' std: 0.05 } } }
layer { name: 'loss' type: 'EuclideanLoss' bottom: 'fc' bottom: 'label' }"""
HEAD = {"images": ROW + (FC % "data").replace("'label'", "'row'"), "rows": FC % "small"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: (f / "list.txt").unlink(), "source '.*list.txt' cannot be read"),
        (lambda f: (f / "list.txt").write_text(""), "is empty"),
        (lambda f: (f / "list.txt").write_text("a.png 1\nb.png 0.5\n"), "line 2: 'b.png 0.5' is no file's name"),
        (lambda f: (f / "list.txt").write_text("a.png\n"), "line 1: 'a.png' is no file's name"),
        (lambda f: (f / "an image 0.png").write_bytes(b"no"), r"line 1: .*an image 0.png is no image"),
        (lambda f: (f / "an image 1.jpg").unlink(), r"line 2: .*an image 1.jpg is no image"),
    ],
)
def test_what_is_wrong_with_a_list_of_images_is_a_line(tmp_path, change, said):
    write_images(tmp_path, np.random.RandomState(1), 2, (9, 9))
    change(tmp_path)
    with pytest.raises(InputError, match=said):
        shown(image_data(tmp_path, 2), 1)


@pytest.mark.parametrize(
    ("what", "transform", "said"),
    [
        ("new_height: 5", "", "new_height 5 and new_width 0"),
        ("rand_skip: 2", "", "rand_skip"),
        ("crop_size: 2", "", "old form"),
        ("", "crop_size: 99", "smaller than the crop"),
        ("", "mean_value: 1 mean_value: 2", "2 mean values for 3 channels"),
    ],
)
def test_settings_that_images_do_not_fit_are_a_line(tmp_path, what, transform, said):
    write_images(tmp_path, np.random.RandomState(1), 2, (9, 9))
    with pytest.raises(InputError, match=said):
        shown(image_data(tmp_path, 2, what, transform), 1)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: (f / "list.txt").write_text(" \n"), "is empty"),
        (lambda f: (f / "1.h5").unlink(), r"1.h5: no HDF5 that can be read"),
        (lambda f: (f / "1.h5").write_bytes(b"no"), r"1.h5: no HDF5 that can be read"),
        (lambda f: replaced(f, "x", None), r"1.h5: no data set 'x'"),
        (lambda f: replaced(f, "x", np.ones((3, 5))), r"1.h5: rows of .*5.* where .*0.h5 has"),
        (lambda f: replaced(f, "x", np.ones((2, 4))), r"1.h5: x has 2, label has 3 rows"),
        (lambda f: replaced(f, "x", np.float32(1)), r"1.h5: no data set 'x' with rows"),
        (lambda f: replaced(f, "x", np.array([b"a"] * 3)), r"1.h5: no data set 'x' with rows"),
    ],
)
def test_what_is_wrong_with_rows_is_a_line(tmp_path, change, said):
    write_rows(tmp_path, (2, 3), {"x": (4,), "label": ()}, np.random.RandomState(1))
    change(tmp_path)
    with pytest.raises(InputError, match=said):
        shown(hdf5_data(tmp_path, 5), 1)


def replaced(folder, name, values):
    with h5py.File(str(folder / "1.h5"), "r+") as file:
        del file[name]
        if values is not None:
            file[name] = values


def test_rows_are_not_transformed(tmp_path):
    write_rows(tmp_path, (2,), {"x": (4,), "label": ()}, np.random.RandomState(1))
    with pytest.raises(InputError, match="leave transform_param out"):
        net_of(hdf5_data(tmp_path, 5).replace("hdf5_data_param", "transform_param { scale: 2 } hdf5_data_param"))
