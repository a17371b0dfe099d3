"""Scores, features, attention and weights, damaged: they are read, or refused in a line that names the file."""

from __future__ import annotations

import io
import json

import numpy as np
from fuzzing import mutated_bytes, mutated_value
from fuzzing_formats import mutated_arrays

from skinmtl.explanation.attention_file import AttentionFile
from skinmtl.explanation.features_file import read_features
from skinmtl.explanation.novelty_file import FORMAT, read_novelty
from skinmtl.pretrained.checkpoint import read_checkpoint
from skinmtl.scores.external_file import read_external
from skinmtl.scores.scores_file import read_scores

PROTOCOL = {"short_side": 72, "mean": [1, 2, 3], "arguments": {"fold": 0}, "weights_sha256": "a", "net": "mtl"}
LABELLED = {
    "image": np.array(["a/1.jpg", "b/2.jpg"]),
    "lesion_labels": np.array([[1, 0], [0, 1]], np.uint8),
    "lesion_names": np.array(["naevus", "närbe"]),
    "location_labels": np.array([1, 0]),
    "location_names": np.array(["face", "trunk"]),
    "protocol": np.array(json.dumps(PROTOCOL)),
}
PROBABILITIES = np.array([[0.5, 0.25], [0, 1]], np.float32)
SCORES = {**LABELLED, "lesion_scores": PROBABILITIES, "location_scores": PROBABILITIES}
FEATURES = {**LABELLED, "features": np.arange(6, dtype=np.float32).reshape(2, 3)}
FITTED = {"format": FORMAT, "k": 1, "keep": 0.5, "fitted_on": "validation images", "n_groups": 2, "seed": 1}
NOVELTY = {
    "features": np.eye(2, 3).astype(np.float16),
    "training": np.array([0.5, 0.75], np.float32),
    "validation": np.array([0.5, 1], np.float32),
    "record": np.array(json.dumps({**FITTED, "protocol": {"blob": "pool5", "crops": 10, "weights_sha256": "a"}})),
}
ATTENTION = {
    **{"image": LABELLED["image"], "protocol": LABELLED["protocol"]},
    **{"lesion": np.array(["naevus;närbe", "naevus"]), "location": np.array(["face", "trunk"])},
    **{name: LABELLED[name] for name in ("lesion_names", "location_names")},
    **{"lesion_prob": PROBABILITIES, "location_prob": PROBABILITIES},
    **{"lesion_map_000000": np.ones((2, 3, 4), np.float32), "lesion_map_000001": np.ones((1, 3, 4), np.float32)},
    **{f"location_map_00000{row}": np.ones((1, 3, 4), np.float32) for row in range(2)},
}


def npz(arrays):
    made = io.BytesIO()
    np.savez(made, **arrays)
    return made.getvalue()


def test_scores(fuzzer):
    counts = fuzzer.run("s.npz", read_scores, [npz(SCORES)], mutated_arrays)
    assert min(counts.values()) > 0


def test_external_scores(fuzzer):
    renamed = {f"lesion_{part}": f"lesion_data_{part}" for part in ("labels", "names")}
    arrays = {renamed.get(name, name): array for name, array in LABELLED.items()}
    arrays.update(lesion_scores=PROBABILITIES, lesion_names=np.array(["MEL", "NV"]))
    arrays.update(location_data_labels=arrays.pop("location_labels"), location_data_names=arrays.pop("location_names"))
    counts = fuzzer.run("e.npz", read_external, [npz(arrays)], mutated_arrays)
    assert min(counts.values()) > 0


def test_features(fuzzer):
    counts = fuzzer.run("f.npz", read_features, [npz(FEATURES)], mutated_arrays)
    assert min(counts.values()) > 0


def test_novelty(fuzzer):
    def read(path):
        found = read_novelty(path)
        assert found.likeness(np.ones((10, found.reference.shape[1]), np.float32)).threshold >= 0
        assert found.words()

    counts = fuzzer.run("n.npz", read, [npz(NOVELTY)], mutated_arrays)
    assert min(counts.values()) > 0


def test_attention(fuzzer):
    def read(path):
        file = AttentionFile(path)
        for row in range(len(file.images)):
            for head in file.heads:
                found = file.read(row, head)
                assert found.shown.ndim == 2
                for label in found.labels:
                    file.probability(row, head, label)

    counts = fuzzer.run("attention.npz", read, [npz(ATTENTION)], mutated_arrays)
    assert min(counts.values()) > 0


def safetensors():
    header = {
        "fc.weight": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]},
        "fc.bias": {"dtype": "BF16", "shape": [2], "data_offsets": [16, 20]},
        "__metadata__": {"format": "pt"},
    }
    return header, np.arange(5, dtype="<f4").tobytes()


def test_safetensors(fuzzer):
    header, values = safetensors()

    def whole(header):
        raw = json.dumps(header).encode("utf-8", "surrogatepass")
        return len(raw).to_bytes(8, "little") + raw + values

    def mutate(chance, data):
        return mutated_bytes(chance, data) if chance.random() < 0.4 else whole(mutated_value(chance, header))

    counts = fuzzer.run("w.safetensors", read_checkpoint, [whole(header)], mutate)
    assert min(counts.values()) > 0
