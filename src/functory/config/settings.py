"""The table: every setting of a node, with its default, its rule and a sentence of help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, get_type_hints

import msgspec

from functory.config import rules
from functory.config.rules import GB, KB, MB
from functory.model.usage import RateCard
from functory.sinks import allowed

PREFIX = "FUNCTORY_"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything an operator can set. One field is one setting, with its rule in its annotation."""

    # The node
    host: Annotated[
        str, rules.text("Address to listen on. Not a loopback address = others reach it.", r"\S+", "a host or address")
    ] = "127.0.0.1"
    port: Annotated[int, rules.count(0, 65535, "Port of the API, the calls and the console; 0 = any free one.")] = 3862
    data: Annotated[Path, rules.Rule(rules.Unit.PATH, "Folder that holds everything the node keeps.")] = Path(
        ".functory"
    )
    domain: Annotated[
        str,
        rules.text(
            "Host names NAME.DOMAIN lead to the HTTP trigger of function NAME; empty = only /fn/NAME/ does.",
            r"([a-z0-9-]+(\.[a-z0-9-]+)*)?",
            "a host name in lower case",
        ),
    ] = ""
    own_hosts: Annotated[
        str,
        rules.text(
            "Names under which clients reach the API, between commas: no custom domain may take one.",
            r"([a-z0-9._-]+(,[a-z0-9._-]+)*)?",
            "host names in lower case between commas",
        ),
    ] = ""
    tls_port: Annotated[int, rules.count(0, 65535, "Port where custom domains are served by HTTPS; 0 = nowhere.")] = 0
    region: Annotated[
        str,
        rules.text("Region name in ARNs and signatures.", r"[a-z0-9][a-z0-9-]{0,62}", "a-z, 0-9 and hyphens"),
    ] = "cn-hangzhou"
    log_level: Annotated[
        str, rules.choice("The least important log lines that are printed.", "debug", "info", "warning", "error")
    ] = "info"
    log_style: Annotated[str, rules.choice("Log lines for people or for machines.", "text", "json")] = "text"
    shutdown_grace_s: Annotated[
        float, rules.duration(0, 3600, "How long running invocations may take to finish when the node stops.")
    ] = 10

    # HTTP
    body_max_bytes: Annotated[int, rules.size(1, GB, "The largest payload of a call; more is 413.")] = 32 * MB
    body_spill_bytes: Annotated[
        int, rules.size(64 * KB, GB, "A payload over this size waits in a file instead of in memory.")
    ] = 2 * MB
    body_memory_bytes: Annotated[
        int, rules.size(MB, 1 << 40, "All payloads held in memory together; beyond it, reading waits.")
    ] = 256 * MB
    body_file_bytes: Annotated[
        int, rules.size(64 * MB, 1 << 50, "All payloads that wait in files together; beyond it, 503.")
    ] = 8 * GB
    async_body_max_bytes: Annotated[
        int, rules.size(1, 8 * MB, "The largest payload of an asynchronous call; the official limit is the default.")
    ] = 128 * KB
    task_stop_grace_s: Annotated[
        float, rules.duration(0, 3600, "How long a running task may take to end once it is to be stopped.")
    ] = 10
    http_destinations: Annotated[
        str,
        rules.entries(
            "Where ends of tasks may be posted to: public, private (networks like 10.0.0.0/8), any, names "
            "(example.com, *.example.com), addresses or networks, each with :PORT if only that one; empty = nowhere.",
            allowed.parse,
            "words, names, addresses and networks between commas, such as public,hooks.internal:8443,127.0.0.1",
        ),
    ] = "public"
    control_body_max_bytes: Annotated[
        int, rules.size(64 * KB, GB, "The largest body of a management call (uploads of code are base64).")
    ] = 72 * MB
    header_timeout_s: Annotated[
        float, rules.duration(0.1, 3600, "A request's head must be there after this time, or the connection is closed.")
    ] = 10
    body_timeout_s: Annotated[
        float, rules.duration(0.1, 3600, "A body may pause this long between two bytes, or the connection is closed.")
    ] = 60
    idle_timeout_s: Annotated[
        float, rules.duration(0.1, 86400, "A connection without a request is kept this long.")
    ] = 75
    websocket_idle_s: Annotated[
        float, rules.duration(0.1, 86400, "A WebSocket without a byte in either direction is closed after this.")
    ] = 600
    connections_max: Annotated[int, rules.count(1, 1_000_000, "Open client connections; more are refused.")] = 10_000

    # Concurrency
    account_concurrency: Annotated[
        int, rules.count(1, 1_000_000, "Invocations of all functions together that may run at once; more is 429.")
    ] = 300
    function_concurrency: Annotated[
        int, rules.count(1, 1_000_000, "Invocations of one function that may run at once; more wait in its queue.")
    ] = 100
    function_task_rate: Annotated[
        int, rules.count(0, 1_000_000, "Tasks of one function that may start per second; more wait. 0 = no limit.")
    ] = 0
    queue_max: Annotated[int, rules.count(0, 1_000_000, "Invocations of one function that may wait; more is 429.")] = (
        1000
    )
    queue_wait_s: Annotated[
        float, rules.duration(0, 3600, "How long an invocation may wait in the queue, then 429.")
    ] = 10

    # Instances
    instances_max: Annotated[int, rules.count(1, 100_000, "Instances alive at once on this node.")] = 300
    instances_parked: Annotated[
        int, rules.count(0, 8, "Instances that stand ready, uncalled, for each function in use; 0 = none.")
    ] = 1
    templates_max_mb: Annotated[
        int,
        rules.count(0, 1_000_000, "Memory in MB that templates, loaded once and copied, may hold together; 0 = none."),
    ] = 1024
    isolation: Annotated[
        str,
        rules.choice(
            "How functions are shut off: auto = as well as it works here; namespace = boxed, or the node does not "
            "start; landlock = processes shut in without namespaces, or the node does not start; process = plain ones.",
            "auto",
            "namespace",
            "landlock",
            "process",
        ),
    ] = "auto"
    internet: Annotated[
        str,
        rules.choice(
            "What `internetAccess` means: host = functions share the node's network, and reach all that it reaches; "
            "public = a network of their own, from which they reach public addresses only, through the relay.",
            "host",
            "public",
        ),
    ] = "host"
    relay_connections_max: Annotated[
        int, rules.count(1, 65_536, "Connections of one relayed instance at once; more are refused.")
    ] = 256
    relay_idle_s: Annotated[
        float, rules.duration(1, 86_400, "A relayed connection on which nothing came for this long is closed.")
    ] = 900
    instance_idle_s: Annotated[
        float,
        rules.duration(0, 86400, "An idle instance is kept this long, up to 5 times where its start is dear."),
    ] = 180
    instance_freeze_s: Annotated[
        float,
        rules.duration(0, 86400, "An instance that nobody calls is frozen after this: no processor time till a call."),
    ] = 1
    instance_page_out_s: Annotated[
        float,
        rules.duration(0, 86400, "The memory of a frozen instance goes to swap after this time, where there is swap."),
    ] = 10
    instances_memory_bytes: Annotated[
        int,
        rules.size(0, 1 << 50, "What all instances may hold together; unused ones go before. 0 = 70 % of the machine."),
    ] = 0
    instance_start_timeout_s: Annotated[
        float, rules.duration(0.1, 300, "An instance must have loaded its code after this time.")
    ] = 10
    code_zip_max_bytes: Annotated[int, rules.size(KB, GB, "The largest code package as uploaded.")] = 50 * MB
    code_max_bytes: Annotated[int, rules.size(KB, 100 * GB, "The largest code package unpacked.")] = 500 * MB
    code_max_files: Annotated[int, rules.count(1, 10_000_000, "Files in one code package.")] = 50_000
    python3_9: Annotated[str, rules.program("Interpreter of `python3.9` functions; empty = `python3.9` on PATH.")] = ""
    python3_10: Annotated[str, rules.program("The same for `python3.10`.")] = ""
    python3_11: Annotated[str, rules.program("The same for `python3.11`.")] = ""
    python3_12: Annotated[str, rules.program("The same for `python3.12`.")] = ""
    nodejs: Annotated[str, rules.program("Node.js of all `nodejs` functions; empty = `node` on PATH.")] = ""
    custom_start_timeout_s: Annotated[
        float, rules.duration(1, 600, "A program of a custom runtime must listen on its port after this time.")
    ] = 120

    # Images of containers
    image_folders: Annotated[
        str,
        rules.text(
            "Folders below which functions may name images on this machine (oci:, oci-archive:, docker-archive:), "
            "between colons; empty = only the data folder's images/.",
            r"(/[^:]*(:/[^:]*)*)?",
            "absolute paths between colons",
        ),
    ] = ""
    image_registries: Annotated[
        str,
        rules.entries(
            "Registries that images may be pulled from: the same words, names, addresses and networks as for "
            "http_destinations; empty = none.",
            allowed.parse,
            "words, names, addresses and networks between commas, such as public,registry.internal:5000,127.0.0.1",
        ),
    ] = "public"
    image_max_bytes: Annotated[int, rules.size(MB, 1000 * GB, "The largest image, unpacked.")] = 10 * GB
    image_max_files: Annotated[int, rules.count(1, 10_000_000, "Files in one layer of an image.")] = 200_000
    image_pull_timeout_s: Annotated[
        float, rules.duration(1, 86400, "An image must be here and unpacked after this time.")
    ] = 900

    # Records
    log_bytes_per_request: Annotated[
        int, rules.size(KB, GB, "Log kept per request; of a longer one, head and tail are kept.")
    ] = MB
    records_flush_ms: Annotated[
        int,
        rules.Rule(rules.Unit.MILLISECONDS, "Records of invocations are written in batches this far apart.", 1, 60_000),
    ] = 100
    records_keep_days: Annotated[int, rules.count(1, 36_500, "Days that records and logs are kept.")] = 30
    spending_keep_days: Annotated[
        int, rules.count(1, 36_500, "Days that the hourly sums of usage and cost are kept.")
    ] = 800

    # Rate card: the defaults are the public list prices of the first tier
    usd_per_cu: Annotated[float, rules.price("US dollars per compute unit (CU).")] = 0.000020
    cu_per_invocation: Annotated[float, rules.price("CU per invocation.")] = 0.0075
    cu_per_vcpu_s: Annotated[float, rules.price("CU per vCPU and second of active use.")] = 1.0
    cu_per_gb_s: Annotated[float, rules.price("CU per GB of configured memory and second.")] = 0.15
    cu_per_disk_gb_s: Annotated[float, rules.price("CU per GB of disk over the free 512 MB, and second.")] = 0.05
    provisioned_cu_per_vcpu_s: Annotated[
        float, rules.price("CU per vCPU and second of an instance kept ready, while it runs something.")
    ] = 1.0
    provisioned_cu_per_idle_vcpu_s: Annotated[float, rules.price("The same, while it runs nothing.")] = 0.0
    provisioned_cu_per_gb_s: Annotated[
        float, rules.price("CU per GB of memory and second of an instance kept ready.")
    ] = 0.15
    provisioned_cu_per_disk_gb_s: Annotated[float, rules.price("The same per GB of disk over the free 512 MB.")] = 0.05

    @property
    def rate_card(self) -> RateCard:
        """The prices."""
        return RateCard(**{name: getattr(self, name) for name in RateCard.__struct_fields__})

    @property
    def interpreters(self) -> dict[str, str]:
        """Official Python runtime name to the interpreter set for it; empty = look on PATH."""
        return {f"python3.{minor}": getattr(self, f"python3_{minor}") for minor in (9, 10, 11, 12)}


class Setting(msgspec.Struct, frozen=True):
    """One row of the table."""

    name: str
    default: str | int | float | Path
    rule: rules.Rule

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return PREFIX + self.name.upper()

    @property
    def flag(self) -> str:
        """Its name on the command line."""
        return "--" + self.name.replace("_", "-")


def _table() -> tuple[Setting, ...]:
    hints = get_type_hints(Settings, include_extras=True)
    fields = msgspec.structs.fields(Settings)
    return tuple(Setting(field.name, field.default, hints[field.name].__metadata__[0]) for field in fields)


HEADINGS = {
    "host": "The node",
    "body_max_bytes": "HTTP",
    "account_concurrency": "Concurrency",
    "instances_max": "Instances and code",
    "image_folders": "Images of containers",
    "log_bytes_per_request": "Records and logs",
    "usd_per_cu": "Rate card",
}
"""The first setting of each part of the table."""
SETTINGS: tuple[Setting, ...] = _table()
"""The table, in the order of the documentation."""
BY_NAME = {setting.name: setting for setting in SETTINGS}
