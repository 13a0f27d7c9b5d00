"""Names of images: what they mean, and which are none."""

from __future__ import annotations

import pytest

from functory.model import errors
from functory.runtimes.images import challenge, reference, registry
from functory.runtimes.images.reference import Kind, Reference

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("r.example.com/a/b", Reference(kind=Kind.REGISTRY, host="r.example.com", repository="a/b", tag="latest")),
        ("r.example.com:5000/a:1", Reference(kind=Kind.REGISTRY, host="r.example.com:5000", repository="a", tag="1")),
        ("localhost/a", Reference(kind=Kind.REGISTRY, host="localhost", repository="a", tag="latest")),
        (f"r.io/a@{DIGEST}", Reference(kind=Kind.REGISTRY, host="r.io", repository="a", digest=DIGEST)),
        (f"r.io/a:1@{DIGEST}", Reference(kind=Kind.REGISTRY, host="r.io", repository="a", tag="1", digest=DIGEST)),
        ("[::1]:5000/a:1", Reference(kind=Kind.REGISTRY, host="[::1]:5000", repository="a", tag="1")),
        ("oci:/images/a", Reference(kind=Kind.OCI, path="/images/a")),
        ("oci:/images/a:v1.2", Reference(kind=Kind.OCI, path="/images/a", tag="v1.2")),
        ("oci-archive:/a.tar", Reference(kind=Kind.OCI_ARCHIVE, path="/a.tar")),
        ("docker-archive:/a.tar:my/app:1", Reference(kind=Kind.DOCKER_ARCHIVE, path="/a.tar", tag="my/app:1")),
    ],
)
def test_a_name_says_where_an_image_lies(text: str, meant: Reference) -> None:
    assert reference.parse(text) == meant


@pytest.mark.parametrize(
    "text",
    [
        "", "busybox", "library/busybox", "r.io/", "r.io/UPPER", "r.io/a:", "r.io/a@sha256:12", "r.io/a b",
        "r.io/a/../b", "oci:relative", "oci:/a/../../etc", "oci:/a:bad tag", "https://r.io/a", "r.io/a\n",
        "x" * 2000, "dir:/a",
    ],
)  # fmt: skip
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(errors.InvalidArgument):
        reference.parse(text)


def test_an_image_is_named_by_its_digest_once_it_is_found() -> None:
    assert reference.parse("r.io/a/b:1").at(DIGEST) == f"r.io/a/b@{DIGEST}"
    assert reference.parse("oci:/a:1").at(DIGEST) == f"oci:/a@{DIGEST}"


def test_a_registry_asks_for_a_token_or_a_password() -> None:
    told = 'Bearer realm="https://auth.r.io/token",service="r.io",scope="repository:a:pull"'
    assert challenge.parse(told) == challenge.Bearer("https://auth.r.io/token", "r.io", "repository:a:pull")
    assert challenge.parse('Basic realm="r"') == challenge.Basic()
    assert challenge.parse("Negotiate") is None
    assert challenge.parse("") is None


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("localhost:5000", True),
        ("127.0.0.1", True),
        ("[::1]:5000", True),
        ("127.0.0.1.example.com", False),
        ("localhost.example.com", False),
        ("10.0.0.1:5000", False),
    ],
)
def test_only_a_registry_on_this_machine_is_spoken_to_in_the_clear(host: str, here: bool) -> None:
    assert registry.is_loopback(host) is here
