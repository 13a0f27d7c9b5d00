"""`customContainerConfig`: which image a function runs, how it is had, and what of it is told.

Pure but for what it is handed. The password for a registry is sealed before it is stored, and never told to anybody.
"""

from __future__ import annotations

import binascii
import copy
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import structs

from functory.control.fc import shapes
from functory.model import errors
from functory.model.function import Function, FunctionImage, ImageState

RUNTIME = "custom-container"
FIELD = "customContainerConfig"
_CERTIFICATE_CHARS = 65536
_PASSWORD_CHARS = 8192


def complete(
    changes: dict[str, Any],
    given: shapes.CustomContainer | None,
    before: Function | None,
    *,
    check: Callable[[str], None],
    seal: Callable[[str], str],
) -> dict[str, Any]:
    """`changes` with all that follows from the image. `given`: what this request says of it.

    `check` raises what speaks against an image's name; `seal` makes a password unreadable.
    """
    if changes["runtime"] != RUNTIME:
        return changes | {"image": None, "standing": None}
    old = before.official.get(FIELD, {}) if before is not None else {}
    config = copy.deepcopy(changes["official"].get(FIELD, {}))
    if given is not None:
        config.setdefault("image", old.get("image", ""))
        _protect(config, old, seal)
    if not config.get("image"):
        raise errors.InvalidArgument(f"{FIELD}.image is missing: runtime {RUNTIME} runs an image")
    check(config["image"])
    changes = changes | {"official": {**changes["official"], FIELD: config}}
    epoch = before.epoch + 1 if before is not None else 1
    if before is not None and before.image is not None and given is None:
        return changes | {"image": before.image, "standing": before.standing}
    return changes | {
        "image": FunctionImage(reference=config["image"], asked_epoch=epoch),
        "standing": _standing(before),
        "code_digest": "",
        "code_checksum": "",
        "code_size_bytes": 0,
    }


def _standing(before: Function | None) -> Function | None:
    """Calls go to the revision before until the image is here, as in the official service."""
    runs = before.runs if before is not None else None
    return structs.replace(runs, standing=None) if runs is not None else None


def _protect(config: dict[str, Any], old: dict[str, Any], seal: Callable[[str], str]) -> None:
    """Seals a password that is given; one that is not stays, as long as its user does: it is told to nobody."""
    registry = config.get("registryConfig", {})
    certificate = registry.get("certConfig", {}).get("rootCaCertBase64", "")
    _check_certificate(certificate)
    auth = registry.get("authConfig")
    if not auth:
        return
    before = old.get("registryConfig", {}).get("authConfig", {})
    password = auth.get("password", "")
    if len(password) > _PASSWORD_CHARS:
        raise errors.InvalidArgument(
            f"{FIELD}.registryConfig.authConfig.password has over {_PASSWORD_CHARS} characters"
        )
    if password:
        auth["password"] = seal(password)
    elif before.get("password") and before.get("userName") == auth.get("userName"):
        auth["password"] = before["password"]


def _check_certificate(text: str) -> None:
    if len(text) > _CERTIFICATE_CHARS:
        raise errors.InvalidArgument(f"{FIELD}.registryConfig.certConfig.rootCaCertBase64 is too long")
    try:
        binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error as wrong:
        raise errors.InvalidArgument(
            f"{FIELD}.registryConfig.certConfig.rootCaCertBase64 is not base64: {wrong}"
        ) from None


def config_of(official: dict[str, Any]) -> shapes.CustomContainer:
    """What is kept of the configuration, typed."""
    return msgspec.convert(official.get(FIELD, {}), shapes.CustomContainer)


def shown(function: Function) -> dict[str, Any]:
    """The kept fields as they are told: with the image that was found, without the password."""
    if FIELD not in function.official:
        return function.official
    config = copy.deepcopy(function.official[FIELD])
    config.get("registryConfig", {}).get("authConfig", {}).pop("password", None)
    if function.image is not None and function.image.resolved:
        config["resolvedImageUri"] = function.image.resolved
    return {**function.official, FIELD: config}


def states(function: Function) -> dict[str, str]:
    """`state` and `lastUpdateStatus`, as deploy tools wait for them."""
    image = function.image
    state, update, reason = "Active", "Successful", ""
    if image is not None and image.state is not ImageState.READY:
        failed = image.state is ImageState.FAILED
        update, reason = ("Failed", image.reason) if failed else ("InProgress", "")
        if function.standing is None:
            state = "Failed" if failed else "Pending"
    return {
        "state": state,
        "stateReason": reason if state == "Failed" else function.note,
        "stateReasonCode": "ImageNotAvailable" if state == "Failed" else "",
        "lastUpdateStatus": update,
        "lastUpdateStatusReason": reason,
        "lastUpdateStatusReasonCode": "ImageNotAvailable" if update == "Failed" else "",
    }
