"""Plain handlers side by side: each thread reads a request when it is its turn, runs it and answers it.

The thread that reads also runs the handler: handing requests over through a queue costs a thread switch each.
"""

from __future__ import annotations

import contextvars
import os
import threading
from collections import deque
from time import perf_counter_ns

from . import blocking, context, fault, frames, heap, instance, output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Request = tuple[int, int, int, bytes, bytes, int]

_log: contextvars.ContextVar[output.Log] = contextvars.ContextVar("functory_request")


class Threads:
    """Serves an instance with a plain handler and a concurrency above 1."""

    def __init__(self, served: instance.Instance) -> None:
        self._of = served
        self._pipe = served.pipe
        self._inbox = frames.Inbox()
        self._ready: deque[Request] = deque()
        self._reading = threading.Lock()
        self._draining = False
        self._heap = heap.Heap()
        self._base = contextvars.copy_context()
        outside = served.out.log
        served.out.current = lambda: _log.get(outside)

    def watch_heap(self, watch: heap.Heap) -> None:
        """Takes the place of the usual watch, before `serve`."""
        self._heap = watch

    def serve(self) -> None:
        """Handles requests until the pipe ends, or raises `Drained`."""
        others = [
            threading.Thread(target=self._work_alone, name=f"functory-{number}", daemon=True)
            for number in range(1, self._of.concurrency)
        ]
        for thread in others:
            thread.start()
        self._work()
        if not self._draining:
            os._exit(0)  # the node is gone; what others still run has nobody to answer
        for thread in others:
            thread.join()
        raise blocking.Drained

    def _work_alone(self) -> None:
        """A thread's whole life: an exit in a handler is the end of the process, not of the thread."""
        try:
            self._work()
        except SystemExit as leaving:
            os._exit(instance.exit_code(leaving))
        except frames.Gone:
            os._exit(0)

    def _work(self) -> None:
        while True:
            with self._reading:
                request = self._next()
            if request is None:
                return
            self._base.copy().run(self._handle, request)
            self._of.leave_if_forked()

    def _next(self) -> Request | None:
        """The next request; None at the end."""
        while not self._draining:
            if self._ready:
                return self._ready.popleft()
            if self._heap.grown:
                self._heap.shrink_if_idle(self._of.read_fd)
            data = os.read(self._of.read_fd, frames.READ_BYTES)
            if not data:
                return None
            for request in self._inbox.feed(data):
                if request[0] == frames.REQ:
                    self._ready.append(request)
                elif request[0] == frames.CREDENTIALS:
                    context.renew(request[4])
                elif request[0] == frames.DRAIN:
                    self._draining = True
        return self._ready.popleft() if self._ready else None

    def _handle(self, request: Request) -> None:
        _, stream, flags, meta, event, _ = request
        log = output.Log(stream)
        _log.set(log)
        raw = blocking.RawFlag()
        began = perf_counter_ns()
        try:
            about = log.context = self._of.context_for(flags, meta)
            buffers = self._run(stream, event, about, began, log, raw)
        except SystemExit:
            raise
        except BaseException as failure:
            if isinstance(failure, frames.Gone):
                raise
            code, text = fault.describe(failure)
            self._finish(log)
            last = frames.END | (frames.RAW_LOG if raw() else 0)
            buffers = [frames.frame(stream, frames.ERROR, last, code, b"", text)]
        if buffers:
            self._pipe.write_all(buffers)

    def _run(self, stream: int, event: bytes, context: Any, began: int, log: output.Log, raw: Any) -> list[Any]:
        result = self._of.handler(event, context)
        if hasattr(result, "__await__"):
            import asyncio

            result = asyncio.run(_awaited(result))
        if instance.is_stream(result):
            answer = instance.Stream(self._pipe, stream)
            for value in result:
                answer.send(instance.piece(value))
            self._finish(log)
            answer.end()
            return []
        body = instance.body(result)
        self._heap.note(max(len(event), len(body)))
        self._finish(log)
        us = (perf_counter_ns() - began) // 1000
        return frames.answer(stream, frames.RAW_LOG if raw() else 0, us, body)

    def _finish(self, log: output.Log) -> None:
        if log.used:
            self._of.out.finish(log)


async def _awaited(result: Any) -> Any:
    return await result
