"""docker/: what the Dockerfile copies is there, what it installs fits the project, what its scripts say when it fails.

Nothing is built here: tests/docker/test_image.py and tests/docker/test_image_torch.py do that.
"""

from __future__ import annotations

import importlib.util
import re
from fnmatch import fnmatch
from pathlib import Path

import pytest
from conftest import ROOT
from image_scripts import Scripts

import skinmtl

DOCKER = ROOT / "docker"
DOCKERFILE = (DOCKER / "Dockerfile").read_text()
# instructions, continued lines joined, comments left out
INSTRUCTIONS = re.sub(r"\\\n", " ", re.sub(r"(?m)^\s*#.*\n", "", DOCKERFILE)).splitlines()
LISTS = {name: DOCKER / f"packages{name}.txt" for name in ("", "-gpu", "-torch")}
PROJECT = (ROOT / "pyproject.toml").read_text()
# extras: HEIC, completion, the workflow, the faster decoder of JPEGs, without which OpenCV reads them; and the ISIC
# challenges' scorer, whose tests are skipped there
NOT_IN_IMAGES = ("pillow-heif", "shtab", "snakemake", "simplejpeg", "isic-challenge-scoring")


def arguments_of(instruction):
    return [line.split(None, 1)[1] for line in INSTRUCTIONS if line.startswith(instruction + " ")]


def listed(path):
    return [line for line in path.read_text().splitlines() if line and not line.startswith("#")]


def sent_to_the_builder(path):
    """Whether Dockerfile.dockerignore lets PATH through: the last line that matches it, or a folder above, decides."""
    sent = True
    parts = Path(path).parts
    for line in listed(DOCKER / "Dockerfile.dockerignore"):
        pattern = line.lstrip("!")
        anywhere = pattern.startswith("**/")
        heads = parts if anywhere else ["/".join(parts[: n + 1]) for n in range(len(parts))]
        if any(fnmatch(head, pattern[3:] if anywhere else pattern) for head in heads):
            sent = line.startswith("!")
    return sent


class TestDockerfile:
    def test_all_that_it_copies_is_there_and_reaches_the_builder(self):
        sources = [word for copy in arguments_of("COPY") for word in copy.split()[:-1]]
        assert "tools" in sources and "docker/check_image.sh" in sources
        for source in sources:
            found = list(ROOT.glob(source))
            assert found, f"{source} is not there"
            for path in found:
                assert sent_to_the_builder(path.relative_to(ROOT)), f"{path} does not reach the builder"

    def test_what_the_images_scripts_name_is_copied(self):
        copied = " ".join(arguments_of("COPY"))
        scripts = "".join((DOCKER / name).read_text() for name in ("install.sh", "check_image.sh"))
        for name in re.findall(r"\$here/([a-z_]+\.(?:py|sh)|probes)", scripts):
            assert f"docker/{name}" in copied
        for name in re.findall(r"probes/([a-z_]+\.prototxt)", scripts):
            assert (DOCKER / "probes" / name).exists()

    @pytest.mark.parametrize(
        "path",
        [
            *(".venv/bin/python", ".caffe/bin/caffe", ".git/config", "work/demo", "snapshots/a.caffemodel"),
            *("python/skinmtl/__pycache__/x.pyc", "python/skinmtl.egg-info/PKG-INFO", "ResNet-50-model.caffemodel"),
        ],
    )
    def test_what_an_image_does_not_need_stays_outside(self, path):
        assert not sent_to_the_builder(path)

    def test_every_argument_is_used_and_explained(self):
        names = {argument.split("=")[0] for argument in arguments_of("ARG")}
        assert {"IMAGE", "CPU_BASE", "GPU_BASE", "TORCH_BASE"} <= names
        programs = DOCKERFILE + (DOCKER / "install.sh").read_text()
        for name in names:
            read_by_pip = name.startswith("PIP_")
            assert read_by_pip or re.search(r"\$\{?" + name, programs), f"{name} is not used"
            assert name in (ROOT / "docs/docker.md").read_text(), f"docs/docker.md says nothing of {name}"

    def test_each_base_is_pinned(self):
        bases = [argument for argument in arguments_of("ARG") if "_BASE=" in argument]
        assert len(bases) == 3
        for base in bases:
            assert re.fullmatch(r"[A-Z]+_BASE=[a-z/]+:[a-z0-9.-]+(@sha256:[0-9a-f]{64})?", base)
            assert "latest" not in base

    def test_each_image_has_its_stage_and_knows_its_name(self):
        stages = re.findall(r"(?m)^FROM \$\{([A-Z]+)_BASE\} AS ([a-z]+)\nENV SKINMTL_IMAGE=([a-z]+)", DOCKERFILE)
        assert stages == [(name.upper(), name, name) for name in ("cpu", "gpu", "torch")]

    def test_it_runs_as_a_plain_user_in_work_and_docker_stop_lets_caffe_snapshot(self):
        assert arguments_of("USER")[-1] == "1000:1000"
        assert arguments_of("WORKDIR") == ["/work"]
        assert arguments_of("STOPSIGNAL") == ["SIGINT"]
        assert "check_image.sh" in arguments_of("HEALTHCHECK")[0]

    def test_its_labels_are_the_projects(self):
        labels = dict(re.findall(r'org\.opencontainers\.image\.([a-z]+)="([^"]*)"', DOCKERFILE))
        assert labels["title"] == "skinmtl"
        assert labels["version"] == skinmtl.__version__
        assert f'text = "{labels["licenses"]}"' in PROJECT
        assert {"description", "url", "source", "revision"} < set(labels)

    def test_nothing_is_compiled(self):
        recipes = DOCKERFILE + (DOCKER / "install.sh").read_text()
        assert not re.search(r"build-essential|cmake|\bgcc\b|git clone|-dev\b", recipes)
        assert "PIP_ONLY_BINARY=:all:" in recipes


class TestPackages:
    @pytest.mark.parametrize("name", LISTS)
    def test_a_list_has_one_package_a_line(self, name):
        packages = listed(LISTS[name])
        assert packages and len(packages) == len(set(packages))
        assert all(re.fullmatch(r"[a-z0-9][a-z0-9+.-]+", package) for package in packages)

    def test_both_caffe_images_have_the_same_but_for_caffe_and_the_name_of_openblas(self):
        cpu, gpu = set(listed(LISTS[""])), set(listed(LISTS["-gpu"]))
        assert cpu - gpu == {"caffe", "python3-caffe", "libopenblas0-pthread"}
        assert gpu - cpu == {"caffe-cuda", "python3-caffe-cuda", "libopenblas-base"}

    def test_pips_list_is_pinned_and_has_what_the_project_asks_for(self):
        packaging = pytest.importorskip("packaging.requirements")
        pins = dict(line.split("==") for line in listed(DOCKER / "requirements-torch.txt"))
        wanted = [packaging.Requirement(text) for text in re.findall(r'"([a-z][a-z0-9-]+>=[^"]+)"', PROJECT)]
        in_image = [r for r in wanted if r.name not in ("setuptools", *NOT_IN_IMAGES)]
        assert {"numpy", "torch", "safetensors", "onnx", "onnxruntime", "pytest"} <= {r.name for r in in_image}
        for requirement in in_image:
            if requirement.marker is None or requirement.marker.evaluate({"python_version": "3.11"}):
                assert requirement.specifier.contains(pins[requirement.name]), requirement

    def test_pytorch_is_the_one_that_make_torch_installs(self):
        tested = re.search(r"torch==[0-9.]+", (ROOT / "Makefile").read_text()).group()
        assert tested in listed(DOCKER / "requirements-torch.txt")


@pytest.fixture()
def check_libraries():
    spec = importlib.util.spec_from_file_location("check_libraries", str(DOCKER / "check_libraries.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class TestLibraries:
    def test_it_asks_for_every_package_that_the_project_imports(self, check_libraries):
        names = {name.split("<")[0] for name in check_libraries.COMMON.values()}
        wanted = set(re.findall(r'"([a-z][a-z0-9-]+)>=', PROJECT)) - {"setuptools", *NOT_IN_IMAGES}
        engine = set(check_libraries.ENGINES["torch"].values())
        assert names | engine == wanted

    def test_what_cannot_be_imported_is_missing_by_its_name_for_pip(self, check_libraries, monkeypatch):
        def import_module(name):
            if name in ("cv2", "torch"):
                raise ImportError(name)

        monkeypatch.setattr(check_libraries.importlib, "import_module", import_module)
        assert check_libraries.missing("caffe") == ["opencv-python-headless"]
        assert check_libraries.missing("torch") == ["opencv-python-headless", "torch"]

    @pytest.mark.parametrize(
        ("loaded", "any_blas", "says"),
        [
            ("/usr/lib/x86_64-linux-gnu/openblas-pthread/libblas.so.3", False, None),
            ("/usr/lib/x86_64-linux-gnu/openblas/libblas.so.3", False, None),  # Debian 10
            ("/usr/lib/python3/numpy.libs/libscipy_openblas64_-32a4b2a6.so", False, None),
            ("/usr/lib/x86_64-linux-gnu/blas/libblas.so.3.9.0", False, "the reference BLAS is loaded"),
            ("/usr/lib/x86_64-linux-gnu/blas/libblas.so.3.9.0", True, None),
            ("/usr/lib/libc.so.6", False, "no OpenBLAS"),
        ],
    )
    def test_the_plain_reference_blas_is_refused_except_in_a_users_base(
        self, check_libraries, monkeypatch, capsys, loaded, any_blas, says
    ):
        monkeypatch.setattr(check_libraries.importlib, "import_module", lambda name: Anything())
        monkeypatch.setattr(check_libraries, "loaded_libraries", lambda: {loaded})
        if says:
            with pytest.raises(SystemExit, match=says):
                check_libraries.check("caffe", any_blas, "/")
        else:
            check_libraries.check("caffe", any_blas, "/")
        if "blas" in loaded:
            assert loaded in capsys.readouterr().out


class Anything:
    """Stands in for a package: has every name, and all can be called."""

    def __getattr__(self, name):
        return lambda *arguments, **options: Anything()


class TestScripts:
    """install.sh and check_image.sh with stand-ins for the programs that they call."""

    @pytest.fixture()
    def run(self, tmp_path):
        return Scripts(tmp_path)

    def test_an_unknown_image_is_refused_before_anything_is_installed(self, run):
        done = run("install.sh", "cuda")
        assert done.returncode == 1
        assert done.stderr == "install.sh: SKINMTL_IMAGE is 'cuda': cpu, gpu or torch\n"

    def test_a_base_whose_release_has_left_the_mirrors_is_told_of_the_archive(self, run):
        says = "E: The repository 'x bullseye Release' does not have a Release file."
        done = run("install.sh", "cpu", apt_get=f'echo "{says}" >&2; exit 100')
        assert done.returncode == 1
        assert done.stderr.splitlines()[0] == says
        assert "name Debian's archive of old releases by --build-arg APT_MIRROR=URL" in done.stderr.splitlines()[-1]

    def test_a_base_whose_python_is_too_old_is_refused(self, run):
        python = 'case "$*" in *version_info*) exit 1 ;; --version) echo Python 3.6.9 ;; esac'
        done = run("install.sh", "gpu", caffe="exit 0", python3=python)
        assert done.returncode == 1
        assert done.stderr == "install.sh: the base has Python 3.6.9: the tools need Python 3.7 or later\n"

    def test_an_image_whose_caffe_has_no_python_layers_is_not_finished(self, run):
        done = run("check_image.sh", "cpu", python3="exit 0", caffe='case "$*" in *python_layer*) exit 1 ;; esac')
        assert done.returncode == 1
        assert "layers in Python do not run" in done.stderr.splitlines()[-1]

    def test_a_base_that_a_user_named_may_have_none(self, run):
        (run.docker / "base_is_given").touch()
        done = run("check_image.sh", "cpu", python3="exit 0", caffe='case "$*" in *python_layer*) exit 1 ;; esac')
        assert done.returncode == 0, done.stderr
        assert "--online-jitter" in done.stdout

    def test_an_image_whose_tools_do_not_start_is_not_finished(self, run):
        done = run("check_image.sh", "cpu", python3="exit 0", caffe="exit 0", skinmtl="exit 1")
        assert done.returncode == 1
        assert "skinmtl, does not start" in done.stderr.splitlines()[-1]

    def test_a_net_that_does_not_run_is_a_fault(self, run):
        done = run("check_image.sh", "cpu", python3="exit 0", caffe='case "$*" in *small_net*) exit 1 ;; esac')
        assert done.returncode == 1
        assert "small_net.prototxt" in done.stderr.splitlines()[-1]

    def test_the_pytorch_image_runs_the_same_net_on_its_engine(self, run):
        done = run("check_image.sh", "torch", python3="exit 0", caffe_torch="exit 3")
        assert done.returncode == 1
        assert "caffe-torch" in done.stderr

    def test_the_health_check_runs_no_net_beside_a_training(self, run):
        done = run("check_image.sh", "cpu", "health", python3="exit 0", caffe="[ $1 = --version ]")
        assert done.returncode == 0, done.stderr


def test_compose_has_a_service_an_image():
    yaml = pytest.importorskip("yaml")
    services = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]
    assert list(services) == ["cpu", "gpu", "torch"]
    for name, service in services.items():
        assert service["image"] == f"skinmtl:{name}"
        assert service["build"]["args"] == {"IMAGE": name}
        assert (DOCKER / service["build"]["context"] / service["build"]["dockerfile"]).samefile(DOCKER / "Dockerfile")
        devices = service.get("deploy", {}).get("resources", {}).get("reservations", {}).get("devices", [])
        assert [device["driver"] for device in devices] == ([] if name == "cpu" else ["nvidia"])
        assert service["volumes"][0]["target"] == "/work"
