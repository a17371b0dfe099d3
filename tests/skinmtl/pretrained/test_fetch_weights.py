"""Published weights are fetched whole or not at all: from servers that cut, hang, move or lie, and checked."""

from __future__ import annotations

import hashlib
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from conftest import ROOT
from usage_errors import usage_errors
from weights_server import DATA, HASTE, LENGTHS, SUM, Patience, published

from caffe_files.blobs import store_blob
from caffe_files.errors import InputError
from caffe_files.schema import caffe_messages
from skinmtl.pretrained.fetching import check_copy, fetch
from skinmtl.pretrained.published import PUBLISHED
from skinmtl.pretrained.resnet50 import caffe_shapes

pytest_plugins = ["weights_server_fixture"]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("ways", "asked"),
    [
        (["whole"], [None]),
        (["no length"], [None]),
        (["redirect"], [None, None]),
        (["cut", "whole"], [None, "bytes=300000-"]),
        (["cut", "cut", "whole"], [None, "bytes=300000-", "bytes=600000-"]),
        (["cut", "no range"], [None, "bytes=300000-"]),
        (["cut", "redirect"], [None, "bytes=300000-", "bytes=300000-"]),
        (["cut", "other part", "whole"], [None, "bytes=300000-", None]),
        (["hang later", "whole"], [None, "bytes=300000-"]),
        (["hang first", "whole"], [None, None]),
        ([503, "whole"], [None, None]),
    ],
)
def test_the_file_comes_whole_whatever_the_server_does_in_between(server, tmp_path, ways, asked):
    server.ways = list(ways)
    checked = fetch(published(), tmp_path / "out", server.url, {}, HASTE)
    assert checked.path.read_bytes() == DATA
    assert names(tmp_path / "out") == ["some.bin", "some.bin.json"]
    assert server.ranges == asked


def test_a_later_run_goes_on_where_one_was_stopped(server, tmp_path):
    server.ways = ["cut", 404]
    with pytest.raises(InputError, match="the same command goes on"):
        fetch(published(), tmp_path, server.url, {}, HASTE)
    assert names(tmp_path) == ["some.bin.part", "some.bin.part.tag"]
    server.ways, server.ranges = ["whole"], []
    fetch(published(), tmp_path, server.url, {}, HASTE)
    assert server.ranges == ["bytes=300000-"]
    assert names(tmp_path) == ["some.bin", "some.bin.json"]


def test_halves_of_two_versions_never_meet(server, tmp_path):
    old = bytes(len(DATA))
    server.ways, server.data = ["cut", 404], old
    with pytest.raises(InputError):
        fetch(published(), tmp_path, server.url, {}, HASTE)
    server.ways, server.data, server.tag = ["whole"], DATA, '"two"'
    assert fetch(published(), tmp_path, server.url, {}, HASTE).path.read_bytes() == DATA


@pytest.mark.parametrize("size", [None, len(DATA)])
def test_a_part_that_is_whole_already_is_not_fetched_again(server, tmp_path, size):
    (tmp_path / "some.bin.part").write_bytes(DATA)
    fetch(published(size=size), tmp_path, server.url, {}, HASTE)
    assert server.ranges == ([] if size else ["bytes=700000-"])


def test_a_part_that_is_longer_than_the_file_is_thrown_away(server, tmp_path):
    (tmp_path / "some.bin.part").write_bytes(DATA + b"more")
    assert fetch(published(), tmp_path, server.url, {}, HASTE).path.read_bytes() == DATA
    assert server.ranges == ["bytes=700004-", None]


def test_a_wrong_sum_is_kept_aside_under_another_name_and_not_used(server, tmp_path):
    server.data = bytes(len(DATA))
    with pytest.raises(InputError, match=r"its sha256 is .*, not .*some.bin.wrong-checksum, not used"):
        fetch(published(), tmp_path, server.url, {}, HASTE)
    assert names(tmp_path) == ["some.bin.wrong-checksum"]
    assert (tmp_path / "some.bin.wrong-checksum").read_bytes() == server.data


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_the_first_digits_of_a_sum_decide_where_no_more_are_stated(server, tmp_path, algorithm):
    digits = hashlib.new(algorithm, DATA).hexdigest()[:8]
    checked = fetch(published(algorithm=algorithm, digest=digits, size=None), tmp_path, server.url, {}, HASTE)
    assert checked.seen_by == f"the first 8 digits of the {algorithm} that is stated by a test"
    assert json.loads((tmp_path / "some.bin.json").read_text())["sha256"] == SUM


@pytest.mark.parametrize(
    ("way", "data", "said"),
    [
        (404, "ours", "answers 404 Not Found"),
        (503, "ours", "answers 503 Service Unavailable, 3 times in a row"),
        ("whole", "a page", "has a file of 20 bytes, not the published one of 700,000"),
        ("no length", "longer", "sends more than the published 700,000 bytes"),
        ("hang first", "ours", "sends nothing, 3 times in a row"),
        ("redirect to ftp", "ours", "sends on to 'ftp://127.0.0.1/some.bin', which is no http or https address"),
        ("no range, cut", "ours", "cut the connection, 3 times in a row"),
    ],
)
def test_a_file_that_cannot_be_had_is_one_line_that_says_what_to_do_by_hand(server, tmp_path, way, data, said):
    server.ways = [way]
    server.data = {"ours": DATA, "longer": DATA + b"more", "a page": b"<html>no more</html>"}[data]
    with pytest.raises(InputError) as error:
        fetch(published(), tmp_path, server.url, {}, HASTE)
    assert said in str(error.value)
    assert f"see a page), put it at {tmp_path / 'some.bin'} and run this again" in str(error.value)
    assert "\n" not in str(error.value)
    assert names(tmp_path) in ([], ["some.bin.part", "some.bin.part.tag"])


def test_a_file_that_is_there_is_checked_and_not_fetched(server, tmp_path):
    (tmp_path / "some.bin").write_bytes(DATA)
    assert fetch(published(), tmp_path, server.url, {}, HASTE).sha256 == SUM
    (tmp_path / "some.bin").write_bytes(DATA[1:])
    with pytest.raises(InputError, match="is not some_weights: its sha256 is"):
        fetch(published(), tmp_path, server.url, {}, HASTE)
    assert (tmp_path / "some.bin").read_bytes() == DATA[1:]
    assert not server.ranges


def test_two_runs_do_not_write_into_each_others_part(server, tmp_path):
    server.ways = ["hang later", "whole"]
    first = threading.Thread(target=fetch, args=(published(), tmp_path, server.url, {}, Patience(2, 3, 0)))
    first.start()
    while not server.ranges:
        time.sleep(0.01)
    with pytest.raises(InputError, match="is being fetched by another run"):
        fetch(published(), tmp_path, server.url, {}, HASTE)
    server.closing.set()
    first.join()
    assert (tmp_path / "some.bin").read_bytes() == DATA


def caffemodel(path, shapes):
    """A file of layers of these shapes, and of numbers that mean nothing."""
    net = caffe_messages().NetParameter(name="ResNet-50")
    for name, blobs in shapes.items():
        layer = net.layer.add(name=name)
        for blob in blobs:
            store_blob(layer.blobs.add(), np.ones(blob))
    path.write_bytes(net.SerializeToString())
    return path


def test_the_shapes_that_a_copy_is_held_against_are_the_published_ones():
    layers = json.loads((ROOT / "tests/data/resnet50_layers.json").read_text())
    trunk = {layer["name"]: layer["blobs"] for layer in layers if layer["blobs"] and layer["name"] != "fc1000"}
    assert caffe_shapes() == trunk


def test_a_copy_of_the_published_resnet50_is_checked_layer_by_layer(tool, tmp_path):
    """No sum of its authors decides, so that a file of all the right layers passes; that its sum is another is told."""
    copy = caffemodel(tmp_path / "copy.caffemodel", {**caffe_shapes(), "fc1000": [[1000, 2048], [1000]]})
    done = tool("fetch_weights.py", "resnet50_published", "--file", copy)
    assert done.returncode == 0, done.stderr
    assert "by all its layers, but not the sha1 that is stated by OpenCV's test data" in done.stdout
    record = json.loads((tmp_path / "copy.caffemodel.json").read_text())
    assert record["sha256"] == hashlib.sha256(copy.read_bytes()).hexdigest()
    assert record["made_by"]["arguments"]["name"] == "resnet50_published"


def test_another_caffemodel_than_the_published_resnet50_is_told_by_its_layers(tmp_path):
    entry = PUBLISHED["resnet50_published"]
    other = caffemodel(tmp_path / "other.caffemodel", {"conv1": [[64, 3, 7, 7]], "fc8": [[5, 5]]})
    with pytest.raises(InputError, match=r"159 of its 159 layers are not .*\(conv1: 1 blobs .*, bn_conv1: missing, "):
        check_copy(entry, other)
    (tmp_path / "text.caffemodel").write_text("no weights")
    with pytest.raises(InputError, match="is not resnet50_published: not a caffemodel"):
        check_copy(entry, tmp_path / "text.caffemodel")


def test_a_record_of_something_else_is_not_written_over(tmp_path):
    (tmp_path / "some.bin").write_bytes(DATA)
    (tmp_path / "some.bin.json").write_text("{}")
    with pytest.raises(InputError, match=r"some.bin.json: says that some.bin is something else"):
        check_copy(published(), tmp_path / "some.bin")
    assert (tmp_path / "some.bin.json").read_text() == "{}"
    (tmp_path / "some.bin.json").unlink()
    (tmp_path / "some.bin.json").mkdir()
    with pytest.raises(InputError, match=r"some.bin.json: is there and is no file"):
        check_copy(published(), tmp_path / "some.bin")


def test_offline_the_tool_says_what_to_fetch_by_hand_and_where_to_put_it(tool, refused, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/w.caffemodel"
    done = tool("fetch_weights.py", "bvlc_alexnet", "--url", url, "--out", "w", cwd=tmp_path, env={"no_proxy": "*"})
    refused(done, url, "cannot be reached", "BVLC/caffe", "put it at w/bvlc_alexnet.caffemodel", "run this again")
    assert not list((tmp_path / "w").iterdir())


def test_ctrl_c_leaves_the_part_and_no_file(server, tmp_path):
    server.ways = ["hang later"]
    command = [sys.executable, str(ROOT / "tools/fetch_weights.py"), "bvlc_alexnet", "--url", server.url]
    process = subprocess.Popen(
        [*command, "--out", str(tmp_path)],
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's `&` has it ignored
    )
    part = tmp_path / "bvlc_alexnet.caffemodel.part"
    while not (part.exists() and part.stat().st_size):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert process.communicate()[1] == b"fetch_weights.py: stopped by SIGINT\n"
    assert process.returncode == 130
    assert names(tmp_path) == [part.name, f"{part.name}.tag"]


def test_the_list_names_every_file_with_its_sum_licence_and_page(tool):
    listed = tool("fetch_weights.py", "--list").stdout
    for one in PUBLISHED.values():
        assert all(words in listed for words in (f"{one.name}\n", one.file, one.digest, one.licence, one.page))
        assert re.fullmatch(r"[0-9a-f]{8,}", one.digest)
        assert len(one.digest) in (8, LENGTHS[one.algorithm])
        assert one.digest[:8] in one.file or len(one.digest) > 8


def test_a_wrong_command_line_is_a_usage_error(tmp_path):
    given = [[], ["--list", "bvlc_alexnet"], ["no_weights"], ["bvlc_alexnet", "--url", "file:///etc/passwd"]]
    given.append(["bvlc_alexnet", "--file", "copy", "--out", "there"])
    assert len(usage_errors("fetch_weights", given, tmp_path)) == len(given)
