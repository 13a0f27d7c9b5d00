"""A copy of a template has credentials of its own, also where loading has read the template's."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
from functory.runtimes.bootstrap import context

def spec(name):
    facts = {"accessKeyId": name, "accessKeySecret": "s", "securityToken": "t", "functionName": "f"}
    return {"handler": "index.handler", "memory_mb": 1, "context": facts}

context.set_facts(spec("template"), print)
if LOADING_READS:
    assert context.Context().credentials.access_key_id == "template"
context.take_over(spec("copy"), print)
print(context.Context().credentials.access_key_id, context.Context().function.name)
"""


@pytest.mark.parametrize("reads", [True, False])
def test_credentials_are_the_copys_own(reads: bool) -> None:
    script = SCRIPT.replace("LOADING_READS", str(reads))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["copy", "f"]
