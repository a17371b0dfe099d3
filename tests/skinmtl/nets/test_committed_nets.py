"""The nets in prototxt/ are what the command in their first line makes, and that line can do nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest
from conftest import ROOT

NETS = sorted(path.parent.name for path in (ROOT / "prototxt").glob("*/train.prototxt"))
OUT = "--out prototxt/tiny_mtl"


def make(folder, *words):
    command = [sys.executable, str(folder / "make.py"), *words]
    return subprocess.run(command, capture_output=True, text=True)


def test_committed_nets_are_as_generated():
    checked = make(ROOT / "prototxt", "--check")
    assert (checked.returncode, checked.stderr) == (0, "")
    assert checked.stdout.splitlines() == [f"prototxt/{name}: as generated" for name in NETS]


@pytest.fixture
def copied(tmp_path):
    """The folder without a net, beside the tools that are here."""
    for name in ("tools", "python"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "prototxt").mkdir()
    shutil.copy(str(ROOT / "prototxt" / "make.py"), str(tmp_path / "prototxt"))
    return tmp_path / "prototxt"


def test_what_was_edited_is_named_and_made_anew(copied):
    shutil.copytree(str(ROOT / "prototxt" / "tiny_mtl"), str(copied / "tiny_mtl"))
    with open(str(copied / "tiny_mtl" / "test.prototxt"), "a") as file:
        file.write("# mine\n")
    (copied / "tiny_mtl" / "net.json").unlink()
    checked = make(copied, "--check")
    assert (checked.returncode, checked.stdout) == (1, "")
    assert checked.stderr == "prototxt/tiny_mtl: not as generated: net.json, test.prototxt\n"
    assert not (copied / "tiny_mtl" / "net.json").exists()
    assert make(copied).stdout == "prototxt/tiny_mtl: made anew: net.json, test.prototxt\n"
    assert make(copied, "--check").returncode == 0


@pytest.mark.parametrize(
    "line",
    [
        f"# made by: touch harmed; tools/make_prototxt.py {OUT}",
        f"# made by: tools/train.py {OUT}",
        f"# made by: ../tools/make_prototxt.py {OUT}",
        "# made by: tools/make_prototxt.py --out prototxt/tiny_lesion",
        f"# made by: tools/make_prototxt.py --out /tmp/elsewhere {OUT}",
        f"# made by: tools/make_prototxt.py $(touch harmed) {OUT}",
        "# another first line",
        "# made by: tools/make_prototxt.py 'no end",
    ],
)
def test_a_first_line_that_is_something_else_is_refused(copied, line):
    (copied / "tiny_mtl").mkdir()
    (copied / "tiny_mtl" / "train.prototxt").write_text(f"{line}\n")
    for words in ([], ["--check"]):
        done = make(copied, *words)
        assert done.returncode == 1
        assert "prototxt/tiny_mtl: " in done.stdout + done.stderr
    assert not list(copied.parent.glob("**/harmed"))
    assert [path.name for path in (copied / "tiny_mtl").iterdir()] == ["train.prototxt"]


def test_a_folder_that_is_none_of_the_projects_nets_is_left(copied):
    shutil.copytree(str(ROOT / "prototxt" / "tiny_mtl"), str(copied / "somebodys"))
    shutil.copytree(str(ROOT / "prototxt" / "tiny_lesion"), str(copied / "tiny_lesion"))
    before = (copied / "somebodys" / "train.prototxt").read_bytes()
    done = make(copied)
    assert done.stdout.splitlines() == [
        "prototxt/somebodys: not one of the project's nets, left as it is",
        "prototxt/tiny_lesion: as generated",
    ]
    assert (done.returncode, (copied / "somebodys" / "train.prototxt").read_bytes()) == (0, before)
