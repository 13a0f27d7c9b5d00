"""`${…}` in the values of a deploy file.

    ${env('STAGE', 'dev')}  ${env.STAGE}  ${env.STAGE:-dev}      the environment, with a default
    ${vars.region}  ${this.props.timeout}  ${this.name}          values of the file itself
    ${resources.other.props.functionName}
    ${file('./query.sql')}  ${path('./code')}                    beside the file
    ${json(file('./more.json'))}  ${yaml(…)}  ${base64(…)}  ${str(…)}
    ${config('AccountID')}                                       of the keys in force

A value that is one variable alone takes its type; within a text it becomes text. What comes out may hold variables
again. Anything else is refused: a variable that stays as it is would be deployed as its own name.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml

from functory.sdk import yaml_file
from functory.sdk.errors import ProjectError

MAX_FILE_BYTES = 1 << 20
MAX_TEXT = 16 << 20
"""Characters that variables put into texts, all together."""
_VALUES = 20_000
_DEPTH = 30
_VARIABLE = re.compile(r"""\$\{((?:[^{}'"]|'[^']*'|"[^"]*")*|[^{}]*)\}""")
_TOKEN = re.compile(
    r"""\s*(?:(?P<text>'[^']*'|"[^"]*")|(?P<name>[A-Za-z_][\w-]*)|(?P<number>-?\d+(?:\.\d+)?)|(?P<mark>:-|[().,\[\]]))"""
)
_BARE = re.compile(r"""\s*([^\s'"(),.\[\]]+|[^\s'"(),\[\]]*/[^\s'"(),\[\]]*)(?=\s*[,)])""")
_KNOWN = (
    "known are env(…), vars.…, this.…, resources.…, file(…), path(…), json(…), yaml(…), base64(…), str(…), config(…)"
)


class Variables:
    """Puts values in the place of `${…}`."""

    def __init__(
        self, path: Path, roots: Mapping[str, Any], environ: Mapping[str, str], config: Mapping[str, str] | None = None
    ) -> None:
        """`path`: the file, whose folder files are read from. `roots`: what `vars`, `resources`, … stand for.
        `config`: what `config(…)` answers."""
        self._path = path
        self._roots = roots
        self._environ = environ
        self._config = config or {}
        self._left = _VALUES
        self._room = MAX_TEXT

    def fill(self, value: Any, this: Mapping[str, Any] | None = None, depth: int = 0) -> Any:
        """The value with all its variables replaced. `this`: what it stands in."""
        self._left -= 1
        if depth > _DEPTH or self._left < 0:
            raise ProjectError(f"{self._path}: variables refer to each other without end, or the file is too large")
        if isinstance(value, dict):
            filled = ((self.fill(str(key), this, depth + 1), one) for key, one in value.items())
            return {_text(key): self.fill(one, this, depth + 1) for key, one in filled}
        if isinstance(value, list):
            return [self.fill(one, this, depth + 1) for one in value]
        if not isinstance(value, str):
            return value
        if not _VARIABLE.search(value):
            self._counted(value)
            return value
        alone = _VARIABLE.fullmatch(value.strip())
        if alone:
            return self.fill(self._value(alone[1], this), this, depth + 3)
        put: Callable[[re.Match[str]], str] = lambda found: self._counted(self._value(found[1], this))  # noqa: E731
        return self.fill(_VARIABLE.sub(put, value), this, depth + 3)

    def _counted(self, value: Any) -> str:
        """A value as a text. A few that name each other often, or one named often, could stand for gigabytes."""
        text = _text(value)
        self._room -= len(text)
        if self._room < 0:
            raise ProjectError(f"{self._path}: what its variables stand for is longer than {MAX_TEXT} characters")
        return text

    def _value(self, expression: str, this: Mapping[str, Any] | None) -> Any:
        parser = _Parser(self._path, expression)
        found = self._read(parser, this)
        if not parser.ended:
            raise parser.wrong("is not understood", _KNOWN)
        return found

    def _read(self, parser: _Parser, this: Mapping[str, Any] | None) -> Any:
        kind, word = parser.take()
        if kind == "text":
            return word[1:-1]
        if kind == "number":
            return float(word) if "." in word else int(word)
        if kind != "name":
            raise parser.wrong("is not understood", _KNOWN)
        if parser.skip("("):
            return self._follow(parser, self._called(parser, word, this))
        if word == "env":
            return self._of_environment(parser)
        roots = {**self._roots, **({"this": this} if this is not None else {})}
        if word not in roots:
            raise parser.wrong("is not known here", _KNOWN)
        return self._follow(parser, roots[word])

    def _called(self, parser: _Parser, name: str, this: Mapping[str, Any] | None) -> Any:
        arguments: list[Any] = []
        while not parser.skip(")"):
            arguments.append(self._argument(parser, this))
            parser.skip(",")
        call = getattr(self, f"_call_{name}", None)
        if call is None:
            raise parser.wrong("is not known here", _KNOWN)
        if not 1 <= len(arguments) <= (2 if name == "env" else 1):
            raise parser.wrong(f"{name}(…) takes one value", _KNOWN)
        return call(parser, *arguments)

    def _argument(self, parser: _Parser, this: Mapping[str, Any] | None) -> Any:
        """A value; a bare word that is neither call nor path stands for itself, as in `env(STAGE)`."""
        bare = parser.bare_word()
        return bare if bare is not None else self._read(parser, this)

    def _of_environment(self, parser: _Parser) -> Any:
        if not parser.skip("."):
            raise parser.wrong("is not understood", "say env.NAME, or env('NAME')")
        _, name = parser.take()
        default = parser.rest() if parser.skip(":-") else None
        return self._call_env(parser, name, default)

    def _call_env(self, parser: _Parser, name: Any, default: Any = None) -> Any:
        value = self._environ.get(str(name), default)
        if value is None:
            raise ProjectError(
                f"{self._path}: the environment has no {name}", hint=f"set it, or give a default: env('{name}', '…')"
            )
        return value

    def _call_config(self, parser: _Parser, name: Any) -> str:
        if name not in self._config:
            known = ", ".join(sorted(self._config)) or "nothing"
            raise ProjectError(f"{self._path}: config('{name}') is not known here", hint=f"known is {known}")
        return self._config[name]

    def _call_file(self, parser: _Parser, name: Any) -> str:
        path = self._beside(name)
        try:
            if path.exists() and not path.is_file():  # a pipe or a device has no end
                raise ProjectError(f"{self._path}: file('{name}') is not a file")
            if path.stat().st_size > MAX_FILE_BYTES:
                raise ProjectError(f"{self._path}: file('{name}') is larger than {MAX_FILE_BYTES} bytes")
            return path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as failure:
            raise ProjectError(f"{self._path}: file('{name}') cannot be read: {failure}") from failure

    def _call_path(self, parser: _Parser, name: Any) -> str:
        path = self._beside(name)
        if not path.exists():
            raise ProjectError(f"{self._path}: path('{name}') is not there")
        return str(path)

    def _call_json(self, parser: _Parser, text: Any) -> Any:
        try:
            return msgspec.json.decode(str(text).encode())
        except (msgspec.DecodeError, RecursionError) as failure:
            raise ProjectError(f"{self._path}: ${{{parser.text}}} is not JSON: {failure}") from failure

    def _call_yaml(self, parser: _Parser, text: Any) -> Any:
        try:
            return yaml_file.parse_bounded(str(text))
        except (yaml.YAMLError, RecursionError) as failure:
            raise ProjectError(f"{self._path}: ${{{parser.text}}} is not YAML: {failure}") from failure

    def _call_base64(self, parser: _Parser, text: Any) -> str:
        return base64.b64encode(_text(text).encode()).decode()

    def _call_str(self, parser: _Parser, value: Any) -> str:
        return _text(value)

    def _beside(self, name: Any) -> Path:
        return self._path.parent / str(name)

    def _follow(self, parser: _Parser, found: Any) -> Any:
        """`.key`, `[0]` and `.0`, as many as there are."""
        while not parser.ended and (mark := parser.skip(".") or parser.skip("[")):
            _, part = parser.take()
            if mark == "[" and not parser.skip("]"):
                raise parser.wrong("is not understood", _KNOWN)
            key = part.strip("'\"")
            if isinstance(found, dict) and key in found:
                found = found[key]
            elif isinstance(found, list) and key.isdigit() and int(key) < len(found):
                found = found[int(key)]
            else:
                raise parser.wrong("leads nowhere", f"there is no {key!r}")
        return found


class _Parser:
    """The words of one expression, taken one after the other."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self.text = text.strip()
        self._at = 0

    @property
    def ended(self) -> bool:
        return not self.text[self._at :].strip()

    def take(self) -> tuple[str, str]:
        """The next word and its kind; nothing is an error."""
        found = _TOKEN.match(self.text, self._at)
        if found is None or found.lastgroup is None:
            raise self.wrong("is not understood", _KNOWN)
        self._at = found.end()
        return found.lastgroup, found[found.lastgroup]

    def skip(self, mark: str) -> str:
        """`mark`, if it comes next, else an empty text."""
        found = _TOKEN.match(self.text, self._at)
        if found is None or found["mark"] != mark:
            return ""
        self._at = found.end()
        return mark

    def bare_word(self) -> str | None:
        """A word that ends an argument."""
        found = _BARE.match(self.text, self._at)
        if found is None:
            return None
        self._at = found.end()
        return found[1]

    def rest(self) -> str:
        """All that is left, as it is."""
        left = self.text[self._at :]
        self._at = len(self.text)
        return left

    def wrong(self, what: str, hint: str) -> ProjectError:
        return ProjectError(f"{self._path}: ${{{self.text}}} {what}", hint=hint)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
