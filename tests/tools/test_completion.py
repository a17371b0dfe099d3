"""What a shell offers after `skinmtl` and TAB, asked of a real bash."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest
from conftest import ROOT

BASH = shutil.which("bash")


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    """Shell -> the script that skinmtl prints for it."""
    pytest.importorskip("shtab", reason="no shtab in this Python: make .venv/ready")
    made = {}
    for shell in ("bash", "zsh"):
        command = [sys.executable, str(ROOT / "tools" / "commands.py"), "completion", shell]
        made[shell] = tmp_path_factory.mktemp("scripts") / shell
        with open(str(made[shell]), "w") as file:
            subprocess.run(command, stdout=file, check=True)
    return made


@pytest.fixture
def offered(scripts, tmp_path):
    """What bash offers for the last of the words."""
    if BASH is None:
        pytest.skip("no bash")
    (tmp_path / "manifest.csv").touch()
    (tmp_path / "images").mkdir()

    def ask(*words):
        script = (
            'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
            'function=$(complete -p skinmtl | grep -o "_shtab[a-z_]*"); $function; printf "%s\\n" "${COMPREPLY[@]}"'
        )
        command = [BASH, "-c", script, "bash", str(scripts["bash"]), "skinmtl", *words]
        done = subprocess.run(command, cwd=str(tmp_path), capture_output=True, text=True, timeout=20)
        assert done.stderr == ""
        return done.stdout.split()

    return ask


@pytest.mark.parametrize(
    "words, among",
    [
        (["make-l"], ["make-lmdb"]),
        (["make-lmdb", "--short"], ["--short-side"]),
        (["make-lmdb", "--subset", "t"], ["train", "test"]),
        (["make-lmdb", "--manifest", ""], ["manifest.csv", "images"]),
        (["make-lmdb", "--manifest", "manifest.csv", "--im"], ["--images"]),
        (["make-folds", "--images", ""], ["images"]),
        (["predict", "ima"], ["images"]),
        (["import-dataset", "ham"], ["ham10000"]),
        (["import-dataset", "ham10000", "--ro"], ["--root"]),
        (["help", "make-p"], ["make-prototxt"]),
        (["completion", ""], ["bash", "zsh"]),
    ],
    ids=" ".join,
)
def test_bash_offers(offered, words, among):
    assert set(offered(*words)) == set(among)


def test_every_command_is_offered(offered):
    overview = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "commands.py")], capture_output=True, text=True
    ).stdout
    for command in offered(""):
        assert f"\n  {command} " in overview or command == "help"


@pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh")
def test_zsh_can_read_its_script(scripts):
    subprocess.run(["zsh", "-n", str(scripts["zsh"])], check=True)


def test_zsh_is_told_of_hyphenated_commands_and_files(scripts):
    script = scripts["zsh"].read_text()
    assert script.startswith("#compdef skinmtl")
    assert "make-lmdb) _arguments" in script
    assert '--manifest[the CSV\\: image,lesions,location and group]:CSV:_files"' in script


def test_without_shtab_it_says_how_to_get_it(tool, refused, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['shtab'] = None\n")
    refused(tool("completion.py", "bash", env={"PYTHONPATH": str(tmp_path)}), "pip install shtab")


def test_another_shell_is_wrong_usage(tool):
    assert tool("completion.py", "fish").returncode == 2
