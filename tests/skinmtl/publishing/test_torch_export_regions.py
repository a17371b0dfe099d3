"""Nets that draw lesions as ONNX: onnxruntime gives what the engine gives, detections, masks and heads."""

from __future__ import annotations

import json

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="onnx is not installed here: make torch")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed here: make torch")
pytest.importorskip("torch")

from made_masks_model import MaskModel
from made_model import request

from caffe_files.errors import InputError
from skinmtl.engines.engine import Engine
from skinmtl.publishing import onnx_check
from skinmtl.publishing.exporting import export
from skinmtl.publishing.onnx_check import drawn_images

pytestmark = pytest.mark.torch
TORCH = Engine("torch")


def exported(model, out, **changes):
    told = export(request(model, engine=TORCH, short_side=None, onnx=True, **changes), out, {})
    session = onnxruntime.InferenceSession(str(out / "model.onnx"), providers=["CPUExecutionProvider"])
    return told, session


def compared(model, session, data, window):
    """The outputs of both by name."""
    names = [output.name for output in session.get_outputs()]
    inputs = {"data": data, "window": window}
    found = dict(zip(names, session.run(names, inputs)))
    expected = dict(zip(names, map(np.array, TORCH.open(model.deploy, model.weights).forward(inputs, names))))
    return found, expected


def in_one_order(detections, masks=None):
    """Rows with their masks, sorted by their contents: equal scores may come in another order."""
    rows = np.round(detections[0].astype(np.float64), 2)
    order = np.lexsort(rows.T[::-1])
    return detections[0][order], None if masks is None else masks[order]


OPTIONS = {
    "all": {},
    "another seed": {"seed_of_weights": 5},
    "a third seed": {"seed_of_weights": 8},
    "class": {"heads": ("class",)},
    "box": {"heads": ("box",)},
    "mask": {"heads": ("mask",)},
    "one row": {"detections": 1},
    "heads beside": {"also": ("lesion", "location")},
    "levels by floor, small masks": {"levels": "floor", "mask_pooling": 7},
    "without P6": {"p6": False, "scales": (8.0, 16.0, 32.0, 64.0)},
    "one class": {"lesions": 1, "known": ["lesion"]},
}


@pytest.fixture(scope="module", params=OPTIONS, ids=list(OPTIONS))
def case(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("onnx")
    options = dict(OPTIONS[request.param])
    seed, known = options.pop("seed_of_weights", 1), options.pop("known", None)
    model = MaskModel(folder / "net", seed, known, **options)
    _, session = exported(model, folder / "model")
    return model, session


def test_every_row_every_mask_and_every_head(case):
    model, session = case
    for data, window in drawn_images(64, 4):
        found, expected = compared(model, session, data, window)
        assert set(found) == set(expected)
        rows, masks = in_one_order(found.pop("detections"), found.pop("detection_masks", None))
        wanted, wanted_masks = in_one_order(expected.pop("detections"), expected.pop("detection_masks", None))
        np.testing.assert_allclose(rows, wanted, atol=2e-3)
        if masks is not None:
            np.testing.assert_allclose(masks, wanted_masks, atol=1e-3)
        for name in found:
            np.testing.assert_allclose(found[name], expected[name], atol=1e-5)


def test_an_image_without_a_proposal_has_its_window(case):
    model, session = case
    data, _ = drawn_images(64, 1)[0]
    found, expected = compared(model, session, data, np.array([[9, 9, 9, 9]], np.float32))
    np.testing.assert_allclose(found["detections"], expected["detections"], atol=1e-5)
    assert found["detections"][0, 0, :7].tolist() == [9, 9, 9, 9, 1, 0, 0]


def test_both_kinds_of_answer_were_among_them(tmp_path):
    """A lesion that is detected and one that is not: the likeliest place."""
    kinds = set()
    for seed in (1, 5, 8):
        model = MaskModel(tmp_path / str(seed), seed)
        opened = TORCH.open(model.deploy, model.weights)
        for data, window in drawn_images(64, 4):
            (detections,) = opened.forward({"data": data, "window": window}, ["detections"])
            kinds.add(float(detections[0, 0, 6]))
    assert kinds == {0.0, 1.0}


def test_the_file_says_what_it_is(tmp_path):
    model = MaskModel(tmp_path / "net", also=("lesion",))
    told, session = exported(model, tmp_path / "model")
    assert told[1].startswith("model.onnx: opset 16, checked by onnx.checker; onnxruntime ")
    assert " on 3 drawn images: at most " in told[1]
    assert {each.name: each.shape for each in session.get_inputs()} == {"data": [1, 3, 64, 64], "window": [1, 4]}
    shapes = {each.name: each.shape for each in session.get_outputs()}
    assert shapes == {"detections": [1, 10, 9], "detection_masks": [10, 3, 28, 28], "lesion_prob": [1, 2]}
    properties = {each.key: each.value for each in onnx.load(str(tmp_path / "model" / "model.onnx")).metadata_props}
    assert json.loads(properties["class_names"]) == ["benign", "malignant"]
    kinds = {node.op_type for node in onnx.load(str(tmp_path / "model" / "model.onnx")).graph.node}
    assert {"RoiAlign", "NonMaxSuppression", "TopK"} <= kinds
    assert "opset 16" in (tmp_path / "model" / "README.md").read_text()


def test_a_file_that_differs_leaves_no_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_check, "TOLERANCE", -1.0)
    with pytest.raises(InputError, match=r"model\.onnx: onnxruntime's answers differ by"):
        exported(MaskModel(tmp_path / "net"), tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_the_weights_as_a_state_dict(tmp_path):
    import torch

    model = MaskModel(tmp_path / "net")
    export(request(model, engine=TORCH, short_side=None, state_dict="pth"), tmp_path / "model", {})
    tensors = torch.load(str(tmp_path / "model" / "weights.pth"), weights_only=True)
    opened = TORCH.open(model.deploy, model.weights)
    for layer in ("mask_deconv", "roi_fc6", "fpn_lateral5"):
        np.testing.assert_array_equal(tensors[f"{layer}.weight"].numpy().ravel(), opened.parameters(layer)[0].ravel())
