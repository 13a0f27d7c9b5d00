"""Triggers and domains as they are stored: their rules and errors, shared by all back ends, and their JSON."""

from __future__ import annotations

import msgspec

from functory.model import domain as domains
from functory.model import errors
from functory.model import trigger as triggers
from functory.model.domain import Domain
from functory.model.trigger import Trigger
from functory.store import rules

_encode = msgspec.json.Encoder().encode
_trigger = msgspec.json.Decoder(Trigger).decode
_domain = msgspec.json.Decoder(Domain).decode


def check_trigger(trigger: Trigger) -> Trigger:
    """The trigger, if its key and epoch are allowed."""
    rules.check_text("accountId", trigger.account_id)
    rules.check_text("triggerId", trigger.trigger_id)
    rules.check_text("qualifier", trigger.qualifier)
    triggers.check_trigger_name(trigger.name)
    _check_epoch(trigger.epoch)
    return trigger


def check_domain(domain: Domain) -> Domain:
    """The domain, if its key and epoch are allowed."""
    rules.check_text("accountId", domain.account_id)
    if domains.check_domain_name(domain.name) != domain.name:
        raise errors.InvalidArgument(f"domainName {domain.name!r} is not in lower case")
    _check_epoch(domain.epoch)
    return domain


def trigger_body(trigger: Trigger) -> bytes:
    """The JSON of a trigger; `InvalidArgument` for what JSON cannot write."""
    try:
        return _encode(trigger)
    except UnicodeEncodeError as reason:
        raise errors.InvalidArgument(f"trigger '{trigger.name}' cannot be stored: {reason}") from reason


def domain_body(domain: Domain) -> bytes:
    """The JSON of a domain, without its private key."""
    try:
        return _encode(without_key(domain))
    except UnicodeEncodeError as reason:
        raise errors.InvalidArgument(f"domain '{domain.name}' cannot be stored: {reason}") from reason


def to_trigger(body: bytes | str) -> Trigger:
    """The trigger again; `StorageCorrupt` if the body is not one."""
    try:
        return _trigger(body)
    except msgspec.DecodeError as reason:
        raise errors.StorageCorrupt(f"a stored trigger cannot be read: {reason}") from reason


def to_domain(body: bytes | str, private_key: bytes | None) -> Domain:
    """The domain again, with its private key if it has one."""
    try:
        found = _domain(body)
    except msgspec.DecodeError as reason:
        raise errors.StorageCorrupt(f"a stored domain cannot be read: {reason}") from reason
    if found.certificate is None or private_key is None:
        return found
    whole = msgspec.structs.replace(found.certificate, private_key=private_key.decode())
    return msgspec.structs.replace(found, certificate=whole)


def without_key(domain: Domain) -> Domain:
    """The domain as lists may show it."""
    if domain.certificate is None or not domain.certificate.private_key:
        return domain
    bare = msgspec.structs.replace(domain.certificate, private_key="")
    return msgspec.structs.replace(domain, certificate=bare)


def trigger_missing(name: str) -> errors.TriggerNotFound:
    """The error for a trigger that is not there."""
    return errors.TriggerNotFound(f"trigger '{name[:128]}' does not exist")


def trigger_taken(trigger: Trigger) -> errors.TriggerAlreadyExists:
    """The error for a name that is taken."""
    return errors.TriggerAlreadyExists(f"trigger '{trigger.name}' already exists")


def second_http(trigger: Trigger) -> errors.TriggerAlreadyExists:
    """The error for a second HTTP trigger of one version or alias."""
    return errors.TriggerAlreadyExists(
        f"function '{trigger.function_name}' has an HTTP trigger for {trigger.qualifier} already",
        hint="change that one, or name another version or alias as qualifier",
    )


def too_many(trigger: Trigger) -> errors.LimitExceeded:
    """The error for one trigger too many."""
    return errors.LimitExceeded(
        f"function '{trigger.function_name}' has {triggers.PER_FUNCTION} triggers already, the most there may be"
    )


def domain_missing(name: str) -> errors.DomainNameNotFound:
    """The error for a domain that is not there."""
    return errors.DomainNameNotFound(f"custom domain '{name[:253]}' does not exist")


def domain_taken(name: str) -> errors.DomainNameAlreadyExists:
    """The error for a domain that somebody has."""
    return errors.DomainNameAlreadyExists(f"custom domain '{name}' already exists")


def _check_epoch(epoch: int) -> None:
    if not 1 <= epoch <= rules.MAX_EPOCH:
        raise errors.InvalidArgument(f"epoch {epoch} is not between 1 and {rules.MAX_EPOCH}")
