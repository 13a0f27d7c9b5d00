"""One node for all tests of this folder."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import pytest

from e2e.node_process import NodeProcess
from functory.sdk import Client


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """One node for all tests that leave others alone; it must stop cleanly at the end."""
    started = NodeProcess(tmp_path_factory.mktemp("node"), "--http-destinations", "public,127.0.0.1")
    started.start()
    yield started
    code = started.stop()
    assert code == 0, f"the node ended with {code}; it said:\n{started.log}"


@pytest.fixture
def client(node: NodeProcess) -> Iterator[Client]:
    """A client of the node."""
    with Client(node.credentials) as connected:
        yield connected


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """The log of the node stands beside a failed test."""
    report = yield
    running = getattr(item, "funcargs", {}).get("node")
    if report.failed and isinstance(running, NodeProcess):
        report.sections.append(("the node's log, its end", running.log[-8000:]))
    return report
