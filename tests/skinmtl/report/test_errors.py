"""Pages of errors, and the list of their images: they say what the scores say, and every link leads somewhere."""

from __future__ import annotations

import csv
import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest
from made_experiment import made_experiment

from caffe_files.errors import InputError
from skinmtl.explanation.attention_file import HeadAttention, new_attention_file
from skinmtl.report.error_pages import ErrorPages
from skinmtl.report.errors import find_errors
from skinmtl.report.experiment import read_experiment
from skinmtl.report.paper import BUNDLED
from skinmtl.report.runs import runs
from skinmtl.report.write import Settings, write_report
from skinmtl.scores.scores_file import read_scores, write_scores
from skinmtl.scores.worst_images import KINDS, WITH, WITHOUT

LESIONS, LOCATIONS = ["<b>crust</b>", "naevus & co", "scar"], ["arm", "leg"]
HEADER = "query,rank,neighbour,distance,shared_lesion,shared_location\n"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An experiment of two folds with photographs, scores that are probabilities, and maps and neighbours of fold 0."""
    made = made_experiment(tmp_path_factory.mktemp("errors") / "data", LESIONS, LOCATIONS, n=40, folds=2)
    for path in sorted(made.path.glob("fold*/*/scores.npz")):
        scores = read_scores(path)
        if scores.lesion_scores is not None:
            write_scores(path, replace(scores, lesion_scores=scores.lesion_scores / 2))
    images = made.folder / "images"
    images.mkdir()
    for n, row in enumerate(made.manifest.rows):
        cv2.imwrite(str(images / row.image), np.full((60, 90, 3), 30 + 5 * n, np.uint8))
    folder = made.path / "fold0" / "resnet50_mtl"
    scores = read_scores(folder / "scores.npz")
    others = [row.image for row, fold in zip(made.manifest.rows, made.fold_of) if fold]
    (folder / "neighbours.csv").write_text(
        HEADER + "".join(f"{image},1,{others[n]},0.5,{n % 2},0\n" for n, image in enumerate(scores.image))
    )
    write_maps(folder / "error_maps", scores, scores.protocol["weights_sha256"])
    return made


def write_maps(folder, scores, weights):
    folder.mkdir()
    with new_attention_file(folder / "attention.npz") as file:
        for row, image in enumerate(scores.image):
            maps = np.random.RandomState(row).rand(3, 20, 30).astype(np.float32)
            lesions = HeadAttention(tuple(LESIONS), maps, np.array([0.01, 0.4, 0.9], np.float32))
            file.add(image, {"lesion": lesions, "location": HeadAttention(("arm",), maps[:1], np.ones(2, np.float32))})
        names = {"lesion": LESIONS, "location": LOCATIONS}
        file.finish(names, {"weights_sha256": weights, "says": "how they are made"})


@pytest.fixture()
def made(whole, tmp_path):
    shutil.copytree(str(whole.folder), str(tmp_path / "data"))
    manifest = replace(whole.manifest, path=tmp_path / "data" / "manifest.csv")
    return type(whole)(
        folder=tmp_path / "data", path=tmp_path / "data" / "experiment", manifest=manifest, fold_of=whole.fold_of
    )


def pages_of(made, out, images=True, each=4):
    """The errors, and text by page of what is written."""
    experiment = read_experiment(made.path, made.manifest)
    errors = find_errors(experiment, each)
    out.mkdir()
    of_model = {run.fold: run for run in runs(experiment) if run.model == errors.model}
    ErrorPages(out, experiment, errors, made.folder / "images" if images else None, [("seed", "1")], of_model).write()
    return errors, {path.name: path.read_text(encoding="utf-8") for path in (out / "errors").glob("*.html")}


class Links(HTMLParser):
    """What a page leads to and loads, its tags, and the text of its figures."""

    def __init__(self, html):
        super().__init__()
        self.targets, self.tags, self.without_alt = [], [], 0
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        of = dict(attributes)
        self.tags.append(tag)
        self.targets += [of[name] for name in ("href", "src") if name in of]
        self.without_alt += tag == "img" and not of.get("alt")


@pytest.fixture(scope="module")
def pages(whole, tmp_path_factory):
    out = tmp_path_factory.mktemp("pages") / "report"
    return (out, *pages_of(whole, out))


def test_every_lesion_and_every_image_has_a_page_and_every_link_and_picture_is_there(pages):
    out, errors, written = pages
    assert len(written) == len(LESIONS) + len(errors.images)
    (out / "index.html").touch()
    loaded = set()
    for name, text in written.items():
        links = Links(text)
        assert links.without_alt == 0 and "b" not in links.tags and "&lt;b&gt;crust&lt;/b&gt;" in text
        for target in links.targets:
            path = out / "errors" / target.partition("#")[0]
            assert path.exists(), (name, target)
            loaded.add(path.resolve())
    files = {path for path in (out / "errors").rglob("*") if path.is_file()}
    assert files <= loaded  # nothing is written that no page shows


def test_a_page_shows_each_image_with_its_score_and_true_labels_the_worst_first(pages):
    _, errors, written = pages
    for lesion in errors.lesions:
        text = written[f"lesion_{lesion.index:03d}.html"]
        for kind in KINDS:
            part = text[text.index(f'<section id="{kind}"') :].partition("</section>")[0]
            rows = lesion.worst[kind].rows.tolist()
            shown = [float(score) for score in re.findall(r'class="score">([\d.]+)<', part)]
            assert shown == pytest.approx(errors.scores.lesion_scores[rows, lesion.index], abs=6e-4)
            assert f"{len(rows)} of {lesion.worst[kind].among}." in part
            pictures = re.findall(r'href="image_(\d+).html"', part)
            assert [errors.images[int(number) - 1] for number in pictures] == rows
        if kind == WITHOUT:
            assert shown == sorted(shown, reverse=True)


def test_an_images_page_has_all_models_scores_its_maps_and_neighbours(pages, whole):
    _, errors, written = pages
    first = next(n for n, row in enumerate(errors.images) if errors.fold[row] == 0)
    text, row = written[f"image_{first + 1:04d}.html"], errors.images[first]
    image = errors.scores.image[row]
    for model in ("alexnet_lesion", "resnet50_lesion", "resnet50_mtl", "ensemble"):
        scores = read_scores(whole.path / "fold0" / model / "scores.npz")
        for value in scores.lesion_scores[scores.image.index(image)]:
            assert f"<td>{value:.3f}</td>" in text
    assert text.count("in grey, since the net all but excludes it") == 1 and "How they are made." in text
    assert 'alt="where the net sees arm"' in text and "distance 0.5" in text
    assert re.search("shares a lesion|shares none", text)
    other = next(n for n, row in enumerate(errors.images) if errors.fold[row] == 1)
    there = written[f"image_{other + 1:04d}.html"]
    assert "No maps were made of it" in there and "no neighbours.csv of this fold" in there


def test_a_map_of_what_the_net_excludes_has_no_colours(pages):
    out, _, written = pages
    page = next(text for text in written.values() if "all but excludes" in text)
    grey, coloured = (re.search(rf'src="(photographs/[^"]*)" alt="where the net sees {w}"', page) for w in (
        "&lt;b&gt;crust&lt;/b&gt;, in grey", "scar",
    ))  # fmt: skip
    for found, has_colours in ((grey, False), (coloured, True)):
        pixels = cv2.imread(str(out / "errors" / found.group(1))).astype(int)
        assert (np.ptp(pixels, axis=2).max() > 20) == has_colours


def test_without_photographs_there_is_no_picture_and_the_same_scores(whole, pages, tmp_path):
    _, _, with_them = pages
    _, written = pages_of(whole, tmp_path / "report", images=False)
    assert not list((tmp_path / "report").rglob("*.jpg"))
    for name, text in written.items():
        assert "<img" not in text and "photographs of patients" not in text
        assert "photographs of patients" in with_them[name]
        assert re.findall(r"<td>[\d.]+</td>", text) == re.findall(r"<td>[\d.]+</td>", with_them[name])


def test_maps_of_other_weights_are_left_out_and_it_is_said(made, tmp_path):
    shutil.rmtree(str(made.path / "fold0/resnet50_mtl/error_maps"))
    scores = read_scores(made.path / "fold0/resnet50_mtl/scores.npz")
    write_maps(made.path / "fold0/resnet50_mtl/maps", scores, "other")
    _, written = pages_of(made, tmp_path / "report")
    assert all("maps of other weights are not shown" in text for name, text in written.items() if "lesion" in name)
    assert not any("where the net sees" in text for text in written.values())


def test_a_photograph_that_is_gone_or_another_one_is_named(made, tmp_path):
    errors = find_errors(read_experiment(made.path, made.manifest), 4)
    image = made.folder / "images" / next(errors.scores.image[row] for row in errors.images if errors.fold[row] == 0)
    cv2.imwrite(str(image), np.zeros((90, 60, 3), np.uint8))
    with pytest.raises(InputError, match=f"{re.escape(str(image))}: has another shape now than its maps"):
        pages_of(made, tmp_path / "a")
    image.unlink()
    with pytest.raises(InputError, match=f"{re.escape(str(image))}: cannot be read .*or --no-photographs"):
        pages_of(made, tmp_path / "b")


def write_metrics(made, fold, chosen_on="validation images", weights=None, **more):
    path = made.path / f"fold{fold}" / "resnet50_mtl" / "metrics.json"
    scores = read_scores(path.with_name("scores.npz"))
    path.write_text(
        json.dumps(
            {
                "thresholds": {"rule": "youden", "chosen_on": chosen_on},
                "protocol": {**scores.protocol, **({} if weights is None else {"weights_sha256": weights})},
                "of_lesions": {name: {"threshold": None if name == "scar" else 0.3 + 0.1 * fold} for name in LESIONS},
                **more,
            }
        )
    )  # fmt: skip


def test_thresholds_chosen_on_validation_images_call_each_fold_at_its_own(made, tmp_path):
    for fold in (0, 1):
        write_metrics(made, fold)
    errors, written = pages_of(made, tmp_path / "report", images=False, each=40)
    first, second, scar = errors.lesions
    assert (errors.rule, first.called, second.called, scar.called) == ("youden", True, True, False)
    own = 0.3 + 0.1 * errors.fold
    values, has = errors.scores.lesion_scores[:, 0], errors.scores.lesion_labels[:, 0] != 0
    assert set(first.worst[WITHOUT].rows) == set(np.flatnonzero(~has & (values >= own)))
    assert set(first.worst[WITH].rows) == set(np.flatnonzero(has & (values < own)))
    assert "chosen on validation images (youden)" in written["lesion_000.html"]
    assert "Worst false positives: called naevus &amp; co" in written["lesion_001.html"]
    assert "No threshold was chosen for it on validation images" in written["lesion_002.html"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"chosen_on": "the test images"}, "they were chosen on the test images (fold 1)"),
        ({"weights": "other"}, "they are of other weights (fold 1)"),
        ({"calibration": {"fitted_on": "validation images"}}, "they are of calibrated probabilities"),
    ],
)
def test_other_thresholds_are_not_used_and_it_is_said(made, changes, said):
    write_metrics(made, 0)
    write_metrics(made, 1, **changes)
    errors = find_errors(read_experiment(made.path, made.manifest), 4)
    assert errors.thresholds is None and said in errors.notes[0]
    assert not any(lesion.called for lesion in errors.lesions)


def test_metrics_that_are_damaged_are_named(made):
    for fold in (0, 1):
        write_metrics(made, fold, of_lesions={})
    with pytest.raises(InputError, match=r"fold0/resnet50_mtl/metrics\.json: not the metrics of its scores"):
        find_errors(read_experiment(made.path, made.manifest), 4)


def test_the_list_has_the_same_images_and_says_what_made_it(tool, refused, whole, pages, tmp_path):
    _, errors, _ = pages
    arguments = ("--experiment", whole.path, "--manifest", whole.folder / "manifest.csv", "--errors", 4)
    done = tool("list_errors.py", *arguments, "--out", tmp_path / "errors.csv")
    assert (done.returncode, done.stderr) == (0, "")
    assert (
        done.stdout == f"{tmp_path}/errors.csv: {len(errors.images)} of the 40 images that resnet50_mtl was tested on\n"
    )
    with open(str(tmp_path / "errors.csv"), encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert {line["image"] for line in lines} == {errors.scores.image[row] for row in errors.images}
    assert len(lines) == len(KINDS) * len(LESIONS) * 4
    made_it = json.loads((tmp_path / "errors.json").read_text())
    assert len(made_it["scores"]) == 2 and made_it["arguments"]["errors"] == 4
    for path in sorted(whole.path.glob("fold*/*")):
        assert path.is_dir()
    alone = tmp_path / "alone"
    shutil.copytree(str(whole.path / "fold0" / "resnet50_location"), str(alone / "fold0" / "resnet50_location"))
    arguments = ("--experiment", alone, *arguments[2:], "--out", tmp_path / "no.csv")
    refused(tool("list_errors.py", *arguments), "has no scores of")
    done = tool("list_errors.py", *arguments[:-1], tmp_path / "list.json")
    assert done.returncode == 2 and "is where what made the list is written; name a .csv" in done.stderr


def test_the_report_leads_to_the_pages_and_shows_no_photograph_where_none_may_be_shown(whole, tmp_path, monkeypatch):
    monkeypatch.setattr("skinmtl.report.draw.save_and_inline", lambda figure, folder, name: "data:image/svg+xml,")
    settings = Settings(10, 1, BUNDLED, require_complete=False, errors=2, photographs=False)
    write_report(whole.path, whole.manifest, tmp_path / "report", settings, {"errors": 2})
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    for target in Links(page).targets:
        assert target.startswith(("#", "data:")) or (tmp_path / "report" / target).is_file()
    assert "left out: --no-photographs" in page and 'href="errors/lesion_000.html"' in page
    assert {"errors.csv", "scored_above.csv"} <= {path.name for path in (tmp_path / "report").iterdir()}
    assert not list((tmp_path / "report" / "errors").rglob("*.jpg"))
    with open(str(tmp_path / "report" / "scored_above.csv"), encoding="utf-8", newline="") as file:
        above = {(line["lesion"], line["scored_above"]): int(line["on_images"]) for line in csv.DictReader(file)}
    errors = find_errors(read_experiment(whole.path, whole.manifest), 2)
    assert above == {
        (one.name, LESIONS[q]): count for one in errors.lesions for q, count in enumerate(one.above.tolist()) if count
    }


def test_photographs_and_none_are_not_both_asked_for(tool, tmp_path):
    both = ("--experiment", tmp_path, "--manifest", tmp_path, "--no-photographs", "--images", tmp_path)
    assert tool("report.py", *both).returncode == 2
