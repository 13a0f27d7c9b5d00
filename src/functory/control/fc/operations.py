"""The operations of the official API (version 2023-03-30): name, method and path.

Generated from the API's published description. A request that no route of ours takes is looked up here, so that the
answer can say whether this node lacks the operation or nobody has it.
"""

from __future__ import annotations

from typing import NamedTuple

VERSION = "2023-03-30"


class Operation(NamedTuple):
    """One operation."""

    name: str
    method: str
    template: str
    """The path after the version; `{...}` stands for one segment."""


OPERATIONS: tuple[Operation, ...] = (
    Operation("ListAsyncInvokeConfigs", "GET", "/async-invoke-configs"),
    Operation("ListConcurrencyConfigs", "GET", "/concurrency-configs"),
    Operation("ListCustomDomains", "GET", "/custom-domains"),
    Operation("CreateCustomDomain", "POST", "/custom-domains"),
    Operation("DeleteCustomDomain", "DELETE", "/custom-domains/{domainName}"),
    Operation("GetCustomDomain", "GET", "/custom-domains/{domainName}"),
    Operation("UpdateCustomDomain", "PUT", "/custom-domains/{domainName}"),
    Operation("ListFunctions", "GET", "/functions"),
    Operation("CreateFunction", "POST", "/functions"),
    Operation("DeleteFunction", "DELETE", "/functions/{functionName}"),
    Operation("GetFunction", "GET", "/functions/{functionName}"),
    Operation("UpdateFunction", "PUT", "/functions/{functionName}"),
    Operation("ListAliases", "GET", "/functions/{functionName}/aliases"),
    Operation("CreateAlias", "POST", "/functions/{functionName}/aliases"),
    Operation("DeleteAlias", "DELETE", "/functions/{functionName}/aliases/{aliasName}"),
    Operation("GetAlias", "GET", "/functions/{functionName}/aliases/{aliasName}"),
    Operation("UpdateAlias", "PUT", "/functions/{functionName}/aliases/{aliasName}"),
    Operation("DeleteAsyncInvokeConfig", "DELETE", "/functions/{functionName}/async-invoke-config"),
    Operation("GetAsyncInvokeConfig", "GET", "/functions/{functionName}/async-invoke-config"),
    Operation("PutAsyncInvokeConfig", "PUT", "/functions/{functionName}/async-invoke-config"),
    Operation("ListAsyncTasks", "GET", "/functions/{functionName}/async-tasks"),
    Operation("GetAsyncTask", "GET", "/functions/{functionName}/async-tasks/{taskId}"),
    Operation("StopAsyncTask", "PUT", "/functions/{functionName}/async-tasks/{taskId}/stop"),
    Operation("GetFunctionCode", "GET", "/functions/{functionName}/code"),
    Operation("DeleteConcurrencyConfig", "DELETE", "/functions/{functionName}/concurrency"),
    Operation("GetConcurrencyConfig", "GET", "/functions/{functionName}/concurrency"),
    Operation("PutConcurrencyConfig", "PUT", "/functions/{functionName}/concurrency"),
    Operation("ListInstances", "GET", "/functions/{functionName}/instances"),
    Operation("InvokeFunction", "POST", "/functions/{functionName}/invocations"),
    Operation("DisableFunctionInvocation", "POST", "/functions/{functionName}/invoke/disable"),
    Operation("EnableFunctionInvocation", "POST", "/functions/{functionName}/invoke/enable"),
    Operation("DeleteProvisionConfig", "DELETE", "/functions/{functionName}/provision-config"),
    Operation("GetProvisionConfig", "GET", "/functions/{functionName}/provision-config"),
    Operation("PutProvisionConfig", "PUT", "/functions/{functionName}/provision-config"),
    Operation("DeleteScalingConfig", "DELETE", "/functions/{functionName}/scaling-config"),
    Operation("GetScalingConfig", "GET", "/functions/{functionName}/scaling-config"),
    Operation("PutScalingConfig", "PUT", "/functions/{functionName}/scaling-config"),
    Operation("ListSessions", "GET", "/functions/{functionName}/sessions"),
    Operation("CreateSession", "POST", "/functions/{functionName}/sessions"),
    Operation("DeleteSession", "DELETE", "/functions/{functionName}/sessions/{sessionId}"),
    Operation("GetSession", "GET", "/functions/{functionName}/sessions/{sessionId}"),
    Operation("UpdateSession", "PUT", "/functions/{functionName}/sessions/{sessionId}"),
    Operation("PauseSession", "PUT", "/functions/{functionName}/sessions/{sessionId}/pause"),
    Operation("ResumeSession", "PUT", "/functions/{functionName}/sessions/{sessionId}/resume"),
    Operation("CreateSnapshot", "POST", "/functions/{functionName}/snapshots"),
    Operation("DeleteSnapshot", "DELETE", "/functions/{functionName}/snapshots/{snapshotId}"),
    Operation("GetSnapshot", "GET", "/functions/{functionName}/snapshots/{snapshotId}"),
    Operation("ListTriggers", "GET", "/functions/{functionName}/triggers"),
    Operation("CreateTrigger", "POST", "/functions/{functionName}/triggers"),
    Operation("DeleteTrigger", "DELETE", "/functions/{functionName}/triggers/{triggerName}"),
    Operation("GetTrigger", "GET", "/functions/{functionName}/triggers/{triggerName}"),
    Operation("UpdateTrigger", "PUT", "/functions/{functionName}/triggers/{triggerName}"),
    Operation("ListFunctionVersions", "GET", "/functions/{functionName}/versions"),
    Operation("PublishFunctionVersion", "POST", "/functions/{functionName}/versions"),
    Operation("DeleteFunctionVersion", "DELETE", "/functions/{functionName}/versions/{versionId}"),
    Operation("ListVpcBindings", "GET", "/functions/{functionName}/vpc-bindings"),
    Operation("CreateVpcBinding", "POST", "/functions/{functionName}/vpc-bindings"),
    Operation("DeleteVpcBinding", "DELETE", "/functions/{functionName}/vpc-bindings/{vpcId}"),
    Operation("GetLayerVersionByArn", "GET", "/layerarn/{arn}"),
    Operation("ListLayers", "GET", "/layers"),
    Operation("PutLayerACL", "PUT", "/layers/{layerName}/acl"),
    Operation("ListLayerVersions", "GET", "/layers/{layerName}/versions"),
    Operation("CreateLayerVersion", "POST", "/layers/{layerName}/versions"),
    Operation("DeleteLayerVersion", "DELETE", "/layers/{layerName}/versions/{version}"),
    Operation("GetLayerVersion", "GET", "/layers/{layerName}/versions/{version}"),
    Operation("ListProvisionConfigs", "GET", "/provision-configs"),
    Operation("DescribeRegions", "GET", "/regions"),
    Operation("ChangeResourceGroup", "PUT", "/resource-groups"),
    Operation("ListScalingConfigs", "GET", "/scaling-configs"),
    Operation("ListSnapshots", "GET", "/snapshots"),
    Operation("UntagResources", "DELETE", "/tags-v2"),
    Operation("ListTagResources", "GET", "/tags-v2"),
    Operation("TagResources", "POST", "/tags-v2"),
)


def find(method: str, path: str) -> Operation | None:
    """The operation that this method and raw path (with version) name, if there is one."""
    prefix, version, rest = path.partition(f"/{VERSION}/")
    if prefix or not version:
        return None
    segments = rest.split("/")
    for operation in OPERATIONS:
        if operation.method == method and _fits(operation.template[1:].split("/"), segments):
            return operation
    return None


def _fits(template: list[str], segments: list[str]) -> bool:
    """Whether each fixed segment is the same and each open one is not empty."""
    return len(template) == len(segments) and all(
        bool(given) if wanted.startswith("{") else wanted == given
        for wanted, given in zip(template, segments, strict=True)
    )
