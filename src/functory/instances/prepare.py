"""From a function to the spec of one of its instances: code, layers, interpreter, environment, context.

The environment is complete (API reference, section 3.2): nothing of the node's own leaks in.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from functory.instances import credentials
from functory.instances.credentials import Credentials
from functory.model import ids
from functory.model.function import Function, LayerRef
from functory.model.instance import InstanceSpec, NetworkMode
from functory.model.network import Policy
from functory.runtimes.base import Start


class Preparer:
    """Makes specs. Each is for one instance."""

    def __init__(
        self,
        *,
        open_code: Callable[[str], Awaitable[Path]],
        layer_path: Callable[[LayerRef], Path],
        runtime_start: Callable[[Function], Start],
        region: str,
        new_instance_id: Callable[[], str],
        network: Callable[[Function], tuple[NetworkMode, Policy | None]],
        make_credentials: Callable[[Function], Credentials | None] = lambda _: None,
        endpoint: Callable[[], str] = str,
    ) -> None:
        """`network`: what a function may reach; `Unavailable` if that cannot be told. `make_credentials`: for a
        function with a role; `endpoint`: where functions reach the node.
        """
        self._open_code = open_code
        self._layer_path = layer_path
        self._runtime_start = runtime_start
        self._region = region
        self._new_instance_id = new_instance_id
        self._make_credentials = make_credentials
        self._endpoint = endpoint
        self._network = network

    async def __call__(self, function: Function) -> InstanceSpec:
        """The spec; raises what the code store raises if the code cannot be had."""
        start = self._runtime_start(function)
        # A container has no code of its own, and sees none: its spec names the place only.
        code_dir = str(await self._open_code(function.code_digest)) if start.image is None else "/code"
        instance_id = self._new_instance_id()
        made = self._make_credentials(function)
        network, policy = self._network(function)
        return InstanceSpec(
            instance_id=instance_id,
            runtime=start.zygote,
            handler=function.handler,
            code_dir=code_dir,
            layer_dirs=tuple([await self._layer_dir(layer) for layer in function.layers]),
            environment=self._environment(function, start.environment, code_dir, instance_id)
            | credentials.variables(function, made, program=start.program is not None),
            concurrency=function.instance_concurrency,
            memory_mb=function.memory_mb,
            disk_mb=function.disk_mb,
            cpu=function.cpu,
            network=network,
            policy=policy,
            initializer=function.initializer.handler if function.initializer else "",
            initializer_timeout_s=function.initializer.timeout_s if function.initializer else 3,
            pre_stop=function.pre_stop.handler if function.pre_stop else "",
            pre_stop_timeout_s=function.pre_stop.timeout_s if function.pre_stop else 3,
            argv=start.argv,
            ahead=start.ahead,
            program=start.program,
            image=start.image,
            reserve_mb=start.reserve_mb,
            start_timeout_s=start.start_timeout_s,
            context=self._context(function) | credentials.facts(function, made),
            credentials_until_ms=made.expires_at_ms if made is not None else 0,
        )

    async def _layer_dir(self, layer: LayerRef) -> str:
        """A folder of installed requirements, or of an uploaded archive."""
        return str(await self._open_code(layer.digest) if layer.archive else self._layer_path(layer))

    def _environment(
        self, function: Function, runtime: dict[str, str], code_dir: str, instance_id: str
    ) -> dict[str, str]:
        platform = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "FC_FUNC_CODE_PATH": code_dir + "/",
            "FC_ACCOUNT_ID": function.account_id,
            "FC_FUNCTION_NAME": function.name,
            "FC_FUNCTION_HANDLER": function.handler,
            "FC_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
            "FC_TIMEOUT": str(function.timeout_s),
            "FC_REGION": self._region,
            "FC_QUALIFIER": function.version or ids.LATEST,
            "FC_INSTANCE_ID": instance_id,
            "FC_RUNTIME": function.runtime,
            "FUNCTORY_ENDPOINT": self._endpoint(),
        }
        if function.initializer:
            platform["FC_INITIALIZER_HANDLER"] = function.initializer.handler
            platform["FC_INITIALIZATION_TIMEOUT"] = str(function.initializer.timeout_s)
        # The platform's own names win: a function cannot be told another account or instance than its own.
        own = {**runtime, **function.environment}
        return {**own, **platform} | {name: own[name] for name in ("PATH", "LANG") if name in own}

    def _context(self, function: Function) -> dict[str, str]:
        return {
            "functionName": function.name,
            "handler": function.handler,
            "memory": str(function.memory_mb),
            "timeout": str(function.timeout_s),
            "qualifier": function.version or ids.LATEST,
            "versionId": function.version,
            "region": self._region,
            "accountId": function.account_id,
        }
