"""Builds docker/Dockerfile with buildah on bases made by mmdebstrap: no daemon, no registry, no GPU."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT

# what the slim images of Debian do: no documentation, and dpkg does not wait for the disk
SLIM = ["force-unsafe-io", "path-exclude=/usr/share/doc/*", "path-exclude=/usr/share/man/*"]


class Buildah:
    """buildah on a store of its own in FOLDER."""

    def __init__(self, folder: Path) -> None:
        """Skips the test, with the reason, where this machine cannot build images."""
        for program in ("buildah", "mmdebstrap"):
            if shutil.which(program) is None:
                pytest.skip(f"{program} is not installed")
        if os.geteuid() != 0:
            pytest.skip("buildah without a container runtime needs root")
        if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode != 0:
            pytest.skip("root may not mount here: buildah's chroot isolation cannot work")
        self.folder = folder
        # overlay keeps what each layer changes, vfs a whole copy a layer
        self.driver = "overlay"
        try:
            self.run("rm", self.run("from", "scratch"))
        except AssertionError:
            self.driver = "vfs"

    def run(self, *arguments: object) -> str:
        store = ["--storage-driver", self.driver, "--root", self.folder / "root", "--runroot", self.folder / "run"]
        done = subprocess.run(
            ["buildah", *map(str, store), *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=str(ROOT),
        )
        print(done.stdout)
        assert done.returncode == 0, done.stdout[-3000:]
        return done.stdout.strip()

    def make_base(self, codename: str) -> str:
        """A bare Debian, as its slim image is."""
        container = self.run("from", "scratch").splitlines()[-1]
        options = [f"--dpkgopt={option}" for option in SLIM] + ['--aptopt=Acquire::Languages "none"']
        mounted = self.run("mount", container).splitlines()[-1]
        subprocess.run(["mmdebstrap", "--quiet", "--variant=minbase", *options, codename, mounted], check=True)
        name = f"localhost/{codename}"
        self.run("commit", "--quiet", "--rm", container, name)
        return name

    def build(self, image: str, base: str, *options: object) -> str:
        """IMAGE of docker/Dockerfile on BASE; --format docker keeps the health check, which OCI's has no place for."""
        name = f"localhost/skinmtl:{image}"
        arguments = ["--build-arg", f"IMAGE={image}", "--build-arg", f"{image.upper()}_BASE={base}"]
        files = ["--ignorefile", "docker/Dockerfile.dockerignore", "-f", "docker/Dockerfile"]
        self.run("bud", "--isolation", "chroot", "--format", "docker", *arguments, *options, *files, "-t", name, ".")
        return name

    def inspect(self, image: str, field: str) -> str:
        return self.run("inspect", "--type", "image", "--format", "{{." + field + "}}", image).splitlines()[-1]

    def close(self) -> None:
        self.run("rm", "--all")
        shutil.rmtree(str(self.folder), ignore_errors=True)


class Container:
    """Runs commands in an image, as its default user or as another, as docker run -u does."""

    def __init__(self, buildah: Buildah, image: str) -> None:
        self.buildah = buildah
        self.name = buildah.run("from", image).splitlines()[-1]

    def run(self, *command: str, user: str | None = None, work: Path | None = None) -> str:
        options = ["--user", user] if user else []
        if work is not None:
            options += ["--volume", f"{work}:/work"]
        return self.buildah.run("run", "--isolation", "chroot", *options, self.name, "--", *command)

    def usages_of_tools(self, user: str) -> set[str]:
        """The tools that answer --help, by the name in their usage."""
        script = r"""cd /opt/skinmtl/tools && find . -name '*.py' -executable -printf '%P\n' |
            xargs -P 4 -I TOOL sh -c 'TOOL --help | grep -m 1 -o "^usage: [a-z_0-9]*.py"'"""
        return {line.split()[-1] for line in self.run("sh", "-c", script, user=user).splitlines()}


def tools_of_the_clone() -> set[str]:
    return {path.name for path in (ROOT / "tools").glob("*.py") if os.access(str(path), os.X_OK)}


def short_demo(train: str, score: str) -> str:
    """tools/demo.sh's way, short: a training with scales drawn online, stopped as docker stop does, and scored.

    A shell has SIGINT ignored in what it starts in the background, which Docker has not: hence env. Stopped by it, both
    engines end with 0.
    """
    return rf"""
set -eu
data="--manifest data/manifest.csv --images data/images --folds folds.csv --fold 0"
make_demo_data.py --out data --count 120 >/dev/null
make_folds.py --manifest data/manifest.csv --out folds.csv >/dev/null
make_lmdb.py $data --subset train --short-side 96 --out train
make_lmdb.py $data --subset test --short-side 73 --out test
make_prototxt.py --model resnet50_mtl --trunk tiny --crop 64 --batch-size 8 --test-batch-size 24 \
    --lesions 10 --locations 7 --train-data train --test-data test {
        "" if "torch" in train else "--online-jitter --scales 73 96"
    } --out net
sed -e 's|prototxt/tiny_mtl/|net/|' -e 's|work/demo/|./|' -e 's|^display: .*|display: 2|' \
    -e 's|^test_iter: .*|test_iter: 1|' /opt/skinmtl/solvers/tiny_mtl.prototxt >solver.prototxt
env --default-signal=INT {train} -solver solver.prototxt >log 2>&1 &
trainer=$!
until grep -q 'Iteration 4 ' log; do
    kill -0 $trainer || {{ tail log; exit 1; }}
    sleep 0.2
done
kill -INT $trainer
wait $trainer
weights=$(ls tiny_mtl_iter_*.caffemodel)
score.py {score} --deploy net/deploy.prototxt --weights $weights $data --subset test --short-side 73 --out scores.npz
evaluate.py scores.npz
"""
