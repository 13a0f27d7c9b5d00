"""Health checks of a function's own server."""

from __future__ import annotations

from . import backend, loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Health:
    """Asks a server how it is (`healthCheckConfig`)."""

    def __init__(self, events: loop.Loop, server: backend.Backend, rules: dict[str, Any], on_ill: Any) -> None:
        self._loop = events
        self._server = server
        self._rules = rules
        self._on_ill = on_ill
        self._on_well: Any = None
        self._good = 0
        self._bad = 0
        self._stopped = False
        path = rules["path"] if rules["path"].startswith("/") else "/" + rules["path"]
        self._head = f"GET {path} HTTP/1.1\r\nhost: {backend.HOST}:{server.port}\r\n".encode()

    def wait(self, on_well: Any) -> None:
        """Calls back once it has been well often enough. Until then it is asked more often than later."""
        self._on_well = on_well
        self._ask(lambda well: self._first(well))

    def watch(self) -> None:
        """From now on: too many bad answers in a row, and `on_ill` is called."""
        self._bad = 0
        self._later(self._rules["period_s"], self._checked)

    def stop(self) -> None:
        """No more questions."""
        self._stopped = True

    def _first(self, well: bool) -> None:
        self._good = self._good + 1 if well else 0
        if self._good >= self._rules["success_threshold"]:
            self._on_well()
        else:
            self._later(min(self._rules["period_s"], 0.1), self._first)

    def _checked(self, well: bool) -> None:
        self._bad = 0 if well else self._bad + 1
        if self._bad >= self._rules["failure_threshold"]:
            self._on_ill(f"the server failed its health check {self._rules['path']} {self._bad} times in a row")
        else:
            self._later(self._rules["period_s"], self._checked)

    def _later(self, seconds: float, then: Any) -> None:
        self._loop.later(seconds, lambda: None if self._stopped else self._ask(then))

    def _ask(self, then: Any) -> None:
        told: list[bool] = []

        def tell(well: bool) -> None:
            if not told:
                told.append(well)
                timer.cancel()
                then(well)

        def news(answer: backend.Answer) -> None:
            answer.pieces.clear()
            if answer.failure or answer.whole:
                tell(not answer.failure and 200 <= answer.status < 400)

        def late() -> None:
            self._server.drop(answer)
            tell(False)

        timer = self._loop.later(self._rules["timeout_s"], late)
        answer = self._server.send(self._head, b"", news)
