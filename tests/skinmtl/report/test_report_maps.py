"""The report says whether the maps lie on the lesions, from the file of evaluate_maps.py."""

from __future__ import annotations

import json

import numpy as np
import pytest
from made_experiment import made_experiment

from caffe_files.errors import InputError
from skinmtl.explanation.map_evaluation import LEVEL, Measured, figures_of
from skinmtl.report.attention_maps import read_maps
from skinmtl.report.paper import BUNDLED
from skinmtl.report.write import Settings, write_report


def found_maps():
    """Of twenty pictures: the lesion's maps are noise, those of its one label are the masks."""
    random, whole, label = np.random.RandomState(1), Measured(), Measured()
    for number in range(20):
        mask = np.zeros((12, 16), bool)
        mask[2 + number % 3 : 7, 4:9] = True
        whole.add(f"p{number}", random.rand(12, 16), mask)
        label.add(f"p{number}", mask * 1.0, mask)
    of_whole, of_label = figures_of([whole, label], 50, 1)
    made = {"resamples": 50, "seed": 1, "level": LEVEL}
    heads = {"lesion": {**of_whole, "by_label": {"cyst <b>": of_label}}}
    attention = [{"file": "a", "sha256": "b", "protocol": {"says": "how they were made"}}]
    return {"heads": heads, "left_out": {"x.jpg": "has no mask"}, "bootstrap": made, "attention": attention}


def test_the_page_has_the_figures_the_verdicts_and_what_was_left_out(tmp_path):
    made = made_experiment(tmp_path, ["cyst", "scar"], ["face", "arm"], n=12)
    settings = Settings(20, 1, BUNDLED, require_complete=False)
    write_report(made.path, made.manifest, tmp_path / "without", settings, {})
    assert "Do the maps lie on the lesion?" not in (tmp_path / "without" / "index.html").read_text(encoding="utf-8")
    (made.path / "maps.json").write_text(json.dumps(found_maps()))
    write_report(made.path, made.manifest, tmp_path / "report", settings, {})
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "Do the maps lie on the lesion?" in page
    assert "lesion maps, evidence inside the mask: is worse than a Gaussian in the middle" in page
    assert "better for cyst &lt;b&gt;" in page
    assert "left out: 1 images: has no mask" in page
    assert "how they were made" in page
    assert json.loads((tmp_path / "report" / "maps.json").read_text()) == found_maps()


@pytest.mark.parametrize("wrong", ["{}", "[1]", '{"heads": {"lesion": {}}, "attention": []}', "nothing"])
def test_a_file_that_is_another_is_refused(tmp_path, wrong):
    (tmp_path / "maps.json").write_text(wrong)
    with pytest.raises(InputError, match=r"maps\.json.*make it again with tools/evaluate_maps\.py"):
        read_maps(tmp_path / "maps.json")
    assert read_maps(tmp_path / "none.json") is None
