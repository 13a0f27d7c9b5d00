"""The nested structures of a function, as the official API has them.

This node keeps and answers most of them without acting on them, so they are typed (a wrong type is refused with the
field's path) and every field may be left out. Names are the official ones in snake case; unknown fields are ignored.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Shape(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A structure whose fields may all be missing or null."""


def named(name: str) -> Any:
    """A field that may be missing, under a name that is not its own in camel case."""
    return msgspec.field(default=None, name=name)


class HealthCheck(Shape, frozen=True):
    failure_threshold: int | None = None
    http_get_url: str | None = None
    initial_delay_seconds: int | None = None
    period_seconds: int | None = None
    success_threshold: int | None = None
    timeout_seconds: int | None = None


class CustomRuntime(Shape, frozen=True):
    args: list[str] | None = None
    command: list[str] | None = None
    health_check_config: HealthCheck | None = None
    port: int | None = None


class Acceleration(Shape, frozen=True):
    status: str | None = None


class RegistryAuth(Shape, frozen=True):
    password: str | None = None
    user_name: str | None = None


class RegistryCert(Shape, frozen=True):
    insecure: bool | None = None
    root_ca_cert_base64: str | None = None


class RegistryNetwork(Shape, frozen=True):
    security_group_id: str | None = None
    v_switch_id: str | None = None
    vpc_id: str | None = None


class Registry(Shape, frozen=True):
    auth_config: RegistryAuth | None = None
    cert_config: RegistryCert | None = None
    network_config: RegistryNetwork | None = None


class CustomContainer(Shape, frozen=True):
    acceleration_info: Acceleration | None = None
    acceleration_type: str | None = None
    acr_instance_id: str | None = None
    command: list[str] | None = None
    entrypoint: list[str] | None = None
    health_check_config: HealthCheck | None = None
    image: str | None = None
    port: int | None = None
    registry_config: Registry | None = None
    resolved_image_uri: str | None = None


class MicroSandbox(Shape, frozen=True):
    acr_instance_id: str | None = None
    image: str | None = None
    os_type: str | None = None
    ready_command: str | None = None
    registry_config: Registry | None = None
    start_command: str | None = None


class DnsOption(Shape, frozen=True):
    name: str | None = None
    value: str | None = None


class CustomDns(Shape, frozen=True):
    dns_options: list[DnsOption] | None = None
    name_servers: list[str] | None = None
    searches: list[str] | None = None


class Gpu(Shape, frozen=True):
    gpu_memory_size: int | None = None
    gpu_type: str | None = None


class LifecycleHook(Shape, frozen=True):
    command: list[str] | None = None
    handler: str | None = None
    timeout: int | None = None


class InstanceLifecycle(Shape, frozen=True):
    initializer: LifecycleHook | None = None
    pre_stop: LifecycleHook | None = None


class JuiceFsMount(Shape, frozen=True):
    args: list[str] | None = None
    mount_dir: str | None = None
    remote_dir: str | None = None
    token: str | None = None
    volume_name: str | None = None


class JuiceFs(Shape, frozen=True):
    envs: dict[str, str] | None = None
    mount_points: list[JuiceFsMount] | None = None


class Log(Shape, frozen=True):
    enable_instance_metrics: bool | None = None
    enable_llm_metrics: bool | None = None
    enable_request_metrics: bool | None = None
    log_begin_rule: str | None = None
    logstore: str | None = None
    project: str | None = None


class NasMount(Shape, frozen=True):
    enable_tls: bool | None = msgspec.field(default=None, name="enableTLS")
    mount_dir: str | None = None
    server_addr: str | None = None


class Nas(Shape, frozen=True):
    group_id: int | None = None
    mount_points: list[NasMount] | None = None
    user_id: int | None = None


class OssMount(Shape, frozen=True):
    bucket_name: str | None = None
    bucket_path: str | None = None
    endpoint: str | None = None
    mount_dir: str | None = None
    read_only: bool | None = None


class OssMounts(Shape, frozen=True):
    mount_points: list[OssMount] | None = None


class PolarFsMount(Shape, frozen=True):
    extra_options: str | None = None
    instance_id: str | None = None
    mount_dir: str | None = None
    read_only: bool | None = None
    remote_dir: str | None = None


class PolarFs(Shape, frozen=True):
    group_id: int | None = None
    mount_points: list[PolarFsMount] | None = None
    user_id: int | None = None


class Tag(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    key: str
    value: str = ""


class Tracing(Shape, frozen=True):
    params: dict[str, str] | None = None
    type: str | None = None


class Vpc(Shape, frozen=True):
    role: str | None = None
    security_group_id: str | None = None
    v_switch_ids: list[str] | None = None
    vpc_id: str | None = None


def is_shell(value: object) -> bool:
    """Whether a value says nothing: empty, zero, false or `None` in words, all the way down.

    Deploy tools send such shells (`{"vpcId": "", "vSwitchIds": []}`) where their user said nothing.
    """
    if isinstance(value, dict):
        return all(is_shell(inner) for inner in value.values())
    if isinstance(value, list):
        return all(is_shell(inner) for inner in value)
    return value in (None, "", "None", 0, False)
