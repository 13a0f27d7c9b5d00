"""`docs/deploy.md` lists every field of `functory.yaml` and every property of fc3, and no other.

`python tests/meta/test_deploy_page.py` writes the lists into the page.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import msgspec

from functory.sdk import domain_fields, functory_fields, serverless_props

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "deploy.md"
KINDS = (*functory_fields.KINDS, *domain_fields.KINDS)
SOURCES = [Path(str(module.__file__)) for module in (functory_fields, domain_fields)]


def _said() -> dict[str, tuple[str, dict[str, str]]]:
    """Of each struct: its sentence, and those of its fields."""
    found = {}
    for one in (node for source in SOURCES for node in ast.parse(source.read_text("utf-8")).body):
        if isinstance(one, ast.ClassDef):
            sentences: dict[str, str] = {}
            for field, text in zip(one.body, one.body[1:], strict=False):
                if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr):
                    assert isinstance(field.target, ast.Name)
                    assert isinstance(text.value, ast.Constant)
                    sentences[field.target.id] = str(text.value.value)
            found[one.name] = (ast.get_docstring(one) or "", sentences)
    return found


def _type(field: msgspec.structs.FieldInfo) -> str:
    text = str(field.type) if not isinstance(field.type, type) or "[" in str(field.type) else field.type.__name__
    text = re.sub(r"functory\.sdk\.(?:functory|domain)_fields\.|typing\.|<class '|'>", "", text).replace(" | None", "")
    return text.replace("dict[str, Any]", "mapping").replace(" | ", " or ")


def _fields() -> str:
    said = _said()
    parts = []
    for kind in KINDS:
        sentence, sentences = said[kind.__name__]
        rows = [
            f"| `{field.encode_name}` | {_type(field)} | {'yes' if field.required else ''} | {sentences[field.name]} |"
            for field in msgspec.structs.fields(kind)
        ]
        title = "The file" if kind is functory_fields.Top else kind.__name__
        head = f"### {title}\n\n{sentence}\n\n| Field | Type | Required | Meaning |\n|---|---|---|---|\n"
        parts.append(head + "\n".join(rows))
    return "\n\n".join(parts)


def _properties() -> str:
    becomes = {
        **{name: f"`{ours}` of the function" for name, ours in serverless_props.SHORT.items()},
        **dict.fromkeys(serverless_props.OFFICIAL, "sent as it is"),
        **{name: f"the {noun} configuration" for name, noun in serverless_props.CONFIGS.items()},
        **dict.fromkeys(serverless_props.READ_APART, "read"),
        **{name: f"told: {why}" for name, why in serverless_props.NOT_DEPLOYED.items()},
    }
    rows = [f"| `{name}` | {becomes[name]} |" for name in sorted(becomes)]
    return "\n".join(["| Property | What becomes of it |", "|---|---|", *rows])


BLOCKS = {"fields": _fields, "properties": _properties}


def _written(page: str) -> str:
    """The page with its lists as they have to be."""
    for name, make in BLOCKS.items():
        begin, end = f"<!-- {name} -->\n", f"\n<!-- end of {name} -->"
        before, _, rest = page.partition(begin)
        assert rest, f"docs/deploy.md has no place for the {name}"
        page = f"{before}{begin}{make()}{end}{rest.partition(end)[2]}"
    return page


def test_the_page_lists_every_field_and_property() -> None:
    page = PAGE.read_text("utf-8")
    assert page == _written(page), "run: .venv/bin/python tests/meta/test_deploy_page.py"


def test_every_field_has_a_sentence() -> None:
    for kind in KINDS:
        sentence, sentences = _said()[kind.__name__]
        assert sentence.endswith(".")
        assert {field.name for field in msgspec.structs.fields(kind)} == set(sentences)
        assert all(text.rstrip("`").endswith((".", ":")) or "." in text for text in sentences.values())


if __name__ == "__main__":
    PAGE.write_text(_written(PAGE.read_text("utf-8")), "utf-8")
