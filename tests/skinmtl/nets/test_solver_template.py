"""make_prototxt.py --solver: a solver for the new net, from another's, that `caffe train` takes as it is."""

from __future__ import annotations

import subprocess

import pytest
from conftest import CAFFE, ROOT

from caffe_files.errors import InputError
from caffe_files.prototxt import read_solver
from skinmtl.nets.multi_task import NetOptions
from skinmtl.nets.solver_template import filled_solver, phase_of

OPTIONS = NetOptions("resnet50_mtl", "tiny", 64, 3, 4, "no", "no", 8, 4, frozen_batch_norm=False)
NET = ("--model", "resnet50_mtl", "--trunk", "tiny", "--crop", 64, "--batch-size", 8, "--test-batch-size", 4)
SHORT = """# a few iterations
net: "elsewhere/train.prototxt"  # of another net
test_iter: 77  # of another test set
test_interval: 2 base_lr: 0.01 # our choice
lr_policy: "fixed" snapshot_prefix: 'nowhere/x' max_iter: 4 # small
# net: "in a comment"
random_seed: 3
"""


@pytest.fixture
def made(tool, small_set, tmp_path):
    """Runs make_prototxt.py for the small set, in tmp_path."""

    def run(*words, template=SHORT):
        (tmp_path / "template.prototxt").write_text(template)
        data = ("--train-data", small_set.train, "--test-data", small_set.test, "--overwrite", "--out", "a net")
        return tool("make_prototxt.py", *NET, *data, "--solver", "template.prototxt", *words, cwd=tmp_path)

    return run


@pytest.mark.caffe
def test_caffe_train_needs_no_editing(made, tmp_path):
    done = made()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("train it: caffe train -solver a net/solver.prototxt\n")
    command = [CAFFE, "train", "-solver", "a net/solver.prototxt"]
    trained = subprocess.run(command, cwd=str(tmp_path), capture_output=True, text=True, check=True)
    # eight test images, in batches of four: Caffe averages what two passes give
    assert "Iteration 4, Testing net (#0)" in trained.stderr
    assert "Test net output #0: lesion_loss" in trained.stderr
    assert sorted(path.name for path in (tmp_path / "a net").glob("*iter_4*")) == [
        "tiny_mtl_iter_4.caffemodel",
        "tiny_mtl_iter_4.solverstate",
    ]


def test_places_are_filled_in_and_the_rest_stays(made, tmp_path):
    assert made().returncode == 0
    text = (tmp_path / "a net" / "solver.prototxt").read_text()
    first, second, *rest = text.splitlines()
    assert first.startswith("# made by: tools/make_prototxt.py --model resnet50_mtl")
    assert second == "# template.prototxt for this net; train it with: caffe train -solver a net/solver.prototxt"
    assert rest == [
        "# a few iterations",
        'train_net: "a net/train.prototxt"',
        "test_iter: 2  # x 4 = the 8 test images",
        "test_interval: 2 base_lr: 0.01 # our choice",
        'lr_policy: "fixed" snapshot_prefix: "a net/tiny_mtl" max_iter: 4 # small',
        '# net: "in a comment"',
        "random_seed: 3",
        'test_net: "a net/test.prototxt"',
    ]


def test_check_holds_the_solver_too(made, tmp_path):
    assert made().returncode == 0
    assert made("--check").returncode == 0
    counted = ("--lesions", 3, "--locations", 4, "--check")
    assert made(*counted).returncode == 0
    path = tmp_path / "a net" / "solver.prototxt"
    for old, new in (("max_iter: 4", "max_iter: 5"), ("test_iter: 2", "test_iter: 3")):
        path.write_text(path.read_text().replace(old, new))
        done = made("--check")
        assert done.returncode == 1
        assert "solver.prototxt: not as generated" in done.stderr
        path.write_text(path.read_text().replace(new, old))
    path.unlink()
    assert made(*counted).returncode == 1


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "solvers").glob("*.prototxt")))
def test_the_committed_solvers_are_templates(name, tmp_path):
    template = ROOT / "solvers" / f"{name}.prototxt"
    text = filled_solver(template, tmp_path, OPTIONS, 7, "a test")
    (tmp_path / "solver.prototxt").write_text(text)
    solver, given = read_solver(tmp_path / "solver.prototxt"), read_solver(template)
    phase = phase_of(template)
    # the tiny nets, from scratch, are trained in one phase
    assert name.endswith(phase) and bool(phase) == ("mask_rcnn" in name and not name.startswith("tiny"))
    assert (solver.train_net, list(solver.test_net), list(solver.test_iter)) == (
        f"{tmp_path}/train{phase}.prototxt",
        [f"{tmp_path}/test.prototxt"],
        [7],
    )
    assert solver.snapshot_prefix == f"{tmp_path}/tiny_mtl{phase}"
    for each in (solver, given):
        for field in ("train_net", "test_net", "test_iter", "snapshot_prefix"):
            each.ClearField(field)
    assert solver == given
    kept = [line for line in template.read_text().splitlines() if line.startswith("#")]
    assert [line for line in text.splitlines() if line.startswith("#")][2:] == kept
    assert (
        "4,000" not in text
        and "240" not in text
        and "150 validation" not in text
        and f"solvers/{name}" not in text.split("\n", 2)[2]
    )


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("base_lr: 0.01", "has no test_interval, without which Caffe takes no test net; add one"),
        ("test_interval: 5 oops: 1", "not a solver prototxt"),
        ('test_interval: 5 net: "a" "b"', "write each on a line of its own"),
        ("test_interval: 5 test_iter: [1, 2]", "write each on a line of its own"),
    ],
)
def test_a_template_that_cannot_be_filled_is_one_line(template, said, tmp_path):
    path = tmp_path / "t.prototxt"
    path.write_text(template)
    with pytest.raises(InputError, match=said):
        filled_solver(path, tmp_path, OPTIONS, 7, "a test")


def test_without_the_test_data_there_is_nothing_to_count(tool, refused, tmp_path):
    (tmp_path / "t.prototxt").write_text(SHORT)
    data = ("--train-data", "a", "--test-data", "b", "--lesions", 3, "--locations", 4)
    done = tool("make_prototxt.py", *NET, *data, "--solver", "t.prototxt", "--out", "net", cwd=tmp_path)
    refused(done, "b: not there to count the test_iter of --solver; build it first")
    assert not (tmp_path / "net").exists()


def test_a_solver_with_several_fields_on_a_line_and_strings_with_hashes(tmp_path):
    path = tmp_path / "t.prototxt"
    path.write_text('regularization_type: "L2" test_interval: 1 train_net: "a#b" test_net: "c" test_iter: 3 # x\n')
    assert "test_iter: 7  # x 4 = the 28 test images\n" in filled_solver(path, tmp_path, OPTIONS, 7, "a test")
