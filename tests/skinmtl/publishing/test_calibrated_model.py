"""A calibration in the model folder: put there by export.py, used by predict.py, told by the card."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from made_model import ENGINE, NAMES, SHORT_SIDE, request, write_small_net
from worked_example import UNSEEN

from caffe_files.errors import InputError
from caffe_files.prototxt import read_net
from skinmtl.common.provenance import sha256
from skinmtl.data.manifest import read_manifest
from skinmtl.data.subgroups import Subgroups
from skinmtl.publishing.calibrations import CALIBRATION
from skinmtl.publishing.card import Facts, card
from skinmtl.publishing.exporting import export
from skinmtl.publishing.metrics_files import read_metrics
from skinmtl.publishing.model_folder import read_model_folder
from skinmtl.publishing.photographs import gather
from skinmtl.publishing.predicting import Predictor, predict
from skinmtl.scores.calibrating import calibrate
from skinmtl.scores.calibration_file import read_calibration
from skinmtl.scores.called import Rule
from skinmtl.scores.evaluating import Plan, Resampling, evaluated
from skinmtl.scores.forward import Protocol
from skinmtl.scores.scores_file import Scores, write_scores
from skinmtl.scores.scoring import score

pytest_plugins = ["made_model_fixtures"]


def small_scores(net, n=150, seed=0, first=0, subset="validation", **protocol):
    """What score.py would say of `n` images by the small net, if these were there."""
    random = np.random.RandomState(seed)
    lesions = random.random_sample((n, 3)) < 0.4
    places = random.randint(0, 4, n)
    exponents = np.exp(2 * np.eye(4)[places] + 2 * random.standard_normal((n, 4)))
    return Scores(
        image=[f"{number}.jpg" for number in range(first, first + n)],
        protocol={
            **{"weights_sha256": sha256(net.weights), "short_side": SHORT_SIDE, "crop": 32, "crops": 10},
            **{"mean": [104.0, 116.5, 122.75], "arguments": {"fold": 0, "subset": subset, "manifest": "m.csv"}},
            "trained_on": {**UNSEEN, "images": n},
            **protocol,
        },
        lesion_scores=(1 / (1 + np.exp(2 - 3 * lesions - 2 * random.standard_normal((n, 3))))).astype(np.float32),
        lesion_labels=lesions.astype(np.uint8),
        lesion_names=list(NAMES["lesion"]),
        location_scores=(exponents / exponents.sum(axis=1, keepdims=True)).astype(np.float32),
        location_labels=places,
        location_names=list(NAMES["location"]),
    )


@pytest.fixture
def net(tmp_path):
    return write_small_net(tmp_path / "net")


@pytest.fixture
def calibration(net, tmp_path):
    write_scores(tmp_path / "v.npz", small_scores(net))
    calibrate(tmp_path / "v.npz", "temperature", tmp_path / "c.json", {})
    return tmp_path / "c.json"


@pytest.mark.caffe
def test_predict_tells_calibrated_probabilities(tool, net, calibration, photographs, tmp_path):
    out = tmp_path / "model"
    given = ("--deploy", net.deploy, "--weights", net.weights, "--short-side", SHORT_SIDE, "--calibration", calibration)
    done = tool("export.py", *given, "--out", out)
    assert done.returncode == 0, done.stderr
    assert "0.jpg" not in (out / CALIBRATION).read_text(), "names of images stay at home"
    model = read_model_folder(out)
    assert model.calibration == read_calibration(calibration) and model.calibration.images == ()
    protocol = Protocol(model.short_side, model.mean, 10, ENGINE, 1)
    files = (model.deploy, model.weights, read_manifest(photographs.manifest), photographs.images)
    raw = score(*files, protocol, tmp_path / "s.npz", {})
    items, _ = gather([str(photographs.images / name) for name in photographs.names], None)
    for attends in (False, True):
        overlays = tmp_path / "overlays" if attends else None
        told = list(predict(Predictor(model, protocol, attends), items, overlays, {}))
        for row, prediction in enumerate(told):
            for head in ("lesion", "location"):
                wanted = model.calibration.heads[head].apply(getattr(raw, f"{head}_scores")[row])
                assert np.abs(wanted - getattr(raw, f"{head}_scores")[row]).max() > 0.01
                np.testing.assert_allclose(prediction.probabilities[head], wanted, atol=1e-5)
    image = photographs.images / photographs.names[0]
    done = tool("predict.py", "--model-folder", out, image, "--json-lines", "-", "--crops", 1)
    assert json.loads(done.stdout)["model"]["calibration"] == model.calibration.words()
    told = f"{out}: probabilities are calibrated ({model.calibration.words()}), fitted on 150 validation images\n"
    assert done.stderr.count(told) == 1, "the screen says it too"
    assert "its probabilities were calibrated for 10 crops, not for 1" in done.stderr
    (out / CALIBRATION).write_text((out / CALIBRATION).read_text().replace("temperature", "platt"))
    with pytest.raises(InputError, match=r"calibration\.json: its sha256 is not the one in model\.json"):
        read_model_folder(out)


@pytest.mark.caffe
@pytest.mark.parametrize(
    "change, words",
    [
        ({"subset": "test"}, "was fitted on the test images, so that no figure of them would be true"),
        ({"weights_sha256": "b" * 64}, "is of other weights"),
        ({"short_side": 50}, "is of a short_side of 50, the model's is 40"),
        ({"mean": [1.0, 2.0, 3.0]}, "is of a mean of"),
        ({"crops": None}, "is of a crops of None"),
    ],
)
def test_a_calibration_of_something_else_is_refused(net, tmp_path, change, words):
    write_scores(tmp_path / "v.npz", small_scores(net, **change))
    calibrate(tmp_path / "v.npz", "temperature", tmp_path / "c.json", {})
    asked = replace(request(net), calibration=tmp_path / "c.json", short_side=SHORT_SIDE)
    with pytest.raises(InputError, match=words):
        export(asked, tmp_path / "out", {})
    assert not (tmp_path / "out").exists()


@pytest.mark.caffe
def test_a_calibration_of_other_labels_is_refused(net, tmp_path):
    scores = small_scores(net)
    scores.lesion_names[0] = "wart"
    write_scores(tmp_path / "v.npz", scores)
    calibrate(tmp_path / "v.npz", "temperature", tmp_path / "c.json", {})
    with pytest.raises(InputError, match="its labels are not those of the net"):
        export(replace(request(net), calibration=tmp_path / "c.json"), tmp_path / "out", {})


@pytest.mark.caffe
def test_metrics_of_other_probabilities_than_the_folders_are_told(net, calibration, tmp_path):
    for name, used, given, words in (
        ("raw", None, calibration, "has figures of uncalibrated probabilities, of .*; give evaluate.py --calibration"),
        (
            "calibrated",
            calibration,
            None,
            "has figures of calibrated probabilities, of .*; give export.py --calibration",
        ),
        ("both", calibration, calibration, None),
    ):
        TestCard().metrics(net, tmp_path / f"{name}.json", lambda scores, used=used: Plan(calibration=used))
        asked = request(net, metrics=[tmp_path / f"{name}.json"], calibration=given)
        told = "\n".join(export(asked, tmp_path / name, {}))
        assert bool(re.search(words, told)) if words else "has figures of" not in told


class TestCard:
    def facts(self, net, metrics, **changes):
        record = {"name": "small", "net": "small", "mean": [1, 2, 3], "short_side": 40, "crop": 32, "crops": 10}
        known = dict(manifest=None, train_data=None, settings=None, licence=None, files={}, labels=NAMES)
        of_net = {"net": read_net(net.deploy), "record": {**record, "input": "", "outputs": {}}}
        return Facts(metrics=metrics, **{**known, **of_net, **changes})

    def metrics(self, net, path, plan, **protocol):
        """As evaluate.py writes them."""
        scores = small_scores(net, 200, 1, 500, "test", **protocol)
        write_scores(path.with_suffix(".npz"), scores)
        figures = evaluated(path.with_suffix(".npz"), scores, None, plan(scores))
        path.write_text(json.dumps({**figures, "protocol": scores.protocol}))
        return figures

    def test_has_each_labels_figures_and_how_the_probabilities_were_calibrated(self, net, calibration, tmp_path):
        def plan(scores):
            return Plan(Resampling(scores.image, 40, 1, 0.95), Rule("youden"), tmp_path / "v.npz", calibration)

        figures = self.metrics(net, tmp_path / "m.json", plan)
        found = read_calibration(calibration)
        text = card(self.facts(net, read_metrics([tmp_path / "m.json"], net.weights), calibration=found))
        of_label, ends = figures["of_lesions"]["crust"], figures["intervals"]["of_lesions"]["crust"]["auroc"]
        assert "| lesion | positives | prevalence | average precision | AUROC | partial AUC | Brier | ECE |" in text
        rows = [line for line in text.splitlines() if line.startswith("| crust |")]
        assert any(f"| {of_label['auroc']:.3f} [{ends[0]:.3f}, {ends[1]:.3f}] |" in row for row in rows)
        assert any(f"| {of_label['threshold']:.3f} | {of_label['sensitivity']:.3f} [" in row for row in rows)
        assert "| location | positives | prevalence | threshold | sensitivity | specificity | PPV | NPV |" in text
        assert "Thresholds: youden, chosen on 150 validation images." in text
        assert f"| fold 0, test; calibrated probabilities | 200 | {figures['map_class']:.3f} [" in text
        assert f"; by chance {figures['chance_map_class']:.3f} |" in text
        assert f"calibrated probabilities ({found.words()}), fitted on 150 validation images" in text
        assert "not calibrated: 0.9 need not" not in text and "\n\n\n" not in text

    def test_without_one_says_that_they_are_not_calibrated(self, net, tmp_path):
        self.metrics(net, tmp_path / "m.json", lambda scores: Plan())
        text = card(self.facts(net, read_metrics([tmp_path / "m.json"], net.weights)))
        assert "not calibrated: 0.9 need not mean nine in ten" in text
        assert "threshold | sensitivity" not in text and "AUROC" in text

    def test_a_figure_without_an_interval_says_why(self, net, tmp_path):
        groups = [str(number % 5) for number in range(200)]
        self.metrics(net, tmp_path / "m.json", lambda scores: Plan(Resampling(groups, 20, 1, 0.95)))
        text = card(self.facts(net, read_metrics([tmp_path / "m.json"], net.weights)))
        assert text.count("[too few]") > 10

    def test_fills_the_items_of_guidelines_that_it_knows_and_leaves_the_others_open(self, net, tmp_path):
        women = np.arange(200) < 181
        subgroups = Subgroups("sex", ("f", "m|w"), (women, ~women))
        figures = self.metrics(net, tmp_path / "m.json", lambda scores: Plan(subgroups=subgroups))
        text = card(self.facts(net, read_metrics([tmp_path / "m.json"], net.weights)))
        filled, left = text.split("## What guidelines ask for")[1].split("## Licence")[0].split("Open, since")
        f, m = (f"{record['means']['map_class']:.3f}" for record in figures["subgroups"]["values"])
        told = f"mAP-class by sex: f {f} (181 images), m\\|w {m} (19 images, few)"
        assert f"| 14 | - | whether it serves some patients worse | {told} |" in filled
        assert "*Metrics*, no intervals" in filled and "probabilities, not calibrated; no threshold" in filled
        assert "trained on" not in filled, "not known here"
        assert "| 8a to 8c | 14 to 18 | who gave the labels" in left and "| 14 |" not in left

    def test_leaves_subgroups_open_where_there_are_none(self, net, tmp_path):
        self.metrics(net, tmp_path / "m.json", lambda scores: Plan())
        text = card(self.facts(net, read_metrics([tmp_path / "m.json"], net.weights)))
        assert "| 14 | - | whether it serves some patients worse |\n" in text.split("Open, since")[1]

    @pytest.mark.parametrize(
        "found", [1, {"values": 1}, {"values": [1]}, {"values": [{"means": {"map_class": "<b>"}}]}]
    )
    def test_says_nothing_of_subgroups_that_were_changed_by_hand(self, net, tmp_path, found):
        figures = self.metrics(net, tmp_path / "m.json", lambda scores: Plan())
        protocol = json.loads((tmp_path / "m.json").read_text())["protocol"]
        (tmp_path / "m.json").write_text(json.dumps({**figures, "protocol": protocol, "subgroups": found}))
        text = card(self.facts(net, read_metrics([tmp_path / "m.json"], net.weights)))
        assert "mAP-class by" not in text and "<b>" not in text

    def test_refuses_thresholds_and_calibrations_of_the_test_images(self, net, tmp_path):
        self.metrics(net, tmp_path / "m.json", lambda scores: Plan(rule=Rule("f1")))
        with pytest.raises(InputError, match=r"the thresholds were chosen on the test images: .* validation images"):
            read_metrics([tmp_path / "m.json"], net.weights)
        calibrate(tmp_path / "m.npz", "temperature", tmp_path / "own.json", {})
        self.metrics(net, tmp_path / "m.json", lambda scores: Plan(calibration=tmp_path / "own.json"))
        with pytest.raises(InputError, match="the calibration was fitted on the test images"):
            read_metrics([tmp_path / "m.json"], net.weights)

    @pytest.mark.parametrize(
        "change",
        [
            {"thresholds": "youden"},
            {"thresholds": {"rule": 1, "chosen_on": "b", "n_images": 2}},
            {"thresholds": {"rule": "a", "chosen_on": "b", "n_images": "2"}},
            {"calibration": [1]},
            {"of_lesions": [1]},
            {"of_lesions": {"crust": 1}},
            {"of_lesions": {"crust": {"n_positive": 1}}},
            {"of_locations": {"arm": {"n_positive": 1, "prevalence": 0.1, "auroc": "| high |"}}},
            {"chance_map_class": "low"},
            {"intervals": {"of_lesions": {"crust": {"auroc": [0.1]}}}, "bootstrap": dict.fromkeys("abc", 1)},
        ],
    )
    def test_metrics_that_were_changed_by_hand_are_refused(self, net, tmp_path, change):
        self.metrics(net, tmp_path / "m.json", lambda scores: Plan())
        figures = json.loads((tmp_path / "m.json").read_text())
        (tmp_path / "m.json").write_text(json.dumps({**figures, **change}))
        with pytest.raises(InputError, match=r"m\.json: not metrics"):
            read_metrics([tmp_path / "m.json"], net.weights)
