"""One warm zygote for all tests of the runtime."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from functory.sandbox.process import ProcessSandboxes
from functory.sandbox.safe import SafeSandboxes
from functory.testing.workshop import Workshop


@pytest.fixture(scope="session")
def workshop() -> Iterator[Workshop]:
    """Makes instances as plain processes."""
    with Workshop(SafeSandboxes(ProcessSandboxes())) as workshop:
        yield workshop
