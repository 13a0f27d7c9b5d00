"""A YAML file from a user: bounded, safe, and with the line of every value, so that errors can point at it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import yaml

from functory.sdk.errors import ProjectError

MAX_BYTES = 1 << 20
MAX_VALUES = 20_000
"""With aliases counted as often as they are used: a file of a kilobyte could stand for gigabytes."""
MAX_TEXT = 16 << 20
"""Characters of all values, counted so too."""
_DEPTH = 30
Where = tuple[str | int, ...]
"""The way to a value: keys and positions from the top."""


class Loader(yaml.SafeLoader):  # type: ignore[misc]
    """YAML 1.2, as deploy tools read it: `yes`, `on` and `12:30` are texts, and so are dates."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, shape) for tag, shape in shapes if tag.rpartition(":")[2] not in ("bool", "int", "timestamp")]
    for first, shapes in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"[-+]?(?:0|[1-9][0-9]*|0x[0-9a-fA-F]+)$"), list("-+0123456789")
)


def parse(text: str) -> Any:
    """The value that a text stands for; `yaml.YAMLError` if it is not YAML."""
    return yaml.load(text, Loader=Loader)


def parse_bounded(text: str) -> Any:
    """The same for a text that may be a bomb; `yaml.YAMLError` also if it stands for too much."""
    root = yaml.compose(text, Loader=Loader)
    if root is not None:
        try:
            _note(Path("the text"), root, (), {})
            _weigh(Path("the text"), root)
        except ProjectError as failure:
            raise yaml.YAMLError(str(failure)) from None
    return parse(text)


class YamlFile(msgspec.Struct, frozen=True, kw_only=True):
    """What the file says, and where."""

    path: Path
    content: dict[str, Any]
    lines: dict[Where, int]
    """The line of every value, counted from 1."""

    def place(self, where: Where) -> str:
        """`shop/functory.yaml:7: functions.hello.memory`, of the nearest value on the way that has a line."""
        known = next((where[:n] for n in range(len(where), -1, -1) if where[:n] in self.lines), ())
        dotted = ".".join(str(part) for part in where)
        return f"{self.path}:{self.lines.get(known, 1)}" + (f": {dotted}" if dotted else "")

    def wrong(self, where: Where, what: str, hint: str = "") -> ProjectError:
        """An error that points at a value."""
        return ProjectError(f"{self.place(where)}: {what}", hint=hint)


def read(path: Path) -> YamlFile:
    """The file; `ProjectError` says with the line why it cannot be used."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ProjectError(f"{path} is larger than {MAX_BYTES} bytes")
        text = path.read_text("utf-8")
        root = yaml.compose(text, Loader=Loader)
        lines: dict[Where, int] = {}
        if root is not None:
            # First: merges (`<<`) of merges are put together as values are made.
            _note(path, root, (), lines)
            _weigh(path, root)
        content = parse(text)
    except (OSError, UnicodeDecodeError) as failure:
        raise ProjectError(f"{path} cannot be read: {failure}") from failure
    except yaml.MarkedYAMLError as failure:
        mark = failure.problem_mark or failure.context_mark
        line = f":{mark.line + 1}" if mark else ""
        raise ProjectError(f"{path}{line}: is not YAML: {failure.problem or failure.context}") from failure
    except (yaml.YAMLError, RecursionError, ValueError) as failure:
        raise ProjectError(f"{path} is not YAML: {failure}") from failure
    if not isinstance(content, dict) or root is None:
        raise ProjectError(f"{path} is not a mapping", hint="it holds names and values, such as functions: …")
    return YamlFile(path=path, content=content, lines=lines)


def _note(path: Path, node: yaml.Node, where: Where, lines: dict[Where, int]) -> None:
    if len(lines) > MAX_VALUES or len(where) > _DEPTH:
        raise ProjectError(f"{path} is too large: more than {MAX_VALUES} values, or deeper than {_DEPTH}")
    lines.setdefault(where, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            name = (*where, str(key.value))
            if name in lines:
                raise ProjectError(
                    f"{path}:{key.start_mark.line + 1}: {key.value!r} is said twice, first in line {lines[name]}",
                    hint="the second one would silently replace the first",
                )
            lines[name] = key.start_mark.line + 1
            _note(path, value, name, lines)
    elif isinstance(node, yaml.SequenceNode):
        for position, value in enumerate(node.value):
            _note(path, value, (*where, position), lines)


def _weigh(path: Path, root: yaml.Node) -> None:
    """Passes if all texts together are bearable, each counted as often as it is used. After `_note`, so it ends."""
    left, nodes = MAX_TEXT, [root]
    while nodes:
        node = nodes.pop()
        if isinstance(node, yaml.MappingNode):
            nodes += [one for pair in node.value for one in pair]
        elif isinstance(node, yaml.SequenceNode):
            nodes += node.value
        else:
            left -= len(node.value)
        if left < 0:
            raise ProjectError(f"{path} is too large: its values have more than {MAX_TEXT} characters")
