"""Which runtimes this node has: the one place that names them."""

from __future__ import annotations

from functory.config import Settings
from functory.node.images import Images
from functory.runtimes.base import Runtimes
from functory.runtimes.container import ContainerRuntime
from functory.runtimes.custom import CustomRuntime
from functory.runtimes.goapi import GoRuntime
from functory.runtimes.node import find_node
from functory.runtimes.python import Interpreters


def find_runtimes(settings: Settings, interpreters: Interpreters, images: Images) -> Runtimes:
    """All runtimes that this machine and the settings allow; `InvalidArgument` names a setting that cannot be used.

    Programs are looked for and asked for their version, so this is called at start, not on the loop.
    """
    zygote = interpreters.get("python3").path
    node = find_node(settings.nodejs, zygote)
    start_timeout_s = int(settings.custom_start_timeout_s)
    return Runtimes(
        interpreters,
        *([node] if node is not None else []),
        CustomRuntime(zygote, start_timeout_s),
        GoRuntime(zygote, start_timeout_s),
        ContainerRuntime(
            zygote, start_timeout_s, images=images.store, why_not=images.why_not, starting=images.starting
        ),
    )
