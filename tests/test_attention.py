"""Class activation maps: equal to the net's own logits, right on nets whose answer is known, every pixel seen."""

from __future__ import annotations

import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

from skinmtl.attention.attention_file import AttentionFile, HeadAttention
from skinmtl.attention.geometry import Cells, Place, cells_of, places
from skinmtl.attention.maps import class_maps, cut, merge
from skinmtl.attention.network import AttentionNet
from skinmtl.attention.tasks import chosen, net_names
from skinmtl.common.errors import InputError
from skinmtl.data import images
from skinmtl.data.manifest import read_manifest
from skinmtl.figures.overlay import overlay, scaled
from skinmtl.scores.crops import ten_crops
from skinmtl.scores.forward import Protocol

MEAN = np.array([103.0626, 115.9029, 123.1516])
NO_MEAN = Protocol(32, (0.0, 0.0, 0.0), 10, None, 1)
BGR = (60, 120, 200)
LABELS = {"lesion": ["crust", "nodule", "scar"], "location": ["back", "face", "hands", "scalp"]}  # of the small set


# crops


@given(st.integers(1, 12), st.integers(0, 60), st.integers(0, 60))
@settings(max_examples=200, deadline=None)
def test_crops_show_every_pixel_inside_of_the_image_and_turned_round_as_often_as_not(crop, more, wider):
    height, width = crop + more, crop + wider
    seen = np.zeros((height, width, 2), int)
    for top, left, mirrored in places(height, width, crop):
        assert 0 <= top <= height - crop
        assert 0 <= left <= width - crop
        seen[top : top + crop, left : left + crop, int(mirrored)] += 1
    assert seen.min() >= 1
    assert np.array_equal(seen[:, :, 0], seen[:, :, 1])


@pytest.mark.parametrize("size", [(64, 64), (73, 90), (128, 128), (64, 300)])
def test_the_first_ten_crops_are_those_of_the_test(size):
    image = np.random.RandomState(1).randint(0, 256, (*size, 3)).astype(np.uint8)
    crops = [cut(image, place, 64, MEAN) for place in places(*size, 64)]
    assert np.array_equal(crops[:10], ten_crops(image, 64, MEAN))
    assert (len(crops) == 10) == (max(size) <= 2 * 64)


def test_ten_crops_leave_gaps_in_a_long_image_and_the_others_fill_them():
    seen = np.zeros((70, 160), int)
    for top, left, _ in places(70, 160, 64)[:10]:
        seen[top : top + 64, left : left + 64] += 1
    assert (seen == 0).sum() == 6 * (160 - 2 * 64)  # above and below the centre crop


# where a cell looks


@pytest.mark.parametrize(("cells", "step"), [(7, 32), (4, 16), (1, 8), (5, 3)])
def test_cells_that_tile_a_crop_are_stretched_as_opencv_does(cells, step):
    of_cells = np.random.RandomState(1).rand(cells, cells)
    weights = Cells((step - 1) / 2, step).weights(cells, cells * step)
    stretched = cv2.resize(of_cells, (cells * step, cells * step), interpolation=cv2.INTER_LINEAR)
    assert np.allclose(weights @ of_cells @ weights.T, stretched, atol=1e-6)


def test_a_ramp_stays_a_ramp_between_the_first_and_the_last_centre():
    cells = Cells(2.0, 32.0)
    centres = 2 + 32 * np.arange(7)
    ramp = cells.weights(7, 224) @ centres
    assert np.allclose(ramp[2:195], np.arange(2, 195))
    assert np.allclose(ramp[:2], 2)
    assert np.allclose(ramp[195:], 194)


@pytest.mark.caffe
@pytest.mark.parametrize(("model", "step"), [("resnet50_mtl", 32), ("tiny_mtl", 16)])
def test_cells_of_a_resnet_look_further_up_and_left_than_their_tiles(model, step):
    assert cells_of(ROOT / "prototxt" / model / "deploy.prototxt", "res5c") == Cells(2, step)


@pytest.mark.caffe
def test_cells_are_where_caffe_looks(tmp_path):
    """A net of plain averages: what a cell answers to has its middle at the cell's centre."""
    import caffe

    average = "weight_filler { type: 'constant' value: 1 } bias_term: false"
    deploy = tmp_path / "deploy.prototxt"
    deploy.write_text(f"""
        layer {{ name: 'data' type: 'Input' top: 'data' input_param {{ shape {{ dim: [1, 1, 40, 40] }} }} }}
        layer {{ name: 'a' type: 'Convolution' bottom: 'data' top: 'a'
          convolution_param {{ num_output: 1 kernel_size: 5 stride: 2 pad: 1 {average} }} }}
        layer {{ name: 'rectify' type: 'ReLU' bottom: 'a' top: 'a' }}
        layer {{ name: 'b' type: 'Pooling' bottom: 'a' top: 'b'
          pooling_param {{ pool: AVE kernel_size: 2 stride: 1 }} }}
        layer {{ name: 'c' type: 'Convolution' bottom: 'b' top: 'c'
          convolution_param {{ num_output: 1 kernel_size: 3 dilation: 2 stride: 1 pad: 1 {average} }} }}
        layer {{ name: 'd' type: 'Convolution' bottom: 'c' top: 'res5c'
          convolution_param {{ num_output: 1 kernel_size: 1 stride: 3 {average} }} }}""")
    net = caffe.Net(str(deploy), caffe.TEST)
    answers = []
    for pixel in range(40):
        net.blobs["data"].data[...] = 0
        net.blobs["data"].data[0, 0, :, pixel] = 1
        net.forward()
        answers.append(net.blobs["res5c"].data[0, 0, 2].copy())
    answers = np.array(answers)
    cells = cells_of(deploy, "res5c")
    for cell in (1, 2, 3):  # the others look over the edge
        middle = (answers[:, cell] * np.arange(40)).sum() / answers[:, cell].sum()
        assert middle == pytest.approx(cells.first + cell * cells.step, abs=1e-4)


@pytest.mark.caffe
@pytest.mark.parametrize("odd", ["kernel_h: 3 kernel_w: 5", "kernel_size: 3 stride: [1, 2]"])
def test_a_kernel_that_is_not_square_is_refused(tmp_path, odd):
    layer = f"name: 'odd' type: 'Convolution' bottom: 'data' top: 'res5c' convolution_param {{ num_output: 1 {odd} }}"
    (tmp_path / "deploy.prototxt").write_text(f"layer {{ {layer} }}")
    with pytest.raises(InputError, match="'odd'"):
        cells_of(tmp_path / "deploy.prototxt", "res5c")


# merging


def test_a_pixel_is_the_mean_of_the_crops_that_show_it():
    maps = np.array([1.0, 2.0, 10.0]).reshape(3, 1, 1, 1)
    crops = [Place(0, 0, False), Place(0, 0, True), Place(0, 2, False)]
    merged = merge(maps, crops, (4, 6), 4, Cells(1.5, 4))
    assert np.allclose(merged[0], [[1.5, 1.5, 13 / 3, 13 / 3, 10, 10]] * 4)


def test_a_mirrored_crop_is_turned_back():
    hot = np.zeros((1, 1, 2, 2))
    hot[0, 0, 0, 0] = 1
    assert merge(hot, [Place(0, 0, False)], (8, 8), 8, Cells(1.5, 4))[0, 0, 0] == 1
    assert merge(hot, [Place(0, 0, True)], (8, 8), 8, Cells(1.5, 4))[0, 0, 7] == 1


def test_a_constant_map_stays_constant_however_often_a_pixel_is_seen():
    crops = places(70, 300, 64)
    merged = merge(np.full((len(crops), 2, 4, 4), 0.7), crops, (70, 300), 64, Cells(2, 16))
    assert merged.shape == (2, 70, 300)
    assert np.allclose(merged, 0.7)


# nets whose answer is known


@pytest.fixture(scope="module")
def known_net(tmp_path_factory):
    """A net that says what its image shows: a cell of res5c is the mean colour of its 8 x 8 pixels of a crop of 32,
    lesion 0 is the blue there, lesion 1 less of the red; location 0 the green, 1 and 2 nothing."""
    import caffe

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
    return SimpleNamespace(
        deploy=folder / "deploy.prototxt",
        weights=folder / "known.caffemodel",
        attention=AttentionNet(folder / "deploy.prototxt", folder / "known.caffemodel", NO_MEAN),
    )


def attention_of(net, image, head):
    return net.merged(net.crop_maps(image)[head].maps, image.shape[:2])


@pytest.mark.caffe
@pytest.mark.parametrize("size", [(32, 32), (32, 40), (41, 32), (70, 150), (32, 400)])
def test_an_image_of_one_colour_has_a_constant_map(known_net, size):
    image = np.full((*size, 3), BGR, np.uint8)
    assert np.allclose(attention_of(known_net.attention, image, "lesion")[0], BGR[0], atol=1e-3)
    assert np.allclose(attention_of(known_net.attention, image, "lesion")[1], -BGR[2], atol=1e-3)
    assert np.allclose(attention_of(known_net.attention, image, "location")[0], BGR[1], atol=1e-3)
    assert not attention_of(known_net.attention, image, "location")[1:].any()


@pytest.mark.caffe
@pytest.mark.parametrize("at", [(0, 0), (0, 24), (24, 8), (16, 16)])
def test_one_bright_cell_is_the_peak_and_only_its_neighbours_see_it(known_net, at):
    image = np.zeros((32, 32, 3), np.uint8)
    image[at[0] : at[0] + 8, at[1] : at[1] + 8, 0] = 255
    found = attention_of(known_net.attention, image, "lesion")[0]
    middle = (at[0] + 3.5, at[1] + 3.5)
    assert found[at[0] + 3 : at[0] + 5, at[1] + 3 : at[1] + 5].max() == found.max() > 200
    distance = np.abs(np.mgrid[:32, :32] - np.array(middle)[:, None, None]).max(axis=0)
    assert (found[distance >= 8] == 0).all()
    assert (found[distance < 7.9] > 0).all()


@pytest.mark.caffe
@pytest.mark.parametrize("size", [(32, 32), (36, 45), (50, 33), (40, 150), (32, 90)])
def test_maps_are_opencvs_stretched_tiles_summed_and_divided_crop_by_crop(known_net, size):
    image = cv2.resize(np.random.RandomState(2).randint(0, 256, (6, 9, 3)).astype(np.uint8), size[::-1])
    total, seen = np.zeros((*size, 3)), np.zeros((*size, 1))
    for top, left, mirrored in places(*size, 32):
        crop = image[top : top + 32, left : left + 32].astype(np.float64)
        crop = crop[:, ::-1] if mirrored else crop
        tiles = crop.reshape(4, 8, 4, 8, 3).mean(axis=(1, 3))
        stretched = cv2.resize(tiles, (32, 32), interpolation=cv2.INTER_LINEAR)
        total[top : top + 32, left : left + 32] += stretched[:, ::-1] if mirrored else stretched
        seen[top : top + 32, left : left + 32] += 1
    blue, green, red = np.moveaxis(total / seen, 2, 0)
    assert np.allclose(attention_of(known_net.attention, image, "lesion"), [blue, -red], atol=1e-2)
    assert np.allclose(attention_of(known_net.attention, image, "location")[0], green, atol=1e-2)


@pytest.mark.caffe
def test_what_the_ten_crops_do_not_show_is_found_too(known_net):
    image = np.zeros((40, 200, 3), np.uint8)
    image[:4, 60:68, 0] = 255  # above the centre crop, right of the corner's
    found = attention_of(known_net.attention, image, "lesion")[0]
    row, column = np.unravel_index(found.argmax(), found.shape)
    assert row < 8
    assert 56 <= column < 72


@pytest.mark.caffe
def test_probabilities_are_those_of_the_ten_crops_however_many_there_are(known_net):
    image = np.random.RandomState(3).randint(80, 120, (40, 150, 3)).astype(np.uint8)
    image[:, 50:60] = 130  # seen by few of the crops
    blue = ten_crops(image, 32, np.zeros(3))[:, 0].mean(axis=(1, 2))
    found = known_net.attention.crop_maps(image)["lesion"]
    assert len(found.maps) > 10
    assert found.probabilities[0] == pytest.approx((1 / (1 + np.exp(100 - blue))).mean(), abs=1e-4)


# the real net


@pytest.mark.caffe
def test_a_crops_map_averages_to_its_logit_less_the_bias(tiny_model):
    import caffe

    image = images.load((tiny_model.data.images / "3.jpg", 72)).pixels
    found = AttentionNet(tiny_model.deploy, tiny_model.snapshot, Protocol(72, tuple(MEAN), 4, None, 1)).crop_maps(image)
    net = caffe.Net(str(tiny_model.deploy), str(tiny_model.snapshot), caffe.TEST)
    net.blobs["data"].reshape(10, 3, 64, 64)
    net.blobs["data"].data[...] = ten_crops(image, 64, MEAN)
    net.forward()
    for head in ("lesion", "location"):
        maps, bias = found[head].maps[:10], net.params[f"fc_{head}"][1].data
        assert np.allclose(maps.mean(axis=(2, 3)) + bias, net.blobs[f"fc_{head}"].data, atol=1e-4)
        assert np.ptp(maps) > 1e-3
        assert np.allclose(found[head].probabilities, net.blobs[f"{head}_prob"].data.mean(axis=0), atol=1e-5)


def test_maps_are_what_global_average_pooling_takes_the_mean_of():
    random = np.random.RandomState(1)
    features, weights = random.rand(2, 5, 3, 4), random.randn(6, 5)
    assert np.allclose(class_maps(features, weights).mean(axis=(2, 3)), features.mean(axis=(2, 3)) @ weights.T)


# the tool


@pytest.fixture(scope="module")
def attend(tool, tiny_model):
    def run(out, *more, **changes):
        data = tiny_model.data
        command = {
            "deploy": tiny_model.deploy,
            "weights": tiny_model.snapshot,
            "manifest": data.manifest,
            "images": data.images,
            "short-side": 72,
            "workers": 1,
            **changes,
        }
        flags = [word for name, value in command.items() if value is not None for word in (f"--{name}", value)]
        return tool("attend.py", *flags, *more, "--out", out)

    return run


@pytest.mark.caffe
def test_the_folder_has_overlays_maps_of_the_true_labels_and_what_made_them(attend, tiny_model, tmp_path):
    fold = ("--folds", tiny_model.data.folds, "--fold", 0, "--subset", "test")
    done = attend(tmp_path / "out", *fold, "--image", "6.jpg", "--image", "2.jpg")
    assert (done.returncode, done.stdout) == (0, f"{tmp_path}/out: attention on 2 images\n"), done.stderr
    file = AttentionFile(tmp_path / "out" / "attention.npz")
    assert file.images == ["2.jpg", "6.jpg"]  # the manifest's order
    assert file.read(0, "lesion").labels == ("crust", "nodule")
    assert file.read(1, "lesion").labels == ("crust", "nodule", "scar")
    assert file.read(1, "location").labels == ("hands",)
    net = AttentionNet(tiny_model.deploy, tiny_model.snapshot, Protocol(72, tuple(MEAN), 10, None, 1))
    for row, name in enumerate(file.images):
        pixels = images.load((tiny_model.data.images / name, 72)).pixels
        found = net.crop_maps(pixels)
        for head, names in LABELS.items():
            attention = file.read(row, head)
            of_labels = net.merged(found[head].maps, pixels.shape[:2])[[names.index(one) for one in attention.labels]]
            assert np.allclose(attention.maps, of_labels, atol=1e-5)
            assert np.allclose(attention.probabilities, found[head].probabilities, atol=1e-6)
            drawn = cv2.imread(str(tmp_path / "out" / f"{name}.{head}.png"))
            large = images.load((tiny_model.data.images / name, 256)).pixels
            assert np.array_equal(drawn, overlay(large, attention.shown))
    said = json.loads((tmp_path / "out" / "attention.json").read_text())
    assert [one["image"] for one in said["images"]] == file.images
    assert said["protocol"]["cells"] == {"first": 2, "step": 16}
    assert said["protocol"]["weights_sha256"] == file.protocol["weights_sha256"]
    assert said["arguments"]["image"] == ["6.jpg", "2.jpg"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        ["attention.npz", "attention.json", *(f"{n}.jpg.{head}.png" for n in (2, 6) for head in ("lesion", "location"))]
    )


@pytest.mark.caffe
def test_predicted_labels_are_the_likeliest(attend, tmp_path):
    done = attend(tmp_path / "out", "--sample", 3, "--seed", 5, "--labels", "predicted")
    assert done.returncode == 0, done.stderr
    file = AttentionFile(tmp_path / "out" / "attention.npz")
    assert len(file.images) == 3
    for row in range(3):
        for head, names in LABELS.items():
            attention = file.read(row, head)
            assert attention.labels == (names[int(attention.probabilities.argmax())],)


def test_a_sample_depends_on_its_seed_and_keeps_the_manifests_order(make_dataset):
    manifest = read_manifest(make_dataset(20).manifest)
    order = [row.image for row in manifest.rows]

    def sample(count, seed):
        return [row.image for row in chosen(manifest, (), count, seed).rows]

    assert sample(5, 1) == sample(5, 1) != sample(5, 2)
    assert len(set(sample(5, 1))) == 5
    assert sample(5, 1) == sorted(sample(5, 1), key=order.index)
    assert sample(20, 1) == sample(None, 1) == order
    with pytest.raises(InputError, match="20 images, 21 wanted"):
        sample(21, 1)
    with pytest.raises(InputError, match="no image 'other'"):
        chosen(manifest, ["other"], None, 1)


@pytest.mark.caffe
def test_a_file_without_labels_gets_the_likeliest_named_by_the_net(tool, known_net, tmp_path):
    """The net knows nothing of names at first: labels are indices. One image is smaller than a crop, one long."""
    (tmp_path / "net").mkdir()
    deploy = tmp_path / "net" / "deploy.prototxt"
    deploy.write_text(known_net.deploy.read_text())
    bright, dark = np.full((10, 12, 3), (250, 250, 0), np.uint8), np.zeros((30, 200, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "bright.png"), bright)
    cv2.imwrite(str(tmp_path / "dark.png"), dark)
    command = ["--deploy", deploy, "--weights", known_net.weights, "--mean", 0, 0, 0, "--short-side", 32]
    queries = ["--query", tmp_path / "bright.png", "--query", tmp_path / "dark.png"]
    done = tool("attend.py", *command, *queries, "--out", tmp_path / "a")
    assert done.returncode == 0, done.stderr
    file = AttentionFile(tmp_path / "a" / "attention.npz")
    assert file.images == [str(tmp_path / "bright.png"), str(tmp_path / "dark.png")]
    assert [file.read(row, "lesion").labels for row in (0, 1)] == [("0",), ("1",)]
    assert np.allclose(file.read(0, "lesion").maps, 250, atol=1e-3)
    assert file.read(1, "lesion").maps.shape == (1, 32, 213)
    assert (tmp_path / "a" / "bright.png.lesion.png").is_file()


def test_labels_json_names_what_the_net_says(tmp_path):
    names = {"lesion_names": ["blue", "not red"], "location_names": ["x", "y", "z"]}
    (tmp_path / "labels.json").write_text(json.dumps(names))
    deploy = tmp_path / "deploy.prototxt"
    assert net_names({"lesion": 2, "location": 3}, deploy) == {"lesion": ["blue", "not red"], "location": list("xyz")}
    with pytest.raises(InputError, match="names 3 for the 2 outputs of location_prob"):
        net_names({"location": 2}, deploy)


@pytest.mark.caffe
def test_a_net_whose_heads_do_not_stand_on_res5cs_average_is_refused(known_net, tmp_path):
    text = known_net.deploy.read_text()
    for name, wrong in {
        "no pool5": text.replace("pool5", "other"),
        "largest": text.replace("pool: AVE kernel_size: 4", "pool: MAX kernel_size: 4"),
    }.items():
        deploy = tmp_path / f"{name}.prototxt"
        deploy.write_text(wrong)
        with pytest.raises(InputError, match="attention needs res5c"):
            AttentionNet(deploy, known_net.weights, NO_MEAN)


@pytest.mark.caffe
def test_a_net_with_one_head_has_the_attention_of_one(known_net, tmp_path):
    text = known_net.deploy.read_text()
    lines = [line for line in text.splitlines() if "location" not in line]
    (tmp_path / "deploy.prototxt").write_text("\n".join(lines))
    net = AttentionNet(tmp_path / "deploy.prototxt", known_net.weights, NO_MEAN)
    assert net.heads == {"lesion": 2}


@pytest.mark.caffe
def test_bad_input_is_one_line_and_leaves_nothing(attend, tiny_model, refused, tmp_path):
    out = tmp_path / "out"
    bad = tmp_path / "images"
    bad.mkdir()
    (bad / "0.jpg").write_bytes((tiny_model.data.images / "0.jpg").read_bytes()[:500])
    refused(attend(out, "--image", "0.jpg", images=bad), "0.jpg", "truncated")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images"]
    out.mkdir()
    refused(attend(out, "--image", "0.jpg"), "exists already")
    assert not list(out.iterdir())


def test_wrong_flags_are_usage_errors(tool, tmp_path):
    command = ("attend.py", "--deploy", "d", "--weights", "w", "--out", tmp_path / "out")
    for flags in (
        (),
        ("--manifest", "m", "--query", "q", "--images", "i"),
        ("--query", "q", "--image", "a"),
    ):
        assert tool(*command, *flags).returncode == 2


# overlays


def test_an_overlay_is_brightest_where_the_map_is_highest_and_as_large_as_its_image():
    attention = np.full((4, 4), -3.0)
    attention[3, 0] = 2
    drawn = overlay(np.full((40, 60, 3), 128, np.uint8), attention)
    assert drawn.shape == (40, 60, 3)
    assert drawn.dtype == np.uint8
    blue, green, red = drawn[39, 0]
    assert blue < red < green or blue < green < red  # yellow
    light = drawn.astype(int).sum(axis=2)
    row, column = np.unravel_index(light.argmax(), light.shape)
    assert row >= 30
    assert column < 15


@pytest.mark.parametrize("value", [0.0, -7.0, 1e-30, 1e30])
def test_a_constant_map_is_drawn_dark_everywhere(value):
    assert not scaled(np.full((3, 5), value, np.float32)).any()


@given(st.integers(0, 1000))
@settings(max_examples=50, deadline=None)
def test_maps_are_shown_from_0_to_1_in_their_own_order(seed):
    values = np.random.RandomState(seed).randn(4, 5) * 10.0 ** (seed % 7 - 3) + seed - 500
    shown = scaled(values)
    assert (shown.min(), shown.max()) == (0, 1)
    assert np.array_equal(shown.ravel().argsort(kind="stable"), values.ravel().argsort(kind="stable"))


def test_of_several_lesions_the_mean_is_shown():
    assert np.array_equal(HeadAttention(("a", "b"), np.array([[[1.0, 2]], [[3.0, -2]]]), np.ones(2)).shown, [[2, 0]])
