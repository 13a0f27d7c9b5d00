"""`custom-container`: the function is an image, whose program is an HTTP server as in custom runtimes.

The layers are unpacked when the function is deployed; an instance is rooted in an overlay of them. What supervises the
program comes from the node, not from the image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from functory.model import errors
from functory.model.function import Custom, Function
from functory.model.instance import Program
from functory.runtimes.base import Start
from functory.runtimes.custom import RESERVE_MB
from functory.runtimes.images.manifest import Image
from functory.runtimes.images.store import ImageStore

NAME = "custom-container"
PORT = 9000
"""Where images for the official service listen."""


class ContainerRuntime:
    """Implements `base.Runtime`."""

    def __init__(
        self,
        zygote: str,
        start_timeout_s: int,
        *,
        images: ImageStore,
        why_not: Callable[[], str],
        starting: Callable[[Image], None] = lambda _: None,
    ) -> None:
        """`why_not`: why this node cannot run containers, empty if it can. `starting`: told of each start."""
        self._zygote = zygote
        self._start_timeout_s = start_timeout_s
        self._images = images
        self._why_not = why_not
        self._starting = starting

    @property
    def names(self) -> Sequence[str]:
        return (NAME,)

    def resolve(self, name: str) -> tuple[str, str, str]:
        """`InvalidArgument` where images cannot be run."""
        why_not = self._why_not()
        if why_not:
            raise errors.InvalidArgument(f"runtime '{NAME}' is not available on this node: {why_not}")
        return "the image's program", "", ""

    def describe(self) -> list[dict[str, str]]:
        return [{"name": NAME, "interpreter": "the image's program", "version": "", "note": self._why_not()}]

    def start(self, function: Function) -> Start:
        """`Unavailable` if the image is not here any more, `InvalidArgument` if nothing says what to run."""
        digest = function.image.digest if function.image is not None else ""
        image = self._images.get(digest)
        if image is None:
            raise errors.Unavailable(
                f"the image {digest[:19]}… of function '{function.name}' is not on this node any more",
                hint="deploy the function again",
            )
        custom = function.custom or Custom()
        own_port = image.environment.get("PORT", "")
        well_known = custom.port or (int(own_port) if own_port.isdigit() and len(own_port) < 6 else PORT)
        program = Program(command=command(function, image), health=custom.health, well_known=well_known)
        self._starting(image)
        return Start(
            zygote=self._zygote,
            program=program,
            reserve_mb=RESERVE_MB,
            start_timeout_s=self._start_timeout_s,
            image=self._images.root(image),
            environment={name: value for name, value in image.environment.items() if name != "PORT"},
        )


def command(function: Function, image: Image) -> tuple[str, ...]:
    """As container engines do: a function's entrypoint takes the place of the image's, and of its command too."""
    custom = function.custom or Custom()
    words = (*custom.command, *custom.args) if custom.command else (*image.entrypoint, *(custom.args or image.command))
    if not words or not words[0]:
        raise errors.InvalidArgument(
            "the image names no program to start", hint="name one in customContainerConfig.entrypoint"
        )
    return words
