"""What the settings mean for parts that take a configuration of their own."""

from __future__ import annotations

from functory.config import Settings
from functory.gateway.body import BodyConfig
from functory.gateway.server import GatewayConfig
from functory.instances import budget
from functory.instances.instance import InstanceLimits
from functory.instances.pools import PoolsConfig
from functory.node import machine
from functory.node.folder import Folder


def pools(settings: Settings) -> PoolsConfig:
    """How many instances, how long."""
    return PoolsConfig(
        instances_max=settings.instances_max,
        idle_s=settings.instance_idle_s,
        parked=settings.instances_parked,
        freeze_s=settings.instance_freeze_s,
        page_out_s=settings.instance_page_out_s,
        memory_bytes=settings.instances_memory_bytes or budget.share_of(machine.memory_bytes()),
        queue_wait_s=max(settings.queue_wait_s, settings.instance_start_timeout_s),
        grace_s=settings.shutdown_grace_s,
        limits=InstanceLimits(
            start_timeout_s=settings.instance_start_timeout_s,
            reply_max_bytes=settings.body_max_bytes,
            log_bytes=settings.log_bytes_per_request,
        ),
    )


def gateway(settings: Settings, folder: Folder) -> GatewayConfig:
    """The edge's limits."""
    return GatewayConfig(
        host=settings.host,
        port=settings.port,
        tls_port=settings.tls_port,
        body_max_bytes=settings.body_max_bytes,
        control_body_max_bytes=settings.control_body_max_bytes,
        header_timeout_s=settings.header_timeout_s,
        body_timeout_s=settings.body_timeout_s,
        idle_timeout_s=settings.idle_timeout_s,
        websocket_idle_s=settings.websocket_idle_s,
        connections_max=settings.connections_max,
        grace_s=settings.shutdown_grace_s,
        body=BodyConfig(
            folder=str(folder.tmp),
            spill_bytes=settings.body_spill_bytes,
            memory_bytes=settings.body_memory_bytes,
            file_bytes=settings.body_file_bytes,
        ),
    )
