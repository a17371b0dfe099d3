"""A small mask net and photographs of moles, made once: `pytest_plugins = ["made_masks_fixtures"]`."""

from __future__ import annotations

import pytest
from made_masks_model import MaskModel, Moles


@pytest.fixture(scope="session")
def mask_model(tmp_path_factory):
    """A small mask net with a head for lesions beside its own; not to be changed."""
    return MaskModel(tmp_path_factory.mktemp("mask model") / "net", also=("lesion",))


@pytest.fixture(scope="session")
def moles(tmp_path_factory):
    """Six photographs; not to be changed."""
    return Moles(tmp_path_factory.mktemp("moles") / "set")
