"""Images made with the standard library: layers, layouts, archives."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from functory.runtimes.images.manifest import MACHINE

OCI = "application/vnd.oci.image"
END_OF_TAR = 1024

Entry = tuple[str, bytes | None] | tuple[str, bytes | None, dict[str, Any]]
"""Name, content (None = a folder), fields of the `TarInfo`."""


def layer(*entries: Entry, ended: bool = True) -> bytes:
    """The tar of a layer; without its end as some tools leave it."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content, *rest in entries:
            info = tarfile.TarInfo(name)
            info.type, info.mode = (tarfile.DIRTYPE, 0o755) if content is None else (tarfile.REGTYPE, 0o644)
            info.size = len(content or b"")
            for field, value in (rest[0] if rest else {}).items():
                setattr(info, field, value)
            archive.addfile(info, io.BytesIO(content or b""))
        end = archive.offset
    return made.getvalue() if ended else made.getvalue()[:end]


def program(name: str, content: bytes) -> Entry:
    """An executable file."""
    return (name, content, {"mode": 0o755})


def sha256(data: bytes) -> str:
    """In hex."""
    return hashlib.sha256(data).hexdigest()


class Built:
    """An image as blobs by digest, and the descriptor of its manifest."""

    def __init__(self, layers: Sequence[bytes], config: dict[str, Any], pack: Any = gzip.compress, **more: Any) -> None:
        """`pack`: how layers are packed; `more`: fields of the configuration beside `config`."""
        self.blobs: dict[str, bytes] = {}
        self.diff_ids = [f"sha256:{sha256(one)}" for one in layers]
        packed = [self.put(pack(one), f"{OCI}.layer.v1.tar+gzip") for one in layers]
        told = {"architecture": MACHINE, "os": "linux", "config": config, "rootfs": {"diff_ids": self.diff_ids}, **more}
        self.config = self.put_json(told, f"{OCI}.config.v1+json")
        document = {"schemaVersion": 2, "config": self.config, "layers": packed}
        self.manifest = self.put_json({**document, "mediaType": f"{OCI}.manifest.v1+json"}, f"{OCI}.manifest.v1+json")

    def put(self, data: bytes, kind: str) -> dict[str, Any]:
        """One more blob; its descriptor."""
        self.blobs[sha256(data)] = data
        return {"mediaType": kind, "digest": f"sha256:{sha256(data)}", "size": len(data)}

    def put_json(self, value: object, kind: str) -> dict[str, Any]:
        """The same for a document."""
        return self.put(json.dumps(value).encode(), kind)

    def files(self, tag: str = "latest") -> dict[str, bytes]:
        """The files of a layout."""
        named = {**self.manifest, "annotations": {"org.opencontainers.image.ref.name": tag}}
        return {
            "oci-layout": b'{"imageLayoutVersion": "1.0.0"}',
            "index.json": json.dumps({"schemaVersion": 2, "manifests": [named]}).encode(),
            **{f"blobs/sha256/{digest}": data for digest, data in self.blobs.items()},
        }

    def write(self, folder: Path, tag: str = "latest") -> Path:
        """A folder in the OCI layout."""
        for name, data in self.files(tag).items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return folder


def docker_archive(layers: Sequence[bytes], config: dict[str, Any], name: str = "an/image:1") -> bytes:
    """What `docker save` writes."""
    diff_ids = [f"sha256:{sha256(one)}" for one in layers]
    told = json.dumps(
        {"architecture": MACHINE, "os": "linux", "config": config, "rootfs": {"diff_ids": diff_ids}}
    ).encode()
    files = {f"{sha256(one)}/layer.tar": one for one in layers}
    listed = [{"Config": f"{sha256(told)}.json", "RepoTags": [name], "Layers": list(files)}]
    return layer((f"{sha256(told)}.json", told), ("manifest.json", json.dumps(listed).encode()), *files.items())
