"""Tables and logs, damaged: what reads one returns, or says in lines what is wrong with it."""

from __future__ import annotations

import csv
import io

import pytest
from fuzzing import mutated_bytes, mutated_lines
from fuzzing_values import NUMBERS, PIECES, STRINGS

from caffe_files.errors import InputError
from skinmtl.data.folds import read_folds
from skinmtl.data.lmdb_check import check_lmdbs
from skinmtl.data.lmdb_write import Sizes, write_lmdbs
from skinmtl.data.manifest import read_manifest
from skinmtl.explanation.attention_tasks import read_listed
from skinmtl.explanation.retrieval_figure import read_neighbours
from skinmtl.refinement.rules import combine, read_label_map
from skinmtl.report.runs import _last_line
from skinmtl.scores.common_labels import read_label_map as read_common_labels
from skinmtl.training.log_file import COLUMNS, cut_back, read_log

MANIFEST = """image,lesions,location,group,note
a 1.jpg,naevus;crust,arm,p1,x
b/2.jpg,"crust",leg,p2,"a, b"
c.png,naevus,leg,,
"""
FOLDS = "image,fold\na 1.jpg,0\nb/2.jpg,1\nc.png,1\n"
RULES = "from,to,kind,note\nnaevus,mole,lesion-merge,\ncrust,,lesion-drop,rare\narm,limb,site-merge,\nleg,,site-drop,\n"
NEIGHBOURS = "query,rank,neighbour,distance,shared_lesion,shared_location\n1.jpg,1,c.png,0.5,1,1\n1.jpg,2,2.jpg,2,0,1\n"
LISTED = "image,fold,lesion,kind\na 1.jpg,0,naevus,uncertain\nb/2.jpg,1,crust,lowest_with\n"
LOG = ",".join(COLUMNS) + "\n4,0.01,3.2,1.4,,,,,,99.1\n10,0.01,3,1.3,3.1,1.4,0.3,0.4,0.5,100\n"


def mutated_table(chance, data):
    """Cells exchanged for odd ones, properly quoted; or lines and bytes."""
    if chance.random() < 0.4:
        return mutated_lines(chance, data)
    rows = list(csv.reader(io.StringIO(data.decode("utf-8"))))
    for _ in range(chance.choice((1, 1, 2, 3))):
        row = chance.choice(rows)
        if row:
            made = chance.choice((chance.choice(NUMBERS), chance.choice(PIECES))).decode("utf-8", "surrogateescape")
            other = chance.choice(chance.choice(rows) or [""])
            row[chance.randrange(len(row))] = chance.choice((made, chance.choice(STRINGS), other))
    made = io.StringIO()
    csv.writer(made, lineterminator="\n").writerows(rows)
    return made.getvalue().encode("utf-8", "surrogatepass")


def test_manifests(fuzzer):
    def read(path):
        manifest = read_manifest(path)
        manifest.lesion_labels(), manifest.location_labels(), "".join(manifest.notes)

    counts = fuzzer.run("manifest.csv", read, [MANIFEST.encode()], mutated_table)
    assert min(counts.values()) > 0


@pytest.mark.parametrize("listed", ["lesions.txt", "locations.txt"])
def test_lists_of_labels_beside_a_manifest(fuzzer, listed):
    (fuzzer.folder / "manifest.csv").write_text(MANIFEST)
    seeds = {"lesions.txt": b"naevus\ncrust\nscar\n", "locations.txt": b"arm\nleg\n"}
    fuzzer.run(
        *(listed, lambda path: read_manifest(path.with_name("manifest.csv")), [seeds[listed]], mutated_lines),
        named=("manifest.csv",),
    )


def test_folds(fuzzer):
    (fuzzer.folder / "manifest.csv").write_text(MANIFEST)
    manifest = read_manifest(fuzzer.folder / "manifest.csv")
    counts = fuzzer.run("folds.csv", lambda path: read_folds(path, manifest), [FOLDS.encode()], mutated_table)
    assert min(counts.values()) > 0


def test_label_maps(fuzzer):
    counts = fuzzer.run("map.csv", lambda path: combine([read_label_map(str(path))]), [RULES.encode()], mutated_table)
    assert min(counts.values()) > 0


def test_label_maps_of_an_external_test(fuzzer):
    def read(path):
        read_common_labels(path, ["NV", "MEL", "närbe"], ["naevus", "crust"])

    counts = fuzzer.run("map.csv", read, [b"data,model\nNV,naevus\nMEL,crust\n"], mutated_table)
    assert min(counts.values()) > 0


def test_neighbours(fuzzer):
    counts = fuzzer.run("neighbours.csv", read_neighbours, [NEIGHBOURS.encode()], mutated_table)
    assert min(counts.values()) > 0


def test_lists_of_errors(fuzzer):
    (fuzzer.folder / "manifest.csv").write_text(MANIFEST)
    manifest = read_manifest(fuzzer.folder / "manifest.csv")
    counts = fuzzer.run("errors.csv", lambda path: read_listed(path, manifest), [LISTED.encode()], mutated_table)
    assert min(counts.values()) > 0


def test_the_log_of_a_run(fuzzer):
    def read(path):
        _last_line(path)
        [int(row["iteration"] or 0) for row in read_log(path)]

    counts = fuzzer.run("log.csv", read, [LOG.encode()], mutated_table)
    assert min(counts.values()) > 0
    fuzzer.run("log.csv", lambda path: cut_back(path, 1, 4), [LOG.encode()], mutated_bytes)


def test_the_list_of_records_of_a_data_set(fuzzer, make_dataset):
    data = make_dataset(4)
    out = fuzzer.folder / "out"
    write_lmdbs(read_manifest(data.manifest), data.images, out, Sizes(40, 40, 1), 1, 1, {})
    seed = (out / "records.csv").read_bytes()

    def read(path):
        (out / "records.csv").unlink()
        path.rename(out / "records.csv")
        try:
            check_lmdbs(out, 40, data.manifest, data.images, 1)
        finally:
            path.write_bytes(b"")

    fuzzer.run("records.csv", read, [seed], mutated_table, named=("out",), share=0.25)


@pytest.mark.parametrize(
    "text", [LOG.replace("99.1", "9\0"), LOG.replace("10,", "9" * 5000 + ","), LOG.replace("10,", "1e999,")]
)
def test_a_log_of_nonsense_is_refused(tmp_path, text):
    (tmp_path / "log.csv").write_text(text)
    with pytest.raises(InputError, match=r"log.csv:\d: a value is no number"):
        read_log(tmp_path / "log.csv")
