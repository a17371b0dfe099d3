"""The JSON and YAML that the tools leave for each other, damaged: it is read, or refused in a line that names it."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from fuzzing import mutated_bytes, mutated_json, mutated_lines, mutated_value

from caffe_files.errors import InputError
from caffe_files.made_folder import MADE, check_made
from skinmtl.common.json_file import json_value
from skinmtl.data.dataset import LMDB_NAMES, read_summary
from skinmtl.data.seen import Image, marks, n_trained, seen
from skinmtl.data.trained_on import ROLES, Known, TrainedOn, read_trained_on
from skinmtl.experiment import configuration, nets
from skinmtl.experiment.presets import read_preset
from skinmtl.experiment.results import figures_table
from skinmtl.layers.param_str import read_param_str, settings_text
from skinmtl.layers.region_settings import REGION_SETTINGS
from skinmtl.layers.settings import read_settings
from skinmtl.nets.label_names import read_label_names
from skinmtl.nets.net_record import FORMAT, differs, read_net_record
from skinmtl.publishing.label_rows import label_rows
from skinmtl.publishing.metrics_files import FIGURES, read_metrics
from skinmtl.publishing.model_folder import FORMAT as MODEL_FORMAT
from skinmtl.publishing.model_folder import LABELS, read_labels, read_model_folder
from skinmtl.report.errors import thresholds_of
from skinmtl.report.runs import _json, flattened
from skinmtl.scores.calibration_file import FORMAT as CALIBRATION_FORMAT
from skinmtl.scores.calibration_file import calibrated, fitted_on, read_calibration
from skinmtl.scores.resumable import resumable_rows
from skinmtl.scores.scores_file import Scores
from skinmtl.training import snapshots, trained_net
from skinmtl.training.run_folder import RunFolder
from skinmtl.training.trained_images import of_run

DIGEST = {"records": 3, "sha256": "a", "sample_sha256": "b", "bytes": 8192, "pages": 2, "last_transaction": 1}
DATASET = {
    **{"n_images": 3, "n_records": 3, "copies": 1, "short_side": [72, 72], "manifest": "../m.csv", "images": "../i"},
    **{"lesion_names": ["a", "b"], "location_names": ["c"], "images_per_lesion": [1, 2], "images_per_location": [3]},
    **{"lmdbs": dict.fromkeys(LMDB_NAMES, DIGEST), "records_sha256": "c", "arguments": {"subset": "train"}},
}
NET = {
    **{"format": FORMAT, "model": "m", "trunk": "t", "crop": 64, "short_side": 72, "scales": [72, 72]},
    **{"mean": [1, 2.5, 3], "outputs": {"lesion": 2, "location": 1}, "lesion_names": ["a", "b"]},
    **{"location_names": ["c"], "features_blob": "pool5", "maps_blob": "res5c", "made_by": "x"},
}
ARGS = {
    "arguments": {"net": "net"},
    "versions": {"caffe": "1.0"},
    "settings": {"max_iter": 9, "batch_size": 2, "iter_size": 1, "base_lr": 0.1, "seed": 1, "engine": "caffe"},
    "data": {"training": "train", "validation": "v"},
    "sha256": {"train.prototxt": "a", "test.prototxt": "b"},
    "layers": {"filled": ["a"], "initial": ["b"], "unused": []},
    "engines": [{"from_iteration": 0, "engine": "caffe 1.0", "precision": "fp32"}],
    "best": {"iteration": 4, "sha256": "c", "error": 0.5},
}
METRICS = {
    **{"n_images": 3, "protocol": {"arguments": {"fold": 0, "subset": "test", "manifest": "m"}, "weights_sha256": "a"}},
    **{"average_precision": {"a": 0.5, "b": None}, "support": {"a": 2, "b": 0}, **dict.fromkeys(FIGURES, 0.5)},
    **{"intervals": {"map_class": [0.1, 0.9]}, "bootstrap": {"level": 0.95, "resamples": 99, "n_groups": 3}},
    **{"chance_map_class": 0.2},
    "of_lesions": {"a": {"n_positive": 2, "prevalence": 0.7, "auroc": 0.9, "threshold": 0.1, "ppv": None}},
    "thresholds": {"rule": "f1", "chosen_on": "validation images", "n_images": 9},
    "calibration": {"fitted_on": "validation images"},
}
CALIBRATION = {
    **{"format": CALIBRATION_FORMAT, "fitted_on": "validation images", "n_images": 100, "weights": "a"},
    **{"same": {"crops": 10, "mean": [1, 2, 3]}, "scores_sha256": "b", "images": ["0.jpg"]},
    "heads": {
        "lesion": {"kind": "sigmoid", "method": "platt", "names": ["a", "b"], "slopes": [1, 0.5], "offsets": [0, 0.1]}
    },
}
MODEL = {
    **{"format": MODEL_FORMAT, "name": "m", "short_side": 72, "crop": 64, "crops": 10, "mean": [1, 2, 3]},
    **{"outputs": {"lesion_prob": 2}, "sha256": {"deploy.prototxt": "a"}},
}


YAML = 0.1  # of the cases: a file of one's own, which PyYAML takes 10 to 20 ms to read


def encoded(*values):
    return [json.dumps(value).encode() for value in values]


def test_dataset_json(fuzzer):
    def read(path):
        summary = read_summary(path.parent)
        min(summary["n_images"], summary["copies"], *summary["short_side"])
        "".join([*summary["lesion_names"], *summary["location_names"]])

    fuzzer.run("dataset.json", read, encoded(DATASET), mutated_json)


def test_net_json_and_labels_json(fuzzer):
    def read(path):
        made = read_net_record(path.parent)
        sum(made.mean) + made.crop
        read_label_names(path.parent)
        differs(json.dumps(NET), path)

    fuzzer.run("net.json", read, encoded(NET), mutated_json)
    (fuzzer.folder / "net.json").unlink()
    older = {"lesion_names": ["a", "b"], "location_names": ["c"]}
    fuzzer.run("labels.json", lambda path: read_label_names(path.parent), encoded(older), mutated_json)


def test_args_json(fuzzer):
    (fuzzer.folder / "net").mkdir()
    (fuzzer.folder / "net" / "deploy.prototxt").write_text("name: 'n'")
    (fuzzer.folder / "final.caffemodel").write_bytes(b"")
    seed = {**ARGS, "arguments": {"net": str(fuzzer.folder / "net")}}

    def read(path):
        folder = RunFolder(path.parent)
        folder.difference(ARGS)
        folder.difference({**ARGS, "settings": {**ARGS["settings"], "max_iter": 1}})
        folder.engines()
        folder.note_best({"iteration": 4})
        trained_net.of_run(path.parent)
        list(flattened(_json(path)))

    fuzzer.run("args.json", read, encoded(seed), mutated_json)


def test_what_a_net_was_trained_on(fuzzer):
    seed = TrainedOn({role: [Known("a", 3, "b"), Known("c", -1, "")] for role in ROLES}, ["g"], "none")

    def read(path):
        found = read_trained_on(path)
        found.text(), found.for_publishing(), seen(found, [Image(None, b"x", "a.jpg", "p")])

    fuzzer.run("trained_on.json", read, [seed.text().encode()], mutated_json)


def test_the_record_of_a_run_that_says_where_its_data_are(fuzzer):
    (fuzzer.folder / "train").mkdir()
    (fuzzer.folder / "train" / "records.csv").write_text("key,image\n0,a.jpg\n")
    seed = {**ARGS, "data": dict.fromkeys(("training", "validation"), str(fuzzer.folder / "train"))}
    seed["arguments"] = {"weights": ["w.caffemodel"]}
    fuzzer.run("args.json", lambda path: of_run(path.parent), encoded(seed), mutated_json, named=("trained_on.json",))


def test_the_record_of_what_was_seen(fuzzer):
    seen_images = {"images": 3, "trained": 1, "watched": 0, "same_name": 0, "same_group": 1, "compared": "names"}
    one = {"file": "s.npz", "protocol": {"trained_on": seen_images}}

    def read(path):
        said = json_value(path.read_bytes().decode("utf-8", "replace"))
        marks(said), n_trained(said)

    fuzzer.run("protocol.json", read, encoded({"sources": [one, one]}, one["protocol"]), mutated_json)


def test_the_record_of_a_snapshot(fuzzer):
    files = {suffix: {"size": 1, "sha256": snapshots.sha256(_file(fuzzer.folder, suffix))} for suffix in snapshots_of()}
    record = {"iteration": 4, "files": files, "plateau": {"ended": False}}

    def read(path):
        for path in path.parent.glob("*.json"):  # noqa: B020
            snapshots.last_whole(path.parent)
            snapshots.whole_at(path.parent, 4)

    fuzzer.run("n_iter_4.json", read, encoded(record), mutated_json)


def snapshots_of():
    return (snapshots.MODEL, snapshots.STATE)


def _file(folder: Path, suffix: str) -> Path:
    path = folder / f"n_iter_4{suffix}"
    path.write_bytes(b"x")
    return path


def test_metrics(fuzzer):
    def read(path):
        for metrics in read_metrics([path], path):
            metrics.subset, [metrics.interval(name) for name in FIGURES]
            label_rows([replace(metrics, of_these_weights=True)])

    fuzzer.run("metrics.json", read, encoded(METRICS), mutated_json)


def test_thresholds_in_metrics(fuzzer):
    arrays = {"lesion_scores": np.eye(2, dtype=np.float32), "lesion_labels": np.eye(2), "lesion_names": ["a", "b"]}
    scores = Scores(["0.jpg", "1.jpg"], {"weights_sha256": "a"}, **arrays)
    of_lesions = {"a": {"threshold": 0.25}, "b": {"threshold": None}}
    said = {"rule": "youden", "chosen_on": "validation images"}
    metrics = {"thresholds": said, "calibration": None, "protocol": {"weights_sha256": "a"}, "of_lesions": of_lesions}
    fuzzer.run("metrics.json", lambda path: thresholds_of(path, scores), encoded(metrics), mutated_json)


def test_a_calibration(fuzzer):
    probabilities = np.array([[0.25, 1], [0, 0.5]], np.float32)
    arrays = {"lesion_scores": probabilities, "lesion_labels": np.eye(2), "lesion_names": ["a", "b"]}
    scores = Scores(["0.jpg", "1.jpg"], {"weights_sha256": "a", "crops": 10, "mean": [1, 2, 3]}, **arrays)

    def read(path):
        found = read_calibration(path)
        found.words(), found.record(), fitted_on(scores, found)
        after = calibrated(path, scores, path, found).lesion_scores
        assert ((after >= 0) & (after <= 1)).all()

    fuzzer.run("calibration.json", read, encoded(CALIBRATION), mutated_json)


def test_metrics_at_the_end_of_a_run(fuzzer):
    folder = fuzzer.folder / "fold0" / "m"
    folder.mkdir(parents=True)

    def read(path):
        path.rename(folder / "metrics.json")
        figures_table(fuzzer.folder, (0,), ("m",))
        path.write_bytes(b"")

    fuzzer.run("metrics.json", read, encoded(METRICS), mutated_json)


def test_a_model_folder(fuzzer):
    (fuzzer.folder / "deploy.prototxt").write_text("name: 'n'")
    (fuzzer.folder / "weights.caffemodel").write_bytes(b"x")
    (fuzzer.folder / LABELS["lesion"]).write_text("a\nb\n")
    sums = {path.name: snapshots.sha256(path) for path in fuzzer.folder.iterdir()}
    fuzzer.run(
        *("model.json", lambda path: read_model_folder(path.parent), encoded({**MODEL, "sha256": sums}), mutated_json),
        named=("lesions.txt", "weights.caffemodel", "deploy.prototxt"),
    )


@pytest.mark.parametrize("mutate", [mutated_bytes, mutated_lines])
def test_a_list_of_labels(fuzzer, mutate):
    fuzzer.run("lesions.txt", read_labels, ["naevus\nmelanoma\nSchorf ü\n".encode()], mutate)


def test_the_record_of_a_folder(fuzzer):
    (fuzzer.folder / "made").mkdir()

    def read(path):
        path.rename(fuzzer.folder / "made" / MADE)
        try:
            check_made(fuzzer.folder / "made")
        except InputError as error:
            raise InputError(str(error).replace("made:", f"{MADE}:")) from None
        finally:
            path.write_bytes(b"")

    fuzzer.run(MADE, read, encoded({"files": ["x"]}), mutated_json)


def test_the_settings_of_a_layer(fuzzer):
    seed = {"source": "s", "batch_size": 4, "crop": 32, "scales": [34, 40], "mean": [0, 1.5, 3], "seed": 5}

    def read(path):
        try:
            text = path.read_bytes().decode("utf-8")
        except UnicodeDecodeError:
            return
        settings_text(read_settings(text, str(path)))

    fuzzer.run("param_str", read, encoded({**seed, "start": 3, "workers": None, "prefetch": 2}), mutated_json)


@pytest.mark.parametrize("layer", ["AnchorTargets", "ProposalTargets", "RoIAlign", "DetectionOutput"])
def test_the_settings_of_a_layer_of_regions(fuzzer, layer):
    seeds = {
        "AnchorTargets": {
            "side": 64,
            "scales": [9, 20.5],
            "strides": [8, 16],
            "positive": 0.6,
            "normaliser": "sampled",
        },
        "ProposalTargets": {"classes": 2, "rois": 20, "positive_share": 0.4, "add_boxes": False},
        "RoIAlign": {"pooled": 7, "strides": [4, 8], "levels": "floor", "canonical": 56},
        "DetectionOutput": {"classes": 3, "heads": ["class", "mask"], "nms": 0.4},
    }

    def read(path):
        try:
            text = path.read_bytes().decode("utf-8")
        except UnicodeDecodeError:
            return
        settings_text(read_param_str(REGION_SETTINGS[layer], text, str(path)))

    fuzzer.run("param_str", read, encoded(seeds[layer]), mutated_json)


def test_what_lies_beside_converted_weights(fuzzer):
    net = {"stride_on": "1x1", "pool1": "padded", "mean": [1, 2, 3]}
    fuzzer.run(
        "w.caffemodel.json",
        lambda path: nets._flags_for(path.with_suffix("")),
        encoded({"net": net, "sha256": "a"}),
        mutated_json,
    )


def test_a_preset(fuzzer):
    pytest.importorskip("yaml")
    (fuzzer.folder / "s.prototxt").write_text("base_lr: 1")
    preset = b"about: a test\nshort_side: 72\nscales: [72, 72]\nmodels:\n  m: {solver: s.prototxt, net: --crop 64}\n"
    preset += b"  n:\n    solver: s.prototxt\nusual_models: [m]\nneeds: [gpu]\n"
    fuzzer.run("p.yaml", lambda path: read_preset(str(path)), [preset], mutated_lines, share=YAML)


def test_the_configuration_of_before(fuzzer):
    pytest.importorskip("yaml")
    made = b"out: /a\nfolds: 5\nmodels:\n  m: {solver: s, net: '--crop 64'}\nmade_by: {a: {b: 1}}\nscales:\n- 1\n- 2\n"

    def read(path):
        configuration.differences(SimpleNamespace(out=path.parent, values={"folds": 5}, models=(), solvers=dict))

    fuzzer.run("config.yaml", read, [made], mutated_lines, share=YAML)


def test_rows_that_a_stopped_run_has_kept(fuzzer):
    items, made_from = [["a.jpg", "1"], ["b.jpg", "2"]], {"weights": "w"}
    header = json.dumps({"made_from": made_from, "items": items}).encode()

    def read(path):
        path.rename(fuzzer.folder / ".s.npz.progress")
        with resumable_rows(fuzzer.folder / "s.npz", made_from, items, 3) as rows:
            assert all(row.shape == (3,) for row in rows.done)

    def mutate(chance, data):
        if chance.random() < 0.5:
            return mutated_bytes(chance, data)
        changed = mutated_value(chance, {"made_from": made_from, "items": items})
        return json.dumps(changed).encode() + b"\n" + data.partition(b"\n")[2]

    fuzzer.run("progress", read, [header + b"\n" + np.ones((2, 3), np.float32).tobytes()], mutate)


def test_deep_nesting_is_said_and_no_recursion(tmp_path):
    """A list in a list in a list..., deeper than Python follows."""
    (tmp_path / "dataset.json").write_text("[" * 100_000)
    with pytest.raises(InputError, match=r"dataset.json: not JSON; build the LMDBs again"):
        read_summary(tmp_path)
    (tmp_path / "args.json").write_text('{"settings": ' + '{"a":' * 50_000)
    with pytest.raises(InputError, match=r"args.json: not JSON; train anew"):
        RunFolder(tmp_path).read_args()


def test_a_case_can_be_had_again():
    one, other = (mutated_json(random.Random("net.json 7"), encoded(NET)[0]) for _ in range(2))
    assert one == other
