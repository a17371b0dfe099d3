"""A model folder that was changed, damaged or put together wrongly is refused in one line; what its card says."""

from __future__ import annotations

import json
import shutil

import pytest
from made_model import NAMES, write_small_net
from worked_example import UNSEEN

from caffe_files.errors import InputError
from caffe_files.prototxt import read_net
from skinmtl.common.provenance import sha256
from skinmtl.engines.engine import Engine
from skinmtl.engines.snapshot import Snapshot
from skinmtl.nets.net_probe import NetShapes
from skinmtl.publishing.card import Facts, card, plain
from skinmtl.publishing.metrics_files import read_metrics, setting_of
from skinmtl.publishing.model_folder import FORMAT, check_net, read_model_folder, write_labels

RECORD = {
    "format": FORMAT,
    "name": "small",
    "net": "small",
    "mean": [1, 2.5, 3],
    "short_side": 40,
    "crop": 32,
    "crops": 10,
    "outputs": {"lesion_prob": 3, "location_prob": 4},
}


@pytest.fixture
def folder(tmp_path):
    """A model folder as export.py makes it, written by hand."""
    net = write_small_net(tmp_path / "net")
    at = tmp_path / "model"
    at.mkdir()
    shutil.copyfile(str(net.deploy), str(at / "deploy.prototxt"))
    shutil.copyfile(str(net.weights), str(at / "weights.caffemodel"))
    for head, names in NAMES.items():
        (at / f"{head}s.txt").write_text("".join(f"{name}\n" for name in names))
    write_record(at)
    return at


def write_record(at, **changes):
    sums = {path.name: sha256(path) for path in at.iterdir() if path.name != "model.json"}
    (at / "model.json").write_text(json.dumps({**RECORD, "sha256": sums, **changes}))


def test_a_whole_folder_is_read(folder):
    found = read_model_folder(folder)
    assert (found.labels, found.mean, found.crop) == (NAMES, (1, 2.5, 3), 32)


FILES = ("deploy.prototxt", "weights.caffemodel", "lesions.txt", "locations.txt", "model.json")


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(InputError, match=f"{name}: (missing|cannot be read)"):
        read_model_folder(folder)


@pytest.mark.parametrize("name", ["deploy.prototxt", "weights.caffemodel", "lesions.txt"])
def test_a_changed_file_is_named(folder, name):
    data = (folder / name).read_bytes()
    changed = {"deploy.prototxt": data + b"# a word", "weights.caffemodel": data[:-1], "lesions.txt": b"a\nb\nc\n"}
    (folder / name).write_bytes(changed[name])
    with pytest.raises(InputError, match=f"{name}: its sha256 is not the one in model.json: changed or damaged; fetch"):
        read_model_folder(folder)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a\nb\n", "2 names for the 3 outputs of lesion_prob"),
        ("a\nb\nc\nd\n", "4 names for the 3 outputs of lesion_prob"),
        ("a\n\nc\n", "lesions.txt:2: an empty line"),
        ("a\nb\na\n", "lesions.txt:3: 'a' stands on line 1 too"),
        ("a\n\x1b[2J\nc\n", "lesions.txt:2: a line break or control character"),
        ("a\nb\u00ad\nc\n", "lesions.txt:2: an invisible character"),
        ("", "0 names for the 3"),
    ],
)
def test_a_wrong_list_is_said_even_where_its_sum_is_right(folder, text, words):
    (folder / "lesions.txt").write_text(text)
    write_record(folder)
    with pytest.raises(InputError, match=words):
        read_model_folder(folder)


@pytest.mark.parametrize("names", [["a", "b\nc"], ["a", "\ud800"], ["a", " "], ["a", "a"], ["a", "a "]])
def test_names_that_could_not_be_read_again_are_not_written(names, tmp_path):
    with pytest.raises(InputError, match=r"lesions\.txt:2: .*; give each label a name of its own"):
        write_labels(tmp_path / "lesions.txt", names)
    assert not (tmp_path / "lesions.txt").exists()


def test_a_list_that_is_no_text_is_said(folder):
    (folder / "lesions.txt").write_bytes(b"\xff\n")
    with pytest.raises(InputError, match=r"lesions\.txt: not UTF-8"):
        read_model_folder(folder)
    (folder / "lesions.txt").unlink()
    (folder / "lesions.txt").mkdir()
    with pytest.raises(InputError, match=r"lesions\.txt: cannot be read"):
        read_model_folder(folder)


def test_a_deploy_that_is_no_net_is_said_with_its_line(folder):
    (folder / "deploy.prototxt").write_text("name: 'small'\nlayer {\n  name: 1\n")
    write_record(folder)
    with pytest.raises(InputError, match=r"deploy\.prototxt:3:.*not a net prototxt"):
        read_model_folder(folder)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": "another"}, "not the record of a skinmtl model folder, version 1"),
        ({"crop": "32"}, "no 'crop', or none of the right kind"),
        ({"mean": [1, 2]}, "mean is not three numbers"),
        ({"mean": [1, 2, True]}, "mean is not three numbers"),
        ({"mean": [1, 2, float("nan")]}, "mean is not three numbers"),
        ({"crop": True}, "no 'crop', or none of the right kind"),
        ({"short_side": 10**9}, "a short_side of 1000000000 would take up the memory"),
        ({"crops": 5}, "no image can be cut"),
        ({"crop": 41}, "no image can be cut"),
        ({"outputs": {}}, "neither lesion_prob nor location_prob"),
    ],
)
def test_a_record_that_says_nonsense_is_refused(folder, changes, words):
    write_record(folder, **changes)
    with pytest.raises(InputError, match=words):
        read_model_folder(folder)


def test_what_is_no_model_folder_is_said(folder, tmp_path):
    for path in (tmp_path / "none", folder / "model.json"):
        with pytest.raises(InputError, match="no such folder; name a model folder of export"):
            read_model_folder(path)
    with pytest.raises(InputError, match=r"model\.json: missing; .* is no model folder of export\.py"):
        read_model_folder(tmp_path)
    for text in ("{", '{"a":' + 100_000 * "["):
        (folder / "model.json").write_text(text)
        with pytest.raises(InputError, match="not JSON"):
            read_model_folder(folder)


def test_a_net_that_does_not_fit_its_record_is_refused(folder):
    found = read_model_folder(folder)

    def snapshot(side, lesions):
        tops = {"data": [1, 3, side, side], "lesion_prob": [1, lesions], "location_prob": [1, 4]}
        return Snapshot(found.deploy, found.weights, NetShapes({}, tops), Engine())

    check_net(found, snapshot(32, 3))
    with pytest.raises(InputError, match=r"model\.json: crop 32, the net takes 33"):
        check_net(found, snapshot(33, 3))
    with pytest.raises(InputError, match=r"lesions\.txt: 3 lesion names, .* has 5 outputs of lesion_prob"):
        check_net(found, snapshot(32, 5))


@pytest.fixture
def metrics_file(tmp_path, folder):
    """Writes what `evaluate.py --json` would, of the folder's weights."""

    def write(name, **protocol):
        made = {"fold": 2, "subset": "test", "manifest": "m"}
        of_weights = {"weights_sha256": sha256(folder / "weights.caffemodel"), "short_side": 40, "arguments": made}
        of_weights["trained_on"] = UNSEEN
        figures = {
            "n_images": 120,
            **{"map_class": 0.51234, "map_image": 0.6, "location_top1": None, "location_top3": None},
            "average_precision": {"naevus": 0.25, "melanoma|in situ": None, "crust": 0.75},
            "support": {"naevus": 7, "melanoma|in situ": 0, "crust": 9},
            "intervals": {"map_class": [0.4, 0.6], "average_precision": {"naevus": [0.1, 0.3]}},
            "bootstrap": {"resamples": 1000, "seed": 1, "level": 0.95, "n_groups": 50},
            "protocol": {**of_weights, **protocol},
        }
        (tmp_path / name).write_text(json.dumps(figures))
        return tmp_path / name

    return write


def facts(folder, metrics=(), **changes):
    known = dict(manifest=None, train_data=None, settings=None, licence=None)
    files = {"deploy.prototxt": "00", "weights.caffemodel": "01"}
    return Facts(
        record={**RECORD, "input": ""},
        labels=NAMES,
        metrics=metrics,
        net=read_net(folder / "deploy.prototxt"),
        files=files,
        **{**known, **changes},
    )


def test_a_card_has_the_figures_with_their_intervals(folder, metrics_file):
    other = metrics_file("b.json", weights_sha256="of another", arguments={"fold": None})
    given = [metrics_file("a.json"), other, metrics_file("c.json", weights_sha256=None, ensemble="maximum")]
    text = card(facts(folder, read_metrics(given, folder / "weights.caffemodel"), licence="CC BY 4.0"))
    assert "| fold 2, test | 120 | 0.512 [0.400, 0.600] | 0.600 | - | - | these |" in text
    assert "| not recorded | 120 | 0.512 [0.400, 0.600] | 0.600 | - | - | others |" in text
    assert "| an ensemble | 120 | 0.512 [0.400, 0.600] | 0.600 | - | - | others |" in text
    assert "95 % intervals from 1000 resamples of 50 groups" in text
    assert "| naevus | 7 | 0.250 [0.100, 0.300] |" in text
    assert "| melanoma\\|in situ | 0 | - |" in text  # a name does not break its table
    assert "not a medical device" in text
    assert "CC BY 4.0" in text and "Not stated" not in text
    assert "How well these weights do is not recorded" not in text


def test_an_external_test_is_named_and_the_labels_figures_are_those_of_the_nets_own_images(folder, metrics_file):
    external = metrics_file("a.json")
    figures = json.loads(external.read_text())
    figures.update(external_test={"lesions": ["naevus", "crust"]}, average_precision={"naevus": 0.125, "crust": 0.5})
    external.write_text(json.dumps(figures))
    for given in ([external, metrics_file("b.json")], [metrics_file("b.json"), external]):
        text = card(facts(folder, read_metrics(given, folder / "weights.caffemodel")))
        assert "| an external test, of naevus, crust alone | 120 |" in text and "| fold 2, test | 120 |" in text
        assert "| naevus | 7 | 0.250 [0.100, 0.300] |" in text and "0.125" not in text


def test_metrics_of_images_that_were_trained_on_are_refused_or_marked(folder, metrics_file):
    weights = folder / "weights.caffemodel"
    trained = metrics_file("a.json", trained_on={**UNSEEN, "trained": 3})
    with pytest.raises(
        InputError, match="3 of the 4 images were trained on: give the metrics of images that were left"
    ):
        read_metrics([trained], weights)
    watched = metrics_file("b.json", trained_on={**UNSEEN, "watched": 4})
    unknown = metrics_file("c.json", trained_on="unknown")
    text = card(facts(folder, read_metrics([trained, watched, unknown], weights, allow_trained=True)))
    assert "| fold 2, test; 3 of the 4 images were trained on | 120 |" in text
    assert "| fold 2, test; 4 of the 4 images were watched in training, for validation | 120 |" in text
    assert "| fold 2, test; whether these images were trained on is not recorded | 120 |" in text


def test_a_card_says_what_it_does_not_know(folder):
    text = card(facts(folder))
    assert "What the net was trained on is not recorded here." in text
    assert "How well these weights do is not recorded here." in text
    assert "Not stated." in text
    assert "\n\n\n" not in text and "None" not in text


def test_a_card_has_the_numbers_of_the_training_data(folder, tmp_path):
    summary = {
        **{"n_images": 432, "n_records": 1296, "copies": 3, "short_side": [73, 96], "manifest": "m", "images": "i"},
        **{"lesion_names": NAMES["lesion"], "location_names": NAMES["location"], "manifest_sha256": "abc"},
        **{"images_per_lesion": [11, 12, 13], "images_per_location": [1, 2, 3, 4]},
        "arguments": {"fold": 0, "validation": 0.1},
    }
    (tmp_path / "dataset.json").write_text(json.dumps(summary))
    text = card(facts(folder, train_data=tmp_path))
    assert "Trained on 432 images, stored as 1296 records" in text
    assert "outside test fold 0, less a share of 0.1" in text
    assert "| 2 | crust | 13 |" in text and "| 3 | scalp | 4 |" in text


def test_metrics_of_two_tests_of_the_same_weights_are_refused(folder, metrics_file):
    given = [metrics_file("a.json"), metrics_file("b.json", short_side=50)]
    metrics = read_metrics(given, folder / "weights.caffemodel")
    assert setting_of(metrics[:1], "short_side") == 40
    with pytest.raises(InputError, match=r"b\.json: its short_side is 50, elsewhere 40"):
        setting_of(metrics, "short_side")


@pytest.mark.parametrize(
    ("name", "written"),
    [
        *(("resnet50_mtl", "resnet50_mtl"), ("_a_", r"\_a\_"), ("a|b*c", r"a\|b\*c"), ("<b>", r"\<b\>")),
        *(("[x](y)", r"\[x\](y)"), ("&lt; ~~a~~", r"\&lt; \~\~a\~\~")),
    ],
)
def test_names_stand_in_markdown_as_they_are(name, written):
    assert plain(name) == written


@pytest.mark.parametrize(
    "changes",
    [
        {"map_class": "0.5"},
        {"n_images": "| many |"},
        {"average_precision": [0.5]},
        {"support": {}},
        {"support": dict.fromkeys(NAMES["lesion"], "many")},
        {"intervals": {}, "bootstrap": None},
        {"intervals": {"map_class": 0.5}},
        {"intervals": {"map_class": [0.5]}},
        {"intervals": {"average_precision": [0.1, 0.3]}},
        {"bootstrap": {"resamples": 1000, "level": "0.95", "n_groups": 50}},
        {"protocol": ["of another"]},
        {"protocol": {"arguments": 5}},
    ],
)
def test_metrics_that_were_changed_by_hand_are_refused(folder, metrics_file, changes):
    path = metrics_file("a.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(InputError, match=r"a\.json: not metrics; give a file of evaluate\.py --json"):
        read_metrics([path], folder / "weights.caffemodel")
