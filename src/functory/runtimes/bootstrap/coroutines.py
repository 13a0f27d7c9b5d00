"""`async def` handlers: requests side by side on one event loop.

A handler that does not wait shall not pay for a task. So its coroutine is driven by hand first, in the name of a task
that stands ready (a *carrier*): `asyncio.current_task`, timeouts and task groups see that task. If the coroutine
finishes at once, the carrier stays ready for the next request; if it waits, the carrier takes it over and a new one is
made for the next.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import sys
from collections import deque
from time import perf_counter_ns
from types import coroutine

from . import blocking, context, fault, frames, heap, instance, output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any

    Request = tuple[int, int, int, bytes, bytes, int]

_log: contextvars.ContextVar[output.Log] = contextvars.ContextVar("functory_request")
_STREAMED = object()
_TASKS_TAKE_CONTEXT = tuple(sys.version_info) >= (3, 11)
_JOIN_BYTES = 65536
_enter_task, _leave_task = asyncio.tasks._enter_task, asyncio.tasks._leave_task


@coroutine
def _resume(started: Any, awaited: Any, thrown: BaseException | None) -> Generator[Any, Any, Any]:
    """Goes on with a coroutine that was driven to its first wait: `awaited` is what it waits for."""
    try:
        if thrown is not None:
            awaited = started.throw(thrown)
        while True:
            try:
                value = yield awaited
            except BaseException as failure:
                awaited = started.throw(failure)
            else:
                awaited = started.send(value)
    except StopIteration as stop:
        return stop.value


class _Carrier:
    """A task that stands ready to take a coroutine over."""

    def __init__(self, owner: Coroutines) -> None:
        self._owner = owner
        self._wake: asyncio.Future[None] | None = None
        self._started: Any = None
        self._awaited: Any = None
        self.log = output.Log(0)
        self.context = contextvars.copy_context()
        self.context.run(_log.set, self.log)
        self._variables = dict(self.context.items())
        self.began = 0
        if _TASKS_TAKE_CONTEXT:
            self.task = owner.loop.create_task(self._carry(), context=self.context)
        else:
            self.task = self.context.run(owner.loop.create_task, self._carry())

    def take_over(self, started: Any, awaited: Any) -> None:
        """The coroutine waits: from here on the task drives it."""
        self._started, self._awaited = started, awaited
        self.task.add_done_callback(self._done)
        if self._wake is not None:
            self._wake.set_result(None)

    @property
    def clean(self) -> bool:
        """Whether the next request finds it as new: alive, and without variables of the one before."""
        if self.task.done() or (self._wake is not None and self._wake.done()):
            return False
        variables = self._variables
        return len(self.context) == len(variables) and all(
            self.context.get(variable) is value for variable, value in variables.items()
        )

    def _is_free(self) -> bool:
        return self._started is None

    async def _carry(self) -> None:
        thrown: BaseException | None = None
        if self._is_free():
            self._wake = self._owner.loop.create_future()
            try:
                await self._wake
            except asyncio.CancelledError as cancelled:
                if self._is_free():
                    return
                thrown = cancelled
        if not _TASKS_TAKE_CONTEXT:
            for variable, value in self.context.items():
                variable.set(value)
        try:
            result = await _resume(self._started, self._awaited, thrown)
        except SystemExit:
            raise
        except BaseException as failure:
            self._owner.failed(self, failure)
        else:
            self._owner.finished(self, result)

    def _done(self, task: asyncio.Task[None]) -> None:
        """A task cancelled before its first step never got to the coroutine."""
        if task.cancelled() and self.log.stream:
            self._started.close()
            self._owner.failed(self, asyncio.CancelledError())


class Coroutines:
    """Serves an instance with an asynchronous handler."""

    def __init__(self, served: instance.Instance) -> None:
        self._of = served
        self._pipe = served.pipe
        self._read_fd = served.read_fd
        self._inbox = frames.Inbox()
        self._ready: _Carrier | None = None
        self._open: dict[int, _Carrier] = {}
        self._waiting: deque[Request] = deque()
        self._out: list[Any] = []
        self._out_bytes = 0
        self._flush_is_due = False
        self._draining = False
        self._heap = heap.Heap()
        self._raw = blocking.RawFlag()
        self.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.loop)
        outside = served.out.log
        served.out.current = lambda: _log.get(outside)

    def serve(self) -> None:
        """Handles requests until the pipe ends, or raises `Drained`."""
        os.set_blocking(self._read_fd, False)
        self.loop.add_reader(self._read_fd, self._readable)
        try:
            self.loop.run_forever()
        finally:
            if self._out:
                self._flush()
        if self._draining:
            raise blocking.Drained

    def _readable(self) -> None:
        try:
            data = os.read(self._read_fd, frames.READ_BYTES)
        except BlockingIOError:
            return
        if not data:
            raise SystemExit(0)
        for request in self._inbox.feed(data):
            kind, stream = request[0], request[1]
            if kind == frames.REQ:
                if len(self._open) < self._of.concurrency:
                    self._start(request)
                else:
                    self._waiting.append(request)
            elif kind == frames.CANCEL:
                carrier = self._open.get(stream)
                if carrier is not None:
                    carrier.task.cancel()
            elif kind == frames.CREDENTIALS:
                context.renew(request[4])
            else:
                self._draining = True
        if self._out:
            self._flush()
        self._stop_if_drained()

    def _stop_if_drained(self) -> None:
        if self._draining and not self._open and not self._waiting:
            self.loop.stop()

    def _start(self, request: Request) -> None:
        """Drives the handler to its end or its first wait."""
        _, stream, flags, meta, event, _ = request
        carrier = self._ready
        if carrier is None or not carrier.clean:
            carrier = self._ready = _Carrier(self)
        log = carrier.log
        log.stream = stream
        about = log.context = self._of.context_for(flags, meta)
        carrier.began = perf_counter_ns()
        try:
            started = self._of.handler(event, about)
            if not hasattr(started, "send"):
                started = self._drain(stream, started)
            _enter_task(self.loop, carrier.task)
            try:
                awaited = carrier.context.run(started.send, None)
            finally:
                _leave_task(self.loop, carrier.task)
        except StopIteration as stop:
            self._reply(carrier, stop.value)
            return
        except SystemExit:
            raise
        except BaseException as failure:
            self._reply_failure(carrier, failure)
            return
        self._ready = None
        self._open[stream] = carrier
        carrier.take_over(started, awaited)

    async def _drain(self, stream: int, result: Any) -> Any:
        """An asynchronous generator, or whatever a wrapper around the handler returned."""
        if hasattr(result, "__anext__"):
            answer = instance.Stream(self._pipe, stream)
            async for value in result:
                answer.send(instance.piece(value))
            answer.end()
            return _STREAMED
        return await result if hasattr(result, "__await__") else result

    # --- answers ------------------------------------------------------------------------------------------------------

    def finished(self, carrier: _Carrier, result: object) -> None:
        """A coroutine that had waited is done."""
        self._close(carrier, lambda: self._reply(carrier, result))

    def failed(self, carrier: _Carrier, failure: BaseException) -> None:
        """A coroutine that had waited raised."""
        self._close(carrier, lambda: self._reply_failure(carrier, failure))

    def _close(self, carrier: _Carrier, reply: Any) -> None:
        del self._open[carrier.log.stream]
        reply()
        if not self._flush_is_due:
            # In a turn of its own: what ends in this turn leaves together, and what begins is not run inside a task.
            self._flush_is_due = True
            self.loop.call_soon(self._after_turn)

    def _after_turn(self) -> None:
        self._flush_is_due = False
        while self._waiting and len(self._open) < self._of.concurrency:
            self._start(self._waiting.popleft())
        if self._out:
            self._flush()
        self._stop_if_drained()

    def _reply(self, carrier: _Carrier, result: Any) -> None:
        log = carrier.log
        self._of.leave_if_forked()
        try:
            if type(result) is not bytes or len(result) > frames.INLINE_BYTES:
                if result is _STREAMED:
                    self._end(log)
                    return
                if instance.is_stream(result):
                    self._stream(log.stream, result)
                    self._end(log)
                    return
                result = instance.body(result)
        except BaseException as failure:
            self._reply_failure(carrier, failure)
            return
        us = (perf_counter_ns() - carrier.began) // 1000
        stream = log.stream
        self._end(log)
        flags = frames.RAW_LOG if self._raw() else 0
        if len(result) <= frames.INLINE_BYTES:
            self._out += (frames.pack(len(result), stream, 0, frames.RESP, flags | frames.END, us), result)
        else:
            self._out += frames.answer(stream, flags, us, result)
            if self._heap.note(len(result)):
                self.loop.call_later(heap.IDLE_MS / 1000, self._heap.shrink)
        self._out_bytes += len(result)
        if self._out_bytes > _JOIN_BYTES:
            self._flush()

    def _reply_failure(self, carrier: _Carrier, failure: BaseException) -> None:
        if isinstance(failure, SystemExit):
            raise failure
        self._of.leave_if_forked()
        stream = carrier.log.stream
        self._end(carrier.log)
        code, text = fault.describe(failure)
        flags = frames.END | (frames.RAW_LOG if self._raw() else 0)
        self._out.append(frames.frame(stream, frames.ERROR, flags, code, b"", text))

    def _end(self, log: output.Log) -> None:
        if log.used:
            self._of.out.finish(log)
        log.stream = 0

    def _stream(self, stream: int, pieces: Any) -> None:
        answer = instance.Stream(self._pipe, stream)
        for value in pieces:
            answer.send(instance.piece(value))
        answer.end()

    def _flush(self) -> None:
        out, self._out, self._out_bytes = self._out, [], 0
        if out:
            if len(out) <= 512 and sum(map(len, out)) <= _JOIN_BYTES:
                self._pipe.write(b"".join(out))
            else:
                self._pipe.write_all(out)
