"""tools/report.py as a user runs it."""

from __future__ import annotations

import csv
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from conftest import ROOT
from made_experiment import made_experiment

from caffe_files.errors import InputError
from caffe_files.outputs import allow_overwriting
from skinmtl.report.paper import BUNDLED
from skinmtl.report.write import Settings, write_report
from skinmtl.scores.metrics import evaluate
from skinmtl.scores.scores_file import read_scores, write_scores

LESIONS = ["Nodule", "<script>alert(1)</script>", 'quoted "x" & co', "it's $x_1$ {{ 7*7 }}"]
LOCATIONS = ["<i>arm</i>", "leg & foot", "trunk"]
TABLES = {
    *("table1.csv", "table1_folds.csv", "mtl_against_resnet.csv", "locations.csv", "confusion.csv", "runs.csv"),
    *("decision_curves.csv", "errors.csv", "scored_above.csv"),
}
FIGURES = {
    "correlation",
    "correlation_clustered",
    "locations",
    "confusion",
    "gains",
    "gain_against_strength",
    "precision_recall",
    "decision_curves",
}
QUICK = Settings(resamples=20, seed=1, paper_table=BUNDLED, require_complete=False)


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """A complete experiment; tests that change one work on a copy."""
    return made_experiment(tmp_path_factory.mktemp("whole") / "data", LESIONS, LOCATIONS, rare=(LESIONS[2],))


@pytest.fixture()
def made(whole, tmp_path):
    shutil.copytree(
        str(whole.folder), str(tmp_path / "data"), ignore=shutil.ignore_patterns("figure3.png", "the report")
    )
    copy = tmp_path / "data"
    manifest = replace(whole.manifest, path=copy / "manifest.csv")
    return type(whole)(folder=copy, path=copy / "experiment", manifest=manifest, fold_of=whole.fold_of)


@pytest.fixture(scope="session")
def page(whole, tool):
    """The finished tool and its page, of the complete experiment with a Figure 3."""
    shutil.copy(str(whole.path / "fold0/resnet50_mtl/run/curves.png"), str(whole.path / "figure3.png"))
    arguments = ("--experiment", whole.path, "--manifest", whole.folder / "manifest.csv", "--bootstrap", 50)
    done = tool("report.py", *arguments, "--out", whole.folder / "the report", "--fail-if-incomplete")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done, (whole.folder / "the report" / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("n_groups", [1, 4, 9])
def test_images_of_few_groups_say_nothing_of_chance(made, n_groups):
    rows = [replace(row, group=f"patient {number % n_groups}") for number, row in enumerate(made.manifest.rows)]
    (made.path / "folds.csv").unlink()  # each group is in every fold
    out = made.folder / "of few groups"
    write_report(made.path, replace(made.manifest, rows=rows), out, QUICK, {})
    seen = (out / "index.html").read_text(encoding="utf-8")
    assert "The images are of fewer than 10 groups, too few for intervals" in seen
    assert "<td>too few</td>" in seen and "(too few)" in seen and not re.search(r"\[[+-]?\d\.\d{3}, ", seen)
    assert not re.search("MTL better|ResNet better|excludes 0</td>", seen)
    with open(str(out / "locations.csv"), encoding="utf-8", newline="") as file:
        assert all(line["value"] and not line["low"] and not line["high"] for line in csv.DictReader(file))


def arguments(made, *more):
    return ("--experiment", made.path, "--manifest", made.manifest.path, "--bootstrap", 20, *more)


@pytest.fixture()
def no_figures(monkeypatch):
    """For tests that look at no figure: drawing is most of a report's time."""

    def save(figure, folder, name):
        for suffix in (".png", ".svg"):
            (folder / f"{name}{suffix}").touch()
        return "data:image/svg+xml,"

    monkeypatch.setattr("skinmtl.report.draw.save_and_inline", save)


def report_of(made, **changes):
    """Makes the report in this process, which spares the seconds that a Python takes to start; returns its page."""
    allow_overwriting(True)
    try:
        text = write_report(made.path, made.manifest, made.path / "report", replace(QUICK, **changes), {})
    finally:
        allow_overwriting(False)
    return text, (made.path / "report" / "index.html").read_text(encoding="utf-8")


class Page(HTMLParser):
    """Tags, what they load, and the text of a page."""

    def __init__(self, html):
        super().__init__()
        self.open, self.loaded, self.tags, self.text = [], [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag not in ("meta", "img", "br", "link"):
            self.open.append(tag)
        self.loaded += [value for name, value in attributes if name in ("src", "href", "srcset", "data")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "title"):
            self.text.append(data)


class TestWholeReport:
    def test_table_1_and_the_place_are_printed(self, page, whole):
        done, _ = page
        lines = done.stdout.splitlines()
        assert lines[0].split() == ["without", "AlexNet", "ResNet", "MTL", "Ensemble"]
        assert re.split("  +", lines[1].strip()) == [
            "looking",
            "lesions only",
            "lesions only",
            "lesions and location",
            "ResNet and MTL",
        ]
        assert lines[3].startswith("Nodule")
        assert lines[7].startswith("mAP-class") and lines[8].startswith("mAP-image")
        assert lines[-1] == f"report: {whole.folder / 'the report' / 'index.html'}"
        assert "missing" not in done.stdout

    def test_each_figure_stands_beside_what_chance_would_reach(self, page, whole):
        done, html = page
        scores = [read_scores(whole.path / f"fold{fold}" / "resnet50_mtl" / "scores.npz") for fold in range(3)]
        figures = [evaluate(each) for each in scores]
        top1 = np.bincount(np.concatenate([each.location_labels for each in scores])).max() / 60
        by_row = {line.split("  ")[0]: line.split() for line in done.stdout.splitlines()}
        for name in ("map_class", "map_image"):
            expected = f"{np.mean([each[f'chance_{name}'] for each in figures]):.3f}"
            assert by_row[name.replace("map_", "mAP-")][1] == expected
            assert f'<td class="chance first">{expected}</td>' in html
        assert f"without looking {top1:.3f}.</p>" in html

    def test_figures_are_numbered_in_the_order_of_the_page(self, page):
        numbers = re.findall(r"<strong>Figure (\d+)\.</strong>", page[1])
        assert numbers == [str(n) for n in range(1, 9)]
        assert re.findall(r'id="figure-(\d+)"', page[1]) == numbers
        assert page[1].count("<strong>Figure 5, clustered.</strong>") == 1

    def test_the_papers_figures_are_behind_a_switch_where_the_lesions_are_not_its(self, page):
        done, html = page
        reason = (
            "The paper's figures do not stand beside these: its table is of 25 lesions, of which 1 are among the 4 here"
        )
        assert reason in done.stdout and "paper" not in done.stdout.split(reason)[0]
        assert reason in html.replace("&#39;", "'")
        table = html[html.index('id="table1"') : html.index("The paper's own figures</summary>")]
        assert "0.793" not in table
        behind = html[html.index("The paper's own figures</summary>") : html.index('id="gain"')]
        assert behind.count('<td class="paper">') == 4 and '<td class="paper">0.793</td>' in behind

    def test_the_folder_has_the_tables_and_each_figure_twice(self, page, whole):
        there = {path.name for path in (whole.folder / "the report").iterdir()} - {".made.json"}
        assert there == {"index.html", "errors", "report.json", "correlation.csv", "strength.csv", *TABLES} | {
            f"{name}{suffix}" for name in FIGURES for suffix in (".png", ".svg")
        }
        made = json.loads((whole.folder / "the report" / ".made.json").read_text())["files"]
        assert {name.partition("/")[0] for name in made} == there

    def test_the_page_needs_no_other_file_and_no_network(self, page):
        parsed = Page(page[1])
        assert parsed.open == []
        assert not {"script", "link", "iframe", "object"} & set(parsed.tags)
        assert all(value.startswith(("data:image/", "#", "errors/lesion_")) for value in parsed.loaded)
        assert len([value for value in parsed.loaded if value.startswith("data:image/svg+xml")]) == len(FIGURES)
        assert "url(" not in page[1] and "@import" not in page[1]

    def test_links_within_the_page_lead_somewhere(self, page):
        for value in Page(page[1]).loaded:
            if value.startswith("#"):
                assert f'id="{value[1:]}"' in page[1]

    def test_each_heading_has_a_link_to_itself(self, page):
        for heading in re.findall(r"<h[23].*?</h[23]>", page[1]):
            (target,) = re.findall(r'<a class="anchor" href="#([a-z0-9-]+)"', heading)
            assert page[1].count(f'id="{target}"') == 1

    def test_it_can_be_read_in_the_dark_on_a_phone_and_on_any_paper(self, page):
        css = page[1][: page[1].index("</style>")]
        assert "prefers-color-scheme: dark" in css and "@page { margin" in css and "scroll sideways" in css
        tables = page[1].count("<table>")
        assert tables == len(
            re.findall(r'<div class="box" tabindex="0" role="region" aria-label="[^"]+">\n<table>', page[1])
        )

    def test_names_are_shown_as_they_are_and_never_as_markup(self, page):
        assert "<script>alert" not in page[1] and "<i>arm" not in page[1] and "49" not in re.findall("{{.*?}}", page[1])
        text = "".join(Page(page[1]).text)
        for name in LESIONS:
            assert name in text

    def test_the_papers_averages(self, page):
        text = " ".join("".join(Page(page[1]).text).split())
        for words in ("AlexNet, lesions only: 0.598", "ResNet, lesions only: 0.726", "ResNet and MTL: 0.761"):
            assert f"{words} (published {words.split()[-1]})" in text

    def test_what_made_it(self, page, whole):
        html = page[1]
        seen = "".join(Page(html).text)
        assert "manifest_sha256" in seen and "versions.numpy" in seen and "arguments.seed" in seen
        with open(str(whole.folder / "the report" / "runs.csv"), encoding="utf-8") as file:
            runs = list(csv.DictReader(file))
        assert len(runs) == 15
        mtl = next(run for run in runs if (run["model"], run["fold"]) == ("resnet50_mtl", "1"))
        assert mtl["weights_sha256"] == "31" * 32
        assert (mtl["last_iteration"], mtl["last_lr"]) == ("100", "0.0001")
        assert json.loads(mtl["arguments"])["arguments"]["seed"] == 17
        assert f'title="{mtl["scores_sha256"]}"' in html

    def test_figure_3_and_the_training_curves_are_embedded(self, page):
        loaded = Page(page[1]).loaded
        assert len([value for value in loaded if value.startswith("data:image/png")]) == 4 * 3
        assert len([value for value in loaded if value.startswith("data:image/jpeg")]) == 1
        assert "There is no figure3.png" not in page[1]

    def test_csvs_have_empty_cells_where_there_is_no_figure(self, page, whole):
        with open(str(whole.folder / "the report" / "table1_folds.csv"), encoding="utf-8") as file:
            values = {(row["model"], row["fold"], row["figure"]): row["value"] for row in csv.DictReader(file)}
        assert values["resnet50_mtl", "1", LESIONS[2]] == ""
        assert 0 < float(values["resnet50_mtl", "0", LESIONS[2]]) <= 1
        for path in (whole.folder / "the report").glob("*.csv"):
            assert "nan" not in path.read_text(encoding="utf-8").lower().split(",")

    def test_the_same_experiment_gives_the_same_files(self, page, whole, made):
        report_of(made)
        first = {path: path.read_bytes() for path in (made.path / "report").rglob("*.*") if path.is_file()}
        report_of(made)
        assert first == {path: path.read_bytes() for path in (made.path / "report").rglob("*.*") if path.is_file()}


@pytest.mark.usefixtures("no_figures")
class TestIncomplete:
    def test_what_is_missing_is_said_at_the_top_and_at_the_tables(self, made):
        shutil.rmtree(str(made.path / "fold2" / "resnet50_mtl"))
        shutil.rmtree(str(made.path / "fold0" / "resnet50_location"))
        for fold in range(3):
            shutil.rmtree(str(made.path / f"fold{fold}" / "alexnet_lesion"))
        (made.path / "fold1" / "resnet50_lesion" / "run" / "curves.png").unlink()
        (made.path / "fold1" / "resnet50_lesion" / "run" / "args.json").write_text("{")
        printed, html = report_of(made)
        text = " ".join("".join(Page(html).text).split())
        top = text[: text.index("Table 1. Average")]
        for words in (
            "no scores of resnet50_mtl on fold 2 (of folds 0, 1, 2)",
            "no scores of resnet50_location on fold 0 (of folds 0, 1, 2)",
            "no scores of alexnet_lesion on any of the 3 folds",
        ):
            assert words in top
            assert f"missing: {words}" in printed
        table = text[text.index("Table 1. Average") : text.index("All digits")]
        assert "40 images of folds 0, 1 (of folds 0, 1, 2)" in table
        assert "left out: ResNet, lesions only: 2; Ensemble, ResNet and MTL: 2" in table
        assert "No scores at all: AlexNet, lesions only" in table
        assert "same 40 images of 20 groups, folds 0, 1 (of folds 0, 1, 2), pooled" in text  # MTL against ResNet
        assert "same 20 images of 10 groups, fold 1 (of folds 0, 1, 2), pooled" in text  # locations
        assert "No curves that can be read: resnet50_lesion, fold 1." in text
        assert "No args.json that can be read: resnet50_lesion, fold 1." in text
        assert "There is no figure3.png" in text

    def test_require_complete_names_it_and_makes_nothing(self, made, tool, refused):
        (made.path / "fold1" / "ensemble" / "scores.npz").unlink()
        done = tool("report.py", *arguments(made, "--fail-if-incomplete"))
        refused(done, "not complete", "no scores of ensemble on fold 1 (of folds 0, 1, 2)")
        assert not (made.path / "report").exists()

    def test_without_folds_csv_it_says_so(self, made):
        (made.path / "folds.csv").unlink()
        printed, html = report_of(made)
        assert "missing: no folds.csv" in printed and "no folds.csv" in html
        with pytest.raises(InputError, match=r"no folds\.csv"):
            report_of(made, require_complete=True)

    def test_one_model_on_one_fold_is_a_report(self, made):
        for path in made.path.glob("fold*/*"):
            if (path.parent.name, path.name) != ("fold1", "resnet50_lesion"):
                shutil.rmtree(str(path))
        _, html = report_of(made)
        assert "they cannot be compared" in html and "there is no confusion matrix" in html

    def test_locations_alone_are_a_report(self, made):
        for path in made.path.glob("fold*/*"):
            if path.name != "resnet50_location":
                shutil.rmtree(str(path))
        printed, html = report_of(made)
        assert "there is no Table 1" in html
        assert printed.startswith("missing: ")

    def test_scores_of_other_models_are_named_and_not_used(self, made):
        shutil.copytree(str(made.path / "fold0" / "ensemble"), str(made.path / "fold0" / "my_model"))
        assert "not used: fold0/my_model/scores.npz" in report_of(made)[1]


@pytest.mark.usefixtures("no_figures")
class TestWhatDoesNotBelongTogether:
    def change(self, made, **changes):
        path = made.path / "fold0" / "resnet50_mtl" / "scores.npz"
        scores = read_scores(path)
        write_scores(path, replace(scores, **{name: change(getattr(scores, name)) for name, change in changes.items()}))

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"image": lambda names: [*names[:-1], "other.jpg"]}, ["has no image '55.jpg'"]),
            ({"lesion_labels": lambda labels: 1 - labels}, ["lesion", "0.jpg"]),
            ({"location_labels": lambda labels: (labels + 1) % 3}, ["location", "0.jpg"]),
            ({"lesion_names": lambda names: [*names[1:], names[0]]}, ["lesion 0"]),
            ({"location_names": lambda names: [*names[:2], "Trunk"]}, ["location 2", "Trunk"]),
        ],
    )
    def test_scores_of_other_images_labels_or_names_name_the_first_difference(self, made, changes, words):
        self.change(made, **changes)
        with pytest.raises(InputError) as error:
            report_of(made)
        for word in (*words, "fold0/resnet50_mtl/scores.npz"):
            assert word in str(error.value)
        assert not (made.path / "report").exists()

    def test_scores_of_another_fold(self, made):
        shutil.copy(str(made.path / "fold1/ensemble/scores.npz"), str(made.path / "fold0/ensemble/scores.npz"))
        with pytest.raises(InputError, match="test fold 0"):
            report_of(made)

    def test_rows_in_another_order_are_the_same(self, made):
        expected = report_of(made)[0]
        path = made.path / "fold0" / "resnet50_mtl" / "scores.npz"
        scores = read_scores(path)
        order = np.random.RandomState(1).permutation(len(scores.image))
        fields = {name: value[order] for name, value in vars(scores).items() if isinstance(value, np.ndarray)}
        write_scores(path, replace(scores, image=[scores.image[n] for n in order], **fields))
        assert report_of(made)[0] == expected

    def test_a_model_without_its_head(self, made):
        shutil.copy(
            str(made.path / "fold0/resnet50_location/scores.npz"), str(made.path / "fold0/resnet50_lesion/scores.npz")
        )
        with pytest.raises(InputError, match=r"fold0/resnet50_lesion/scores\.npz: has no lesion head"):
            report_of(made)

    def test_a_fold_that_folds_csv_does_not_have(self, made):
        shutil.copytree(str(made.path / "fold0"), str(made.path / "fold7"))
        with pytest.raises(InputError, match="no fold 7"):
            report_of(made)

    def test_a_cut_scores_file(self, made, tool, refused):
        path = made.path / "fold0" / "ensemble" / "scores.npz"
        path.write_bytes(path.read_bytes()[:-200])
        refused(tool("report.py", *arguments(made)), path, "not a whole .npz file")

    def test_a_folder_that_is_no_experiment(self, made, tmp_path):
        with pytest.raises(InputError, match="no such folder"):
            write_report(tmp_path / "no", made.manifest, tmp_path / "out", QUICK, {})
        (tmp_path / "empty").mkdir()
        with pytest.raises(InputError, match="run the experiment first"):
            write_report(tmp_path / "empty", made.manifest, tmp_path / "out", QUICK, {})


@pytest.mark.usefixtures("no_figures")
class TestTheOldReport:
    def test_it_is_replaced_as_a_whole(self, made):
        report_of(made)
        shutil.rmtree(str(made.path / "fold0" / "resnet50_mtl"))
        (made.path / "report" / "table1.csv").write_text("stale")
        (made.path / "report" / ".snakemake_timestamp").touch()  # as the workflow leaves it
        report_of(made)
        assert "stale" not in (made.path / "report" / "table1.csv").read_text()
        assert [path.name for path in made.path.iterdir() if "report" in path.name] == ["report"]

    def test_one_with_a_file_of_the_users_is_left_alone(self, made):
        report_of(made)
        (made.path / "report" / "my notes.txt").write_text("precious")
        with pytest.raises(InputError, match=r"'my notes\.txt', which was not made with it"):
            report_of(made)
        assert (made.path / "report" / "my notes.txt").read_text() == "precious"

    def test_what_is_no_report_is_left_alone(self, made, tool, refused):
        (made.folder / "mine").mkdir()
        refused(tool("report.py", *arguments(made, "--out", made.folder / "mine")), "exists already; say --overwrite")
        with_force = tool("report.py", *arguments(made, "--out", made.folder / "mine", "--overwrite"))
        refused(with_force, "replaces only what a tool has made")
        assert (made.folder / "mine").exists()

    def test_a_run_that_fails_leaves_the_old_one(self, made):
        old = report_of(made)[1]
        (made.path / "fold0" / "ensemble" / "scores.npz").write_bytes(b"")
        with pytest.raises(InputError):
            report_of(made)
        assert (made.path / "report" / "index.html").read_text(encoding="utf-8") == old

    def test_a_stopped_run_leaves_the_old_one_and_nothing_beside_it(self, made):
        old = report_of(made)[1]
        command = [sys.executable, str(ROOT / "tools" / "report.py"), *map(str, arguments(made))]
        command += ["--bootstrap", "100000000", "--overwrite"]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(600):
            if list(made.path.glob(".report.*.partial")):
                break
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 128 + signal.SIGTERM
        assert b"Traceback" not in errors
        assert (made.path / "report" / "index.html").read_text(encoding="utf-8") == old
        assert [path.name for path in made.path.iterdir() if "report" in path.name] == ["report"]


def test_usage(tool, made):
    done = tool("report.py", *arguments(made, "--bootstrap", "0"))
    assert (done.returncode, done.stdout) == (2, "")
    assert "--bootstrap" in done.stderr
