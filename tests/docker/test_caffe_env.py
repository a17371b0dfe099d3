"""The environment made without Docker, .caffe/: what its launchers promise."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from processes import run

import skinmtl

PACKAGES = ROOT / "docker" / "packages.txt"
MADE_FROM = [PACKAGES, ROOT / "docker" / "run_in_place.sh"]
PROGRAMS = ["caffe", "python3", "convert_imageset", "compute_image_mean", "extract_features", "pytest", "skinmtl"]


@pytest.fixture(scope="module")
def home():
    """The environment that runs these tests."""
    folder = Path(sys.executable).parents[1]
    if not (folder / "packages.txt").exists():
        pytest.skip("not run from the environment that make caffe makes: make caffe, then .caffe/bin/pytest")
    return folder


class TestLaunchers:
    pytestmark = pytest.mark.caffe

    @pytest.mark.parametrize("program", PROGRAMS)
    def test_a_program_starts_from_any_folder_and_through_a_link(self, home, program, tmp_path):
        folder = tmp_path / "with some spaces"
        folder.mkdir()
        (folder / program).symlink_to(home / "bin" / program)
        arguments = [] if program == "extract_features" else ["--version"]
        done = run(folder / program, *arguments, cwd=str(folder))
        assert {"python3": "Python 3.9", "pytest": "pytest 6"}.get(program, program) in done.stdout + done.stderr

    def test_the_whole_folder_can_stand_under_a_path_with_spaces(self, home, tmp_path):
        moved = tmp_path / "another place"
        moved.mkdir()
        for part in ("lib", "usr"):
            (moved / part).symlink_to(home / part)
        shutil.copytree(str(home / "bin"), str(moved / "bin"))
        assert run(moved / "bin" / "caffe", "--version").stdout == "caffe version 1.0.0\n"
        script = "import caffe, sys; print(sys.executable)"
        assert run(moved / "bin" / "python3", "-c", script).stdout == f"{moved}/bin/python3\n"

    def test_skinmtl_runs_the_tools_of_the_clone_by_the_python_inside(self, home, tmp_path):
        said = run(home / "bin" / "skinmtl", "--version", cwd=str(tmp_path)).stdout
        assert said.startswith(f"skinmtl {skinmtl.__version__} ({home.parent}/tools; Python 3.9")
        assert said.endswith(f", {home}/bin/python3)\n")
        done = run(home / "bin" / "skinmtl", "correlate", "--manifest", "no such", "--out", "x y", cwd=str(tmp_path))
        assert (done.returncode, done.stderr[:25]) == (1, "skinmtl correlate: no such"[:25])

    def test_it_names_release_1_of_caffe(self, home):
        assert run(home / "bin" / "caffe", "--version").stdout == "caffe version 1.0.0\n"

    def test_openblas_works_and_the_reference_blas_is_not_loaded(self, home):
        script = (
            "import caffe, cv2, sklearn.metrics, numpy; numpy.ones((99, 99)).dot(numpy.ones((99, 99)))\n"
            "print(open('/proc/self/maps').read())"
        )
        libraries = {
            line.split()[-1] for line in run(home / "bin" / "python3", "-c", script).stdout.splitlines() if line
        }
        assert any("/libopenblas" in name for name in libraries)
        assert all("/openblas-pthread/" in name for name in libraries if "/libblas" in name or "/liblapack" in name)

    def test_every_library_comes_from_the_environment(self, home):
        script = "import caffe, cv2, lmdb, sklearn.metrics\nprint(open('/proc/self/maps').read())"
        maps = run(home / "bin" / "python3", "-c", script).stdout.splitlines()
        assert [line for line in maps if ".so" in line and str(home) not in line] == []

    def test_a_child_process_sees_the_environment_of_its_caller(self, home):
        script = "import subprocess; print(subprocess.check_output(['/usr/bin/env'], text=True))"
        caller = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "LD_LIBRARY_PATH": "/nowhere"}
        seen = run(home / "bin" / "python3", "-c", script, env=caller).stdout.split()
        own = ("PWD=", "SHLVL=", "_=", "OLDPWD=", "OPENBLAS_CORETYPE=")  # the last: the test below
        ours = [entry for entry in seen if not entry.startswith(own)]
        assert sorted(ours) == sorted(f"{name}={value}" for name, value in caller.items())

    def test_openblas_uses_the_processor_that_is_there_and_a_users_choice_holds(self, home):
        """Debian 11's OpenBLAS took newer processors for one of 2004, three times as slow."""
        script = (
            "import ctypes; blas = ctypes.CDLL('libopenblas.so.0');"
            "blas.openblas_get_corename.restype = ctypes.c_char_p; print(blas.openblas_get_corename().decode())"
        )
        if " avx2 " in Path("/proc/cpuinfo").read_text():
            assert run(home / "bin" / "python3", "-c", script).stdout.strip() != "Prescott"
        chosen = run(home / "bin" / "python3", "-c", script, env={**os.environ, "OPENBLAS_CORETYPE": "Prescott"})
        assert chosen.stdout.strip() == "Prescott"

    def test_sys_executable_starts_the_same_environment(self, home):
        assert sys.executable == str(home / "bin" / "python3")
        assert run(sys.executable, "-c", "import caffe, sys; print(sys.prefix)").stdout == f"{home}/usr\n"

    def test_multiprocessing_can_spawn(self, home, tmp_path):
        script = tmp_path / "spawn.py"
        script.write_text(
            "import multiprocessing\n"
            "def version(_):\n"
            "    import caffe, sys\n"
            "    return sys.executable\n"
            "if __name__ == '__main__':\n"
            "    with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
            "        print(pool.map(version, [0])[0])\n"
        )
        assert run(home / "bin" / "python3", script).stdout == f"{home}/bin/python3\n"

    def test_a_layer_in_python_runs_inside_caffe_on_the_environments_own_python(self, home, tmp_path):
        (tmp_path / "shown.py").write_text(
            "import caffe, json, os, site, sys\n"
            "class Shown(caffe.Layer):\n"
            "    def setup(self, bottom, top):\n"
            "        import cv2, lmdb, skinmtl.layers\n"
            "        seen = [sys.executable, sys.prefix, site.ENABLE_USER_SITE, skinmtl.layers.__file__]\n"
            "        variables = {name: os.environ.get(name) for name in ('PYTHONHOME', 'PYTHONNOUSERSITE')}\n"
            "        print(json.dumps([seen, sys.path[0], variables]), flush=True)\n"
            "    def reshape(self, bottom, top): top[0].reshape(1)\n"
            "    def forward(self, bottom, top): pass\n"
            "    def backward(self, top, propagate_down, bottom): pass\n"
        )
        (tmp_path / "net.prototxt").write_text(
            'layer { name: "s" type: "Python" top: "s" python_param { module: "shown" layer: "Shown" } }'
        )
        command = [home / "bin" / "caffe", "time", "-model", "net.prototxt", "-iterations", "1"]
        done = run(*command, cwd=str(tmp_path), env=dict(os.environ, PYTHONPATH=str(tmp_path)))
        assert done.returncode == 0, done.stderr
        seen, first, variables = json.loads(done.stdout)
        clone = Path(skinmtl.__file__).parent
        assert seen == [f"{home}/bin/python3", f"{home}/usr", False, str(clone / "layers" / "__init__.py")]
        assert first == str(tmp_path)  # the user's own comes first
        assert variables == {"PYTHONHOME": None, "PYTHONNOUSERSITE": None}  # for its children, as their caller has them

    def test_packages_of_the_users_home_stay_out(self, home):
        assert run(home / "bin" / "python3", "-c", "import site; print(site.ENABLE_USER_SITE)").stdout == "False\n"

    def test_a_plot_is_drawn(self, home, tmp_path):
        script = (
            "import matplotlib; matplotlib.use('agg')\n"
            "import matplotlib.pyplot; matplotlib.pyplot.title('x'); matplotlib.pyplot.savefig('p.png')"
        )
        settings = dict(os.environ, MPLCONFIGDIR=str(tmp_path))
        done = run(home / "bin" / "python3", "-c", script, cwd=str(tmp_path), env=settings)
        assert (tmp_path / "p.png").exists(), done.stderr

    def test_nothing_in_it_runs_with_another_users_rights(self, home):
        assert run("find", home, "-type", "f", "-perm", "/6000").stdout == ""
