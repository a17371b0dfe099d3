"""The ten-crop test: equal to pycaffe's own oversampling, whatever the batch, and one line where input is at fault."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import ROOT
from made_photos import read_small

from caffe_files.errors import InputError
from caffe_files.prototxt import read_caffemodel
from skinmtl.data.manifest import read_manifest
from skinmtl.engines.snapshot import mean_of
from skinmtl.images.resizing import RESIZING
from skinmtl.scores.crops import centre_crop, ten_crops
from skinmtl.scores.metrics import evaluate
from skinmtl.scores.scores_file import read_scores

MEAN = np.array([103.0626, 115.9029, 123.1516], np.float32)


@pytest.mark.caffe
@pytest.mark.parametrize("size", [(64, 64), (64, 65), (71, 90), (101, 64)])
def test_crops_are_those_of_caffe_io_oversample_less_the_mean(size):
    from caffe.io import oversample

    image = np.random.RandomState(1).randint(0, 256, (*size, 3)).astype(np.uint8)
    expected = oversample([image.astype(np.float32) - MEAN], (64, 64)).transpose(0, 3, 1, 2)
    assert np.array_equal(ten_crops(image, 64, MEAN), expected)
    assert np.array_equal(centre_crop(image, 64, MEAN), expected[4:5])


def test_the_mean_is_read_beside_the_deploy_net(tmp_path):
    (tmp_path / "deploy.prototxt").write_text('name: "a net"')
    with pytest.raises(InputError, match="give --mean"):
        mean_of(tmp_path / "deploy.prototxt")
    (tmp_path / "test.prototxt").write_text(
        'layer { name: "data" type: "Data" top: "data" '
        "transform_param { mean_value: 104 mean_value: 117 mean_value: 123 } }"
    )
    assert mean_of(tmp_path / "deploy.prototxt") == (104, 117, 123)


@pytest.fixture(scope="module")
def score(run_on_test_fold):
    return partial(run_on_test_fold, "score.py")


@pytest.fixture(scope="module")
def scoring(score, tmp_path_factory):
    out = tmp_path_factory.mktemp("scores") / "s.npz"
    done = score(out)
    assert done.returncode == 0, done.stderr
    return SimpleNamespace(out=out, done=done)


@pytest.fixture(scope="module")
def scored(scoring):
    return read_scores(scoring.out)


@pytest.mark.caffe
def test_the_closing_line_has_the_figures_of_evaluate(scoring):
    figures = evaluate(read_scores(scoring.out))
    assert scoring.done.stdout.splitlines()[-1] == (
        f"{scoring.out}: 8 images scored: mAP-class {figures['map_class']:.3f} (chance "
        f"{figures['chance_map_class']:.3f}), mAP-image {figures['map_image']:.3f} (chance "
        f"{figures['chance_map_image']:.3f}), location top-1 {figures['location_top1']:.3f} (chance "
        f"{figures['chance_location_top1']:.3f})"
    )


@pytest.mark.caffe
def test_scores_are_the_mean_of_pycaffes_probabilities_over_oversampled_crops(scored, tiny_model):
    import caffe
    from caffe.io import oversample

    net = caffe.Net(str(tiny_model.deploy), str(tiny_model.snapshot), caffe.TEST)
    for name, lesions, locations in zip(scored.image, scored.lesion_scores, scored.location_scores):
        resized = read_small(tiny_model.data.images / name, 72).astype(np.float32)
        total = {"lesion_prob": 0, "location_prob": 0}
        for crop in oversample([resized], (64, 64)):
            net.blobs["data"].data[0] = (crop - MEAN).transpose(2, 0, 1)
            for head, probability in net.forward().items():
                total[head] = total[head] + probability[0]
        assert np.allclose(lesions, total["lesion_prob"] / 10, atol=1e-5)
        assert np.allclose(locations, total["location_prob"] / 10, atol=1e-5)


@pytest.mark.caffe
def test_the_file_has_the_test_fold_its_labels_and_how_it_was_made(scored, tiny_model):
    manifest = read_manifest(tiny_model.data.manifest)
    assert scored.image == [f"{number}.jpg" for number in range(8)]
    assert np.array_equal(scored.lesion_labels, manifest.lesion_labels()[:8])
    assert np.array_equal(scored.location_labels, manifest.location_labels()[:8])
    assert list(scored.lesion_names) == ["crust", "nodule", "scar"]
    assert np.allclose(scored.location_scores.sum(axis=1), 1, atol=1e-5)
    assert scored.protocol["crops"] == 10
    assert scored.protocol["crop"] == 64
    assert scored.protocol["short_side"] == 72
    assert scored.protocol["resizing"] == RESIZING
    assert np.allclose(scored.protocol["mean"], MEAN)
    assert len(scored.protocol["weights_sha256"]) == 64


@pytest.mark.caffe
@pytest.mark.parametrize(("batch_size", "workers"), [(1, 1), (7, 2), (200, 1)])
def test_the_batch_size_and_the_workers_change_nothing(score, scored, tmp_path, batch_size, workers):
    assert score(tmp_path / "s.npz", "--batch-size", batch_size, workers=workers).returncode == 0
    again = read_scores(tmp_path / "s.npz")
    assert np.allclose(again.lesion_scores, scored.lesion_scores, atol=1e-6)
    assert np.allclose(again.location_scores, scored.location_scores, atol=1e-6)


@pytest.mark.caffe
def test_without_folds_the_whole_manifest_is_scored(score, tmp_path):
    assert score(tmp_path / "s.npz", folds=None, fold=None, subset=None).returncode == 0
    assert len(read_scores(tmp_path / "s.npz").image) == 24


@pytest.mark.caffe
def test_a_net_with_one_head_leaves_the_other_out(score, tiny_model, tmp_path):
    text = tiny_model.deploy.read_text()
    text = text[: text.index('layer {\n  name: "fc_location"')]
    text += 'layer {\n  name: "lesion_prob" type: "Sigmoid" bottom: "fc_lesion" top: "lesion_prob" }\n'
    (tmp_path / "deploy.prototxt").write_text(text)
    done = score(tmp_path / "s.npz", "--mean", 103, 116, 123, deploy=tmp_path / "deploy.prototxt")
    assert done.returncode == 0, done.stderr
    assert "8 images scored: mAP-class 0." in done.stdout
    assert "location" not in done.stdout.splitlines()[-1].rpartition("scored: ")[2]
    scores = read_scores(tmp_path / "s.npz")
    assert scores.lesion_scores.shape == (8, 3)
    assert scores.location_scores is None
    assert scores.location_labels is None


def refused(done, out, *said):
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("score.py: ")
    for words in said:
        assert words in done.stderr
    assert not list(out.parent.glob("*.npz")) + list(out.parent.glob(".*partial*"))


@pytest.mark.caffe
def test_bad_input_is_one_line_and_no_file(score, tiny_model, tmp_path):
    out = tmp_path / "out" / "s.npz"
    out.parent.mkdir()
    cut = tmp_path / "cut.caffemodel"
    cut.write_bytes(tiny_model.snapshot.read_bytes()[:100000])
    refused(score(out, weights=cut), out, "cut.caffemodel", "cut short")
    refused(score(out, weights=tmp_path / "none.caffemodel"), out, "none.caffemodel", "cannot be read")
    refused(score(out, deploy=tmp_path / "none.prototxt"), out, "none.prototxt", "cannot be read")
    refused(score(out, **{"short-side": 63}), out, "takes 64 pixels", "--short-side")
    for number in range(7):
        shutil.copy(str(tiny_model.data.images / f"{number}.jpg"), str(tmp_path))
    refused(score(out, images=tmp_path), out, "manifest.csv:9: ", "7.jpg", "missing")
    refused(score(out, "--gpu", 0), out, "--gpu 0", "built without CUDA")


@pytest.mark.caffe
def test_a_caffemodel_of_another_net_is_refused_although_caffe_would_take_it(score, tiny_model, tmp_path):
    net = read_caffemodel(tiny_model.snapshot)
    for layer in net.layer:
        layer.name = layer.name.replace("res5", "block5")
    other = tmp_path / "other.caffemodel"
    other.write_bytes(net.SerializeToString())
    refused(score(tmp_path / "s.npz", weights=other), tmp_path / "s.npz", "not of the net", "res5a_branch1")


@pytest.mark.caffe
def test_a_manifest_with_other_names_is_refused_although_there_are_as_many(score, tiny_model, tmp_path):
    """Sorted names are indices: one name that sorts elsewhere would silently permute every label."""
    deploy = tmp_path / "deploy.prototxt"
    shutil.copy(str(tiny_model.deploy), str(deploy))
    shutil.copy(str(tiny_model.folder / "test.prototxt"), str(tmp_path))
    names = {"lesion_names": ["crust", "nodule", "scar"], "location_names": ["back", "face", "hands", "scalp"]}
    (tmp_path / "labels.json").write_text(json.dumps(names))
    assert score(tmp_path / "good.npz", deploy=deploy).returncode == 0
    (tmp_path / "good.npz").unlink()
    text = tiny_model.data.manifest.read_text().replace("back", "torso")
    (tmp_path / "manifest.csv").write_text(text)
    done = score(tmp_path / "s.npz", deploy=deploy, manifest=tmp_path / "manifest.csv")
    refused(done, tmp_path / "s.npz", "number 1 is 'face' where the net has 'back'", "locations.txt")


@pytest.mark.caffe
@pytest.mark.parametrize("place", ["folder.npz", "file/s.npz", "/proc/s.npz"])
def test_a_place_that_cannot_be_written_is_said_before_the_work(score, tmp_path, place):
    (tmp_path / "folder.npz").mkdir()
    (tmp_path / "file").write_text("")
    done = score(tmp_path / place)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "name another place" in done.stderr


@pytest.mark.caffe
def test_another_number_of_labels_is_refused(score, tiny_model, tmp_path):
    (tmp_path / "manifest.csv").write_text("image,lesions,location\n0.jpg,crust,back\n")
    done = score(tmp_path / "s.npz", manifest=tmp_path / "manifest.csv", folds=None, fold=None, subset=None)
    refused(done, tmp_path / "s.npz", "lesion_prob has 3 outputs", "names 1")


@pytest.mark.caffe
def test_all_bad_images_are_named_at_once(score, tiny_model, tmp_path):
    (tmp_path / "images").mkdir()
    for number in range(8):
        data = (tiny_model.data.images / f"{number}.jpg").read_bytes()
        (tmp_path / "images" / f"{number}.jpg").write_bytes(data[: len(data) // 2] if number in (2, 5) else data)
    done = score(tmp_path / "s.npz", images=tmp_path / "images")
    assert done.returncode == 1
    assert [line.split("manifest.csv:")[1].split(":")[0] for line in done.stderr.splitlines()] == ["4", "7"]
    assert not (tmp_path / "s.npz").exists()


@pytest.mark.caffe
def test_a_part_of_the_fold_flags_is_a_usage_error(score, tmp_path):
    assert score(tmp_path / "s.npz", subset=None).returncode == 2


@pytest.mark.caffe
def test_a_stopped_run_goes_on_and_ends_with_the_same_scores(score, scored, tiny_model, tmp_path):
    """An image that turns bad stops the first run; what was scored before it is not scored again."""
    (tmp_path / "images").mkdir()
    for number in range(8):
        shutil.copy(str(tiny_model.data.images / f"{number}.jpg"), str(tmp_path / "images"))
    whole = (tmp_path / "images" / "5.jpg").read_bytes()
    (tmp_path / "images" / "5.jpg").write_bytes(whole[:100])
    assert score(tmp_path / "s.npz", images=tmp_path / "images").returncode == 1
    (tmp_path / "images" / "5.jpg").write_bytes(whole)
    done = score(tmp_path / "s.npz", images=tmp_path / "images")
    assert "5 images were done before: 3 are left" in done.stdout + done.stderr
    again = read_scores(tmp_path / "s.npz")
    assert np.allclose(again.lesion_scores, scored.lesion_scores, atol=1e-6)
    assert [path.name for path in tmp_path.glob("*s.npz*")] == ["s.npz"]


@pytest.mark.caffe
@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_run_leaves_no_scores_and_the_next_one_makes_them(score, scored, tiny_model, tmp_path, stop):
    """Stopped while it scores: its progress file is there and grows by then."""
    (tmp_path / "images").mkdir()
    lines = tiny_model.data.manifest.read_text().splitlines()
    with open(str(tmp_path / "manifest.csv"), "w") as file:
        file.write(lines[0] + "\n")
        for copy in range(12):
            for line in lines[1:]:
                file.write(f"{copy}_{line}\n")
                name = line.split(",")[0]
                (tmp_path / "images" / f"{copy}_{name}").symlink_to(tiny_model.data.images / name)
    command = [sys.executable, str(ROOT / "tools/score.py"), "--deploy", str(tiny_model.deploy), "--short-side", "72"]
    command += ["--weights", str(tiny_model.snapshot), "--manifest", str(tmp_path / "manifest.csv")]
    command += ["--images", str(tmp_path / "images"), "--out", str(tmp_path / "s.npz"), "--workers", "2"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    progress = tmp_path / ".s.npz.progress"
    header = 0
    while process.poll() is None and not (header and progress.stat().st_size > header):
        if progress.exists() and not header:
            header = len(progress.read_bytes().partition(b"\n")[0]) + 1 if b"\n" in progress.read_bytes() else 0
        time.sleep(0.01)
    process.send_signal(stop)
    said = process.communicate(timeout=30)[1]
    assert process.returncode == (-stop if stop == signal.SIGKILL else 128 + stop), said
    assert "Traceback" not in said
    assert not (tmp_path / "s.npz").exists()
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "done before: " in done.stdout + done.stderr
    assert np.allclose(read_scores(tmp_path / "s.npz").lesion_scores[:8], scored.lesion_scores, atol=1e-6)
    assert not progress.exists()
