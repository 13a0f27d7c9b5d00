"""Triggers and custom domains in a running node: what gateway and timers know, kept in step with what is stored."""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable

from functory.clock import Clock
from functory.config import Settings
from functory.gateway.targets import Targets
from functory.invoke.route import Routes
from functory.model import errors
from functory.model.domain import Domain
from functory.model.function import Function
from functory.model.trigger import Trigger
from functory.observe.logs import fields
from functory.runtimes import custom
from functory.sources import timers
from functory.store.base import Store
from functory.tasks.accept import Submission
from functory.web.tls import TlsSites

log = logging.getLogger("functory.node")


class Bindings:
    """The tables, and who is told of a change. Changes are told after their commit."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        *,
        account_id: str,
        submit_task: Callable[[Submission], Awaitable[object]],
        clock: Clock,
    ) -> None:
        self._store = store
        self.targets = Targets(account_id, settings.domain)
        self.tls = TlsSites()
        names = (settings.host, socket.gethostname(), *settings.own_hosts.split(","))
        self._own_hosts = frozenset(name.lower() for name in names)
        self._domain = settings.domain
        submit = _submitting(submit_task)
        self.timers = timers.Timers(claims=store.triggers, submit=submit, clock=clock)

    async def start(self) -> None:
        """Loads what is stored, then lets timers run. One that cannot be used any more does not stop the node."""
        for trigger, fired_ms in await self._store.triggers.all():
            try:
                self.targets.put_trigger(trigger)
                self.timers.put(trigger, fired_ms)
            except errors.FunctoryError as failure:
                facts = {"function": trigger.function_name, "trigger": trigger.name, "reason": failure}
                log.error("A stored trigger cannot be used; change or delete it", extra=fields("load_trigger", **facts))
        for domain in await self._store.domains.all():
            try:
                if self.is_own_host(domain.name):
                    raise errors.AccessDenied(f"'{domain.name}' is a name of this node itself")
                self.domain_changed(domain)
            except errors.FunctoryError as failure:
                facts = {"domain": domain.name, "reason": failure}
                log.error("A stored domain cannot be served; change or delete it", extra=fields("load_domain", **facts))
        await self.timers.start()

    async def stop(self) -> None:
        """Fires no timer any more."""
        await self.timers.stop()

    def is_own_host(self, host: str) -> bool:
        """Whether this is a name of the node, or one of its triggers' (`domain`)."""
        below = bool(self._domain) and (host == self._domain or host.endswith(f".{self._domain}"))
        return below or host in self._own_hosts

    def trigger_changed(self, trigger: Trigger) -> None:
        """A revision is committed."""
        self.targets.put_trigger(trigger)
        self.timers.put(trigger)

    def trigger_deleted(self, trigger: Trigger) -> None:
        """It is gone."""
        self.targets.drop_trigger(trigger)
        self.timers.drop(trigger)

    def domain_changed(self, domain: Domain) -> None:
        """A revision is committed."""
        self.targets.put_domain(domain)
        self.tls.put(domain)

    def domain_deleted(self, domain: Domain) -> None:
        """It is gone."""
        self.targets.drop_domain(domain.name)
        self.tls.drop(domain.name)

    def function_deleted(self, function: Function) -> None:
        """The store has dropped its triggers with it."""
        self.targets.drop_function(function.account_id, function.name)
        self.timers.drop_function(function.account_id, function.name)

    async def check_deletion(self, function: Function) -> None:
        """`FunctionNotEmpty` while the function has triggers: they would stop without a word."""
        found = await self._store.triggers.list(function.account_id, function.name, limit=1)
        if found:
            raise errors.FunctionNotEmpty(
                f"function '{function.name}' still has triggers, '{found[0].name}' for one", hint="delete them first"
            )


def check_upgrade(routes: Routes, account_id: str, name: str, qualifier: str) -> None:
    """`InvalidArgument` if the function cannot serve WebSockets: only a server of its own can."""
    function = routes.find(account_id, name, qualifier)
    if function.runtime not in custom.NAMES:
        raise errors.InvalidArgument(
            f"function '{name}' runs {function.runtime}, which answers requests one by one; WebSockets are served by "
            f"functions of the runtimes {', '.join(custom.NAMES)}"
        )


def _submitting(submit: Callable[[Submission], Awaitable[object]]) -> timers.Submit:
    """Timers run as durable tasks, under the asynchronous configuration of their function."""

    async def run(trigger: Trigger, payload: bytes, task_id: str) -> None:
        submission = Submission(
            account_id=trigger.account_id,
            function_name=trigger.function_name,
            qualifier=trigger.qualifier,
            payload=payload,
            task_id=task_id,
        )
        with contextlib.suppress(errors.TaskAlreadyExists):  # a crash came between storing it and saying so
            await submit(submission)

    return run
