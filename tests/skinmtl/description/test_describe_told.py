"""describe.py says which files are used although something is not as it should be, and which formats are not read."""

from __future__ import annotations

import json

import cv2
import numpy as np

from skinmtl.description.files import NOT_READ, look
from skinmtl.images import formats

DARK = "16-bit values, the brightest below an eighth of white: probably 12 bits; save it with 8 bits a channel"


def test_a_finding_with_the_images(tool, make_dataset, tmp_path):
    data = make_dataset(6)
    names = sorted(path.relative_to(data.images) for path in data.images.rglob("*") if path.is_file())[:2]
    for name in names:
        noise = np.random.RandomState(0).randint(0, 4096, (64, 64, 3)).astype(np.uint16)
        (data.images / name).write_bytes(cv2.imencode(".png", noise)[1].tobytes())
    words = ("--manifest", data.manifest, "--images", data.images, "--workers", 1, "--out", tmp_path / "out")
    done = tool("describe.py", *words)
    assert done.returncode == 0, done.stderr
    assert f"2 images: {DARK}" in done.stdout
    record = json.loads((tmp_path / "out" / "description.json").read_text(encoding="utf-8"))
    assert record["files"]["told"] == {DARK: [str(name) for name in names]}
    assert DARK in (tmp_path / "out" / "index.html").read_text(encoding="utf-8")


def test_a_format_that_is_not_read_here_is_no_damage(tmp_path, monkeypatch):
    for module in ("skinmtl.images.formats.unread_here", "skinmtl.description.files.unread_here"):
        monkeypatch.setattr(module, lambda form: "GIF is not read here" if form is formats.GIF else "")
    (tmp_path / "a.gif").write_bytes(b"GIF89a\x40\0\x40\0" + bytes(40))
    facts = look((tmp_path / "a.gif", False))
    assert (facts.kind, facts.problem, facts.header.format) == (NOT_READ, "it is GIF; GIF is not read here", "GIF")
