"""The server of weights. A test file has it by `pytest_plugins = ["weights_server_fixture"]`."""

from __future__ import annotations

import pytest
from weights_server import Server


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Server()
    yield server
    server.close()
