"""install.sh and check_image.sh as an image runs them, with stand-ins for the programs that they call."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from conftest import ROOT


class Scripts:
    """A copy of docker/ below FOLDER; a call runs one of its scripts."""

    def __init__(self, folder: Path) -> None:
        self.docker = folder / "docker"
        self._programs = folder / "bin"
        shutil.copytree(str(ROOT / "docker"), str(self.docker))
        self._programs.mkdir()

    def __call__(self, script: str, image: str, *arguments: str, **programs: str) -> subprocess.CompletedProcess:
        """Runs it in IMAGE (cpu, gpu, torch); PROGRAMS are shell text by name, with _ for -."""
        for name, text in {"skinmtl": "exit 0", **programs}.items():
            path = self._programs / name.replace("_", "-")
            path.write_text(f"#!/bin/sh\n{text}\n")
            path.chmod(0o755)
        return subprocess.run(
            [str(self.docker / script), *arguments],
            env={"PATH": f"{self._programs}:/usr/bin:/bin", "SKINMTL_IMAGE": image},
            capture_output=True,
            text=True,
            timeout=20,
        )
