"""Where the workflow, its presets and the solvers lie: in a clone beside python/, else inside skinmtl_tools."""

from __future__ import annotations

from pathlib import Path

import skinmtl

_ABOVE = Path(skinmtl.__file__).resolve().parents[1]  # python/ of a clone, or where pip puts packages
CLONE = _ABOVE.parent if (_ABOVE.parent / "tools" / "cli.py").is_file() else None
SHARED = CLONE or _ABOVE / "skinmtl_tools"
WORKFLOW = SHARED / "workflow"
PRESETS = WORKFLOW / "presets"
