"""The commands for ISIC 2017 on the pages on masks, typed as they stand: drawn moles lie where the downloads would.

Only what would take days is made smaller: the net's sizes, and the phases.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
from conftest import ROOT
from documents import commands_of

from skinmtl.data.demo import mole_set
from skinmtl.data.manifest import read_manifest

pytestmark = [pytest.mark.caffe, pytest.mark.slow]
PAGES = ("docs/importing.md", "docs/box-class-and-mask.md")
SPLITS = {"Training": 12, "Validation": 4, "Test_v2": 4}
SMALLER = {
    "--model resnet50_mask_rcnn": "--model resnet50_mask_rcnn --trunk tiny --side 64 --proposals 40 20 --rois 8 "
    "--channels 8 --rpn-channels 8 --full 16 --mask-channels 8 --anchor-scales 16 24 32 48 64",
    "--weights ResNet-50-model.caffemodel --gpu 0": "--phases phases.yaml --test-interval 4",
    "--bootstrap 10000": "--bootstrap 100",
}
PHASES = """phases:
- {trainable: ["*"], base_lr: 0.01, iterations: 2}
- {trainable: ["*"], base_lr: 0.001, iterations: 2}
"""


def as_downloaded(folder, moles):
    """The nine files of ISIC 2017, unpacked: photographs, superpixels, masks and tables of each split."""
    rows = iter(read_manifest(moles / "manifest.csv").rows)
    for split, count in SPLITS.items():
        images, masks = (folder / f"ISIC-2017_{split}_{name}" for name in ("Data", "Part1_GroundTruth"))
        images.mkdir(parents=True)
        masks.mkdir()
        table = ["image_id,melanoma,seborrheic_keratosis"]
        for _ in range(count):
            row = next(rows)
            name = f"ISIC_{int(Path(row.image).stem):07d}"
            shutil.copy(str(moles / row.image), str(images / f"{name}.jpg"))
            shutil.copy(str(moles / row.mask), str(masks / f"{name}_segmentation.png"))
            cv2.imwrite(str(images / f"{name}_superpixels.png"), cv2.imread(str(moles / row.image)))
            table.append(f"{name},{float(row.lesions == ('malignant',))},0.0")
        (folder / f"ISIC-2017_{split}_Part3_GroundTruth.csv").write_text("\n".join(table) + "\n")


def test_isic_2017_from_the_download_to_figures(tmp_path):
    mole_set.make(tmp_path / "moles", sum(SPLITS.values()), patients=sum(SPLITS.values()))
    as_downloaded(tmp_path / "ISIC2017", tmp_path / "moles")
    (tmp_path / "phases.yaml").write_text(PHASES)
    for name in ("tools", "python", "solvers"):
        (tmp_path / name).symlink_to(ROOT / name)
    typed = [command.line for page in PAGES for command in commands_of(page)]
    typed = [line for line in typed if "isic2017" in line and not re.search("^for |isic2016|^caffe train", line)]
    assert len(typed) == 9
    script = "set -e\n" + "\n".join(typed)
    for long, short in SMALLER.items():
        assert long in script
        script = script.replace(long, short)
    environment = dict(os.environ, PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}", OPENBLAS_NUM_THREADS="1")
    done = subprocess.run(
        ["bash", "-c", script], cwd=str(tmp_path), env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    work = tmp_path / "work/isic2017"
    assert {path.name for path in (work / "masks").rglob("*.png")} == {
        f"{path.name}.png" for path in (tmp_path / "ISIC2017/ISIC-2017_Test_v2_Data").glob("*.jpg")
    }
    assert (work / "metrics.json").is_file()
