"""Every error that Functory itself raises, drawn once.

    FunctoryError
    ├── RequestError                the caller must change the request
    │   ├── InvalidArgument
    │   ├── MissingRequiredHeader
    │   ├── EntityTooLarge
    │   ├── LimitExceeded
    │   ├── PathNotSupported · MethodNotAllowed
    │   ├── VersionPublishError
    │   └── FunctionNotEmpty
    ├── Denied                      the caller may not do this
    │   ├── AccessDenied
    │   ├── InvocationDisabled
    │   ├── SignatureNotMatch
    │   ├── InvalidAccessKey
    │   └── InvalidSecurityToken · SecurityTokenExpired
    ├── NotFound                    the thing is not there
    │   ├── FunctionNotFound · VersionNotFound · AliasNotFound · TriggerNotFound · DomainNameNotFound
    │   ├── RequestNotFound
    │   ├── TaskNotFound · AsyncConfigNotFound
    │   ├── ConcurrencyConfigNotFound · ProvisionConfigNotFound · ScalingConfigNotFound
    │   └── LayerNotFound · LayerVersionNotFound · KeyNotFound · AccountNotFound · RoleNotFound · VpcNotFound
    ├── Conflict                    the thing is in another state than the caller believes
    │   ├── FunctionAlreadyExists · AliasAlreadyExists · TriggerAlreadyExists · DomainNameAlreadyExists
    │   ├── VersionInUse · ProvisionConfigExist · ResidentScalingConfigExists
    │   ├── LastKey · RoleAlreadyExists · VpcAlreadyExists · VpcInUse
    │   ├── TaskAlreadyExists
    │   ├── TaskEnded
    │   ├── FunctionNotReady
    │   └── ConcurrentUpdate
    ├── PreconditionFailed
    ├── Throttled                   too much at once: the same request may succeed later
    └── SystemFault                 ours, not the caller's
        ├── Unavailable             stopping, or an instance could not be made
        ├── StorageFull
        └── StorageCorrupt

Each class is one sentence, carries a stable `code` (the official one where there is one: the error table of the
Function Compute 3.0 API), says whether the same request may succeed later (`retry`), and may carry a `hint`.
`web.problems` alone maps the tree to HTTP.
"""

from __future__ import annotations


class FunctoryError(Exception):
    """Something Functory refuses or cannot do."""

    code = "InternalServerError"
    retry = False

    def __init__(self, message: str = "", *, hint: str = "") -> None:
        self.message = message or (type(self).__doc__ or "").strip()
        self.hint = hint
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class RequestError(FunctoryError):
    """The request cannot be served as it is."""

    code = "InvalidArgument"


class InvalidArgument(RequestError):
    """A value in the request is not allowed."""


class MissingRequiredHeader(RequestError):
    """A header that this call needs is missing."""

    code = "MissingRequiredHeader"


class EntityTooLarge(RequestError):
    """The body is larger than this call allows."""

    code = "EntityTooLarge"


class LimitExceeded(RequestError):
    """A limit of the account or the function is reached."""

    code = "LimitExceeded"


class PathNotSupported(RequestError):
    """No operation has this method and path."""

    code = "PathNotSupported"


class MethodNotAllowed(RequestError):
    """The URL is there, but not for this method."""

    code = "MethodNotAllowed"


class VersionPublishError(RequestError):
    """No version can be published from what LATEST is now."""

    code = "VersionPublishError"

    def __init__(self, function_name: str) -> None:
        # The official wording: deploy scripts match on it, to go on where nothing changed.
        super().__init__(
            f"can not publish version for function '{function_name}', detail: 'No changes were made since last publish'"
        )


class FunctionNotEmpty(RequestError):
    """The function still has triggers."""

    code = "FunctionNotEmpty"


class Denied(FunctoryError):
    """The caller may not do this."""

    code = "AccessDenied"


class AccessDenied(Denied):
    """The key is valid but its scope does not cover this call."""


class InvocationDisabled(Denied):
    """The function's owner has disabled its invocation."""

    code = "FunctionInvocationDisabled"


class SignatureNotMatch(Denied):
    """The signature does not match the request."""

    code = "SignatureNotMatch"


class InvalidAccessKey(Denied):
    """The access key is not known or not active."""

    code = "InvalidAccessKeyID"


class InvalidSecurityToken(Denied):
    """The security token is not one of this node's, or its role is gone."""

    code = "InvalidSecurityToken"


class SecurityTokenExpired(Denied):
    """The temporary credentials have ended."""

    code = "InvalidSecurityToken.Expired"


class NotFound(FunctoryError):
    """The thing is not there."""

    code = "NotFound"


class FunctionNotFound(NotFound):
    """The function does not exist."""

    code = "FunctionNotFound"

    def __init__(self, name: str) -> None:
        # The official wording: clients show it and some match on it.
        super().__init__(f"function '{name}' does not exist")


class VersionNotFound(NotFound):
    """The version does not exist."""

    code = "VersionNotFound"


class AliasNotFound(NotFound):
    """The alias does not exist."""

    code = "AliasNotFound"


class TriggerNotFound(NotFound):
    """The trigger does not exist."""

    code = "TriggerNotFound"


class DomainNameNotFound(NotFound):
    """The custom domain does not exist."""

    code = "DomainNameNotFound"


class RequestNotFound(NotFound):
    """No record of this request is kept."""

    code = "RequestNotFound"


class TaskNotFound(NotFound):
    """The function has no task of this id."""

    code = "StatefulAsyncInvocationNotFound"

    def __init__(self, task_id: str) -> None:
        super().__init__(f"task '{task_id}' does not exist")


class AsyncConfigNotFound(NotFound):
    """The function has no configuration for asynchronous invocations."""

    code = "AsyncConfigNotExists"


class ConcurrencyConfigNotFound(NotFound):
    """The function has no reserved concurrency."""

    code = "ConcurrencyConfigNotFound"


class ProvisionConfigNotFound(NotFound):
    """The qualifier has no provisioned instances."""

    code = "ProvisionConfigNotFound"


class ScalingConfigNotFound(NotFound):
    """The qualifier has no scaling configuration."""

    code = "ScalingConfigNotFound"


class LayerNotFound(NotFound):
    """The layer does not exist."""

    code = "LayerNotFound"


class LayerVersionNotFound(NotFound):
    """The layer has no version of this number."""

    code = "LayerVersionNotFound"


class KeyNotFound(NotFound):
    """The access key does not exist."""

    code = "KeyNotFound"


class AccountNotFound(NotFound):
    """The account does not exist."""

    code = "AccountNotFound"


class RoleNotFound(NotFound):
    """The role does not exist."""

    code = "RoleNotFound"


class VpcNotFound(NotFound):
    """No VPC of this id is defined in the account."""

    code = "VpcNotFound"


class Conflict(FunctoryError):
    """The thing is in another state than the request expects."""

    code = "ConcurrentUpdateError"


class FunctionAlreadyExists(Conflict):
    """A function of this name exists already."""

    code = "FunctionAlreadyExists"

    def __init__(self, name: str) -> None:
        super().__init__(f"function '{name}' already exists")


class TriggerAlreadyExists(Conflict):
    """The function has a trigger of this name, or another HTTP trigger for the same version or alias."""

    code = "TriggerAlreadyExists"


class DomainNameAlreadyExists(Conflict):
    """The custom domain exists already."""

    code = "DomainNameAlreadyExists"


class AliasAlreadyExists(Conflict):
    """The function has an alias of this name already."""

    code = "AliasAlreadyExists"


class VersionInUse(Conflict):
    """An alias or a configuration names this version."""

    code = "VersionInUse"


class ProvisionConfigExist(Conflict):
    """Instances are provisioned for it."""

    code = "ProvisionConfigExist"


class ResidentScalingConfigExists(Conflict):
    """A scaling configuration keeps instances for it."""

    code = "ResidentScalingConfigExists"


class LastKey(Conflict):
    """Without this key nobody could manage the account any more."""

    code = "LastKey"


class RoleAlreadyExists(Conflict):
    """The account has a role of this name already."""

    code = "RoleAlreadyExists"


class VpcAlreadyExists(Conflict):
    """The account has a VPC of this id."""

    code = "VpcAlreadyExists"


class VpcInUse(Conflict):
    """Functions still name this VPC or are bound to it."""

    code = "VpcInUse"


class TaskAlreadyExists(Conflict):
    """The function has a task of this id already."""

    code = "StatefulAsyncInvocationAlreadyExists"

    def __init__(self, task_id: str) -> None:
        super().__init__(f"task '{task_id}' already exists")


class TaskEnded(Conflict):
    """The task has ended already."""

    code = "StatefulAsyncInvocationEnded"


class FunctionNotReady(Conflict):
    """The function's image is not here yet, or could not be had."""

    code = "FunctionNotReady"
    retry = True


class ConcurrentUpdate(Conflict):
    """Somebody else changed it in between; read it again and repeat the change."""

    retry = True


class PreconditionFailed(FunctoryError):
    """The given ETag is not the current one."""

    code = "PreconditionFailed"


class Throttled(FunctoryError):
    """Too many requests at once."""

    code = "ResourceExhausted"
    retry = True

    def __init__(self, message: str = "", *, hint: str = "", retry_after_ms: int = 1000) -> None:
        super().__init__(message, hint=hint)
        #: How long the caller should wait before it tries again, in milliseconds.
        self.retry_after_ms = retry_after_ms


class SystemFault(FunctoryError):
    """Functory failed; the request was not at fault."""

    retry = True


class Unavailable(SystemFault):
    """The node cannot take this request now."""

    code = "ServiceUnavailable"


class StorageFull(SystemFault):
    """The data folder's disk is full; nothing of this request was kept."""

    code = "StorageFull"


class StorageCorrupt(SystemFault):
    """Stored data does not match its checksum or was written by a newer Functory."""

    code = "StorageCorrupt"
    retry = False
