"""What a function may reach, by its official fields. Pure.

| internetAccess | vpcConfig | reaches                                             | mode  |
|----------------|-----------|-----------------------------------------------------|-------|
| true (default) | none      | all that the node reaches, or all public addresses  | host or allow |
| false          | none      | nothing                                             | none  |
| false          | a VPC     | what the VPC lists                                  | allow |
| true           | a VPC     | what the VPC lists, and all public addresses        | allow |

As in the official service a VPC adds to the internet, it does not take from it: whoever wants an allow list alone
switches internetAccess off. A function with a VPC never shares the node's network, which may reach more than either.
"""

from __future__ import annotations

from functory.model.function import Function
from functory.model.instance import NetworkMode
from functory.model.network import INTERNET, Policy
from functory.model.vpc import Vpc

PUBLIC = Policy(title="internetAccess (public addresses)", rules=(INTERNET,))


def vpc_id(function: Function) -> str:
    """The VPC that a function names, or nothing."""
    config = function.official.get("vpcConfig")
    found = config.get("vpcId") if isinstance(config, dict) else None
    return found if isinstance(found, str) else ""


def internet(function: Function) -> bool:
    """Whether it has internet access."""
    return function.official.get("internetAccess") is not False


def of(function: Function, vpc: Vpc | None, *, open_to_node: bool) -> tuple[NetworkMode, Policy | None]:
    """The mode, and the policy of `allow`. `vpc`: the one it names. `open_to_node`: the internet means the node's."""
    if vpc is None:
        if not internet(function):
            return "none", None
        return ("host", None) if open_to_node else ("allow", PUBLIC)
    rules = (vpc.rule(), INTERNET) if internet(function) else (vpc.rule(),)
    return "allow", Policy(title=f"VPC {vpc.vpc_id}", rules=rules, hosts=tuple(vpc.hosts.items()))
