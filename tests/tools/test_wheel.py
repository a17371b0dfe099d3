"""What pip installs works by itself: `skinmtl` with its tools, solvers and workflow, outside of any clone."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT

pytest.importorskip("setuptools", minversion="61", reason="setuptools here cannot read pyproject.toml")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("git") is None or not (ROOT / ".git").exists(), reason="not run from a git clone"),
]


def run(*command, cwd, **variables):
    done = subprocess.run(
        list(map(str, command)), cwd=str(cwd), env=dict(os.environ, **variables), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """What git tracks, without what was made beside it."""
    folder = tmp_path_factory.mktemp("source")
    for name in run("git", "ls-files", "-z", cwd=ROOT).split("\0"):
        if name and (ROOT / name).is_file() and name.split("/")[0] not in ("tests", "docs", "benchmarks"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(str(ROOT / name), str(folder / name))
    return folder


def build(kind, source, out):
    """A wheel or an sdist of SOURCE, by this Python's setuptools."""
    script = f"from setuptools import build_meta; print(build_meta.build_{kind}({str(out)!r}))"
    return out / run(sys.executable, "-c", script, cwd=source).split()[-1]


@pytest.fixture(scope="module")
def wheel(source, tmp_path_factory):
    return build("wheel", source, tmp_path_factory.mktemp("wheel"))


@pytest.fixture
def python(tmp_path):
    """A fresh environment that has what this Python has, but not this project."""
    venv.create(str(tmp_path / "fresh"), with_pip=False)
    packages = next((tmp_path / "fresh" / "lib").glob("python*/site-packages"))
    others = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    (packages / "others.pth").write_text("\n".join(others) + "\n")
    return tmp_path / "fresh" / "bin" / "python"


def pip_install(python, *arguments, cwd):
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index"]
    run(*pip, "--no-build-isolation", *arguments, cwd=cwd)


def first_steps(python, folder):
    """Draws pictures and deals them into folds, by the installed command, from an empty folder."""
    skinmtl = python.with_name("skinmtl")
    run(skinmtl, "make-demo-data", "--out", "data", "--images", 30, cwd=folder, PYTHONPATH="")
    run(skinmtl, "make-folds", "--manifest", "data/manifest.csv", "--out", "folds.csv", cwd=folder, PYTHONPATH="")
    assert len((folder / "folds.csv").read_text().splitlines()) == 31
    return run(skinmtl, "--version", cwd=folder, PYTHONPATH="")


def test_a_wheel_runs_in_a_fresh_environment(wheel, python, tmp_path):
    pip_install(python, wheel, cwd=tmp_path)
    assert f"({python.parents[1].resolve()}/lib/" in first_steps(python, tmp_path)


@pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("snakemake", "torch")), reason="no Snakemake or no PyTorch"
)
def test_a_wheel_runs_experiments(wheel, python, tmp_path):
    """The workflow, its presets and the plugin that tells of it are found, and the jobs run the installed tools."""
    pip_install(python, wheel, cwd=tmp_path)
    first_steps(python, tmp_path)
    words = ["run", "data/manifest.csv", "--images", "data/images", "--out", "out", "--folds", "2", "--engine", "torch"]
    process = subprocess.Popen(
        [str(python.with_name("skinmtl")), *words],
        cwd=str(tmp_path),
        env=dict(os.environ, PYTHONPATH=""),
        stdout=subprocess.PIPE,
        text=True,
    )
    said = ""
    for line in process.stdout:
        said += line
        if "LMDBs done" in line:
            break
    process.terminate()
    process.communicate()
    assert re.search(r"0:\d\d:\d\d  fold \d: (training|validation) LMDBs done", said), said


def test_an_editable_installation_runs_the_tools_of_the_clone(source, python, tmp_path):
    pip_install(python, "--editable", source, cwd=tmp_path)
    assert f"({source}/tools; " in first_steps(python, tmp_path)


def test_a_wheel_has_the_three_packages_and_all_that_the_tools_read(wheel):
    with zipfile.ZipFile(str(wheel)) as archive:
        inside = set(archive.namelist())
    library = run("git", "ls-files", "python", cwd=ROOT).split()
    assert {name.split("/")[1] for name in library} == {"caffe_files", "caffe_torch", "skinmtl"}
    assert {name.replace("python/", "", 1) for name in library} <= inside
    tracked = run("git", "ls-files", "tools/*.py", "workflow", "solvers", cwd=ROOT).split()
    for name in tracked:
        place = name.replace("tools/", "", 1) if name.startswith("tools/") else name
        assert f"skinmtl_tools/{place}" in inside


def test_an_sdist_makes_the_same_wheel(source, wheel, tmp_path):
    archive = build("sdist", source, tmp_path)
    shutil.unpack_archive(str(archive), str(tmp_path))
    again = build("wheel", Path(str(archive)[: -len(".tar.gz")]), tmp_path)
    with zipfile.ZipFile(str(wheel)) as one, zipfile.ZipFile(str(again)) as other:
        assert sorted(one.namelist()) == sorted(other.namelist())
