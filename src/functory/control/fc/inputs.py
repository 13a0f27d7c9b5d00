"""The bodies of CreateFunction and UpdateFunction."""

from __future__ import annotations

from typing import Any

import msgspec

from functory.control.fc import shapes

KEPT = (
    "customContainerConfig",
    "customDNS",
    "customRuntimeConfig",
    "disableInjectCredentials",
    "disableOndemand",
    "enableLongLiving",
    "gpuConfig",
    "instanceIsolationMode",
    "internetAccess",
    "juiceFsConfig",
    "logConfig",
    "microSandboxConfig",
    "nasConfig",
    "ossMountConfig",
    "polarFsConfig",
    "resourceGroupId",
    "role",
    "sessionAffinity",
    "sessionAffinityConfig",
    "tags",
    "tracingConfig",
    "vpcConfig",
)
"""Official fields that are kept and answered as they came; nothing here acts on them."""


class CodeInput(shapes.Shape, frozen=True):
    """Where the code is."""

    checksum: str | None = None
    oss_bucket_name: str | None = None
    oss_object_name: str | None = None
    zip_file: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    """A JSON string in base64, not looked at while the rest is parsed: it may have 67 MB."""


class UpdateFunctionInput(shapes.Shape, frozen=True):
    """What may change. A field that is missing or null stays as it is."""

    code: CodeInput | None = None
    cpu: float | None = None
    custom_container_config: shapes.CustomContainer | None = None
    custom_dns: shapes.CustomDns | None = msgspec.field(default=None, name="customDNS")
    custom_runtime_config: shapes.CustomRuntime | None = None
    description: str | None = None
    disable_inject_credentials: str | None = None
    disable_ondemand: bool | None = None
    disk_size: int | None = None
    enable_long_living: bool | None = None
    environment_variables: dict[str, str] | None = None
    gpu_config: shapes.Gpu | None = None
    handler: str | None = None
    idle_timeout: int | None = None
    instance_concurrency: int | None = None
    instance_isolation_mode: str | None = None
    instance_lifecycle_config: shapes.InstanceLifecycle | None = None
    internet_access: bool | None = None
    juice_fs_config: shapes.JuiceFs | None = None
    layers: list[str] | None = None
    log_config: shapes.Log | None = None
    memory_size: int | None = None
    micro_sandbox_config: shapes.MicroSandbox | None = None
    nas_config: shapes.Nas | None = None
    oss_mount_config: shapes.OssMounts | None = None
    polar_fs_config: shapes.PolarFs | None = None
    role: str | None = None
    runtime: str | None = None
    session_affinity: str | None = None
    session_affinity_config: str | None = None
    timeout: int | None = None
    tracing_config: shapes.Tracing | None = None
    vpc_config: shapes.Vpc | None = None


class CreateFunctionInput(UpdateFunctionInput, frozen=True, kw_only=True):
    """A new function."""

    function_name: str
    runtime: str
    resource_group_id: str | None = None
    tags: list[shapes.Tag] | None = None


def kept(given: UpdateFunctionInput, before: dict[str, Any]) -> dict[str, Any]:
    """The kept fields after this input: given ones replace those of before, empty shells remove them."""
    fields = {field.encode_name: getattr(given, field.name) for field in msgspec.structs.fields(given)}
    after = dict(before)
    for name in KEPT:
        value = fields.get(name)
        if value is None:
            continue
        plain = msgspec.to_builtins(value)
        if isinstance(plain, dict | list | str) and shapes.is_shell(plain):
            after.pop(name, None)
        else:
            after[name] = plain
    return after
