"""Images are brought here whole or not at all, from folders and archives; what nobody needs goes."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import zstandard

import image_kit
from functory.model import errors
from functory.runtimes.images import pages, prefetch, reference
from functory.runtimes.images.local import LocalSource
from functory.runtimes.images.manifest import Image
from functory.runtimes.images.prefetch import Prefetch
from functory.runtimes.images.store import ImageLimits, ImageStore
from functory.testing.clock import JumpingClock

CONFIG = {"Entrypoint": ["/run"], "Cmd": ["fast"], "Env": ["A=b=c"], "WorkingDir": "/work"}
LAYERS = [image_kit.layer(("run", b"1"), ("etc/x", b"x")), image_kit.layer(("etc/y", b"y" * 5000))]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[ImageStore]:
    made = ImageStore(tmp_path / "store", limits=ImageLimits())
    await made.start()
    yield made
    await made.stop()


async def pull(store: ImageStore, name: str, allowed: Path) -> tuple[Image, str]:
    return await store.pull(name, LocalSource(reference.parse(name), [allowed]))


def content(store: ImageStore, image: Image, number: int, name: str) -> bytes:
    """A file of a layer."""
    return Path(store.root(image).layers[number], name).read_bytes()


def left(store: ImageStore) -> list[str]:
    """What lies about in the store that is neither a layer nor a record."""
    folder = Path(store.pages("x")).parent.parent
    found = [*(folder / "tmp").iterdir(), *(folder / "layers").glob(".*"), *(folder / "known").glob(".*")]
    return [path.name for path in found]


async def test_a_folder_in_the_oci_layout_becomes_layers(store: ImageStore, tmp_path: Path) -> None:
    built = image_kit.Built(LAYERS, CONFIG)
    built.write(tmp_path / "images/a")
    image, resolved = await pull(store, f"oci:{tmp_path}/images/a:latest", tmp_path / "images")
    assert image.digest == built.manifest["digest"]
    assert resolved == f"oci:{tmp_path}/images/a@{image.digest}"
    assert (image.entrypoint, image.command, image.workdir) == (("/run",), ("fast",), "/work")
    assert image.environment == {"A": "b=c"}
    assert image.size_bytes == 5002
    assert content(store, image, 0, "etc/x") == b"x"
    assert content(store, image, 1, "etc/y") == b"y" * 5000
    assert not left(store)


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress, bytes], ids=["gzip", "zstd", "plain"])
async def test_layers_are_unpacked_however_they_are_packed(store: ImageStore, tmp_path: Path, pack: Any) -> None:
    image_kit.Built(LAYERS, CONFIG, pack).write(tmp_path / "a")
    image, _ = await pull(store, f"oci:{tmp_path}/a", tmp_path)
    assert content(store, image, 0, "run") == b"1"


async def test_archives_of_both_kinds_are_read(store: ImageStore, tmp_path: Path) -> None:
    built = image_kit.Built(LAYERS, CONFIG)
    (tmp_path / "oci.tar").write_bytes(image_kit.layer(*built.files().items()))
    (tmp_path / "docker.tar").write_bytes(image_kit.docker_archive(LAYERS, CONFIG))
    first, _ = await pull(store, f"oci-archive:{tmp_path}/oci.tar", tmp_path)
    second, _ = await pull(store, f"docker-archive:{tmp_path}/docker.tar:an/image:1", tmp_path)
    assert first.layers == second.layers
    assert second.entrypoint == ("/run",)


async def test_a_layer_is_unpacked_once_for_all_images_that_have_it(store: ImageStore, tmp_path: Path) -> None:
    image_kit.Built(LAYERS, CONFIG).write(tmp_path / "a")
    image_kit.Built([LAYERS[0], image_kit.layer(("z", b"z"))], CONFIG).write(tmp_path / "b")
    first, _ = await pull(store, f"oci:{tmp_path}/a", tmp_path)
    before = os.stat(store.root(first).layers[0]).st_ino
    second, _ = await pull(store, f"oci:{tmp_path}/b", tmp_path)
    assert os.stat(store.root(second).layers[0]).st_ino == before
    assert first.layers[0] == second.layers[0]


async def test_only_images_below_the_operators_folders_are_read(store: ImageStore, tmp_path: Path) -> None:
    image_kit.Built(LAYERS, CONFIG).write(tmp_path / "outside")
    (tmp_path / "allowed").mkdir()
    (tmp_path / "allowed/link").symlink_to(tmp_path / "outside")
    for name in (f"oci:{tmp_path}/outside", f"oci:{tmp_path}/allowed/link", "docker-archive:/etc/shadow"):
        with pytest.raises(errors.InvalidArgument, match="not below a folder"):
            await pull(store, name, tmp_path / "allowed")
    inside = image_kit.Built(LAYERS, CONFIG).write(tmp_path / "allowed/a")
    secret = tmp_path / "secret"
    secret.write_bytes(b"{}")
    (inside / "index.json").unlink()
    (inside / "index.json").symlink_to(secret)
    with pytest.raises(errors.InvalidArgument, match="leads out"):
        await pull(store, f"oci:{inside}", tmp_path / "allowed")


def _wrong(change: str) -> image_kit.Built:
    built = image_kit.Built(LAYERS, CONFIG)
    if change == "a layer is damaged":
        layer = gzip.compress(LAYERS[1])
        built.blobs[image_kit.sha256(layer)] = gzip.compress(LAYERS[1] + b"\0" * 512)
    elif change == "a layer is cut off":
        layer = gzip.compress(LAYERS[1])
        built.blobs[image_kit.sha256(layer)] = layer[:-20]
    elif change == "a layer is missing":
        del built.blobs[image_kit.sha256(gzip.compress(LAYERS[1]))]
    elif change == "a diff_id is another":
        return image_kit.Built(LAYERS, CONFIG, rootfs={"diff_ids": ["sha256:" + "0" * 64] * 2})
    elif change == "the machine is another":
        return image_kit.Built(LAYERS, CONFIG, architecture="s390x")
    elif change == "the configuration has a layer too many":
        return image_kit.Built(LAYERS, CONFIG, rootfs={"diff_ids": ["sha256:" + "0" * 64] * 3})
    elif change == "there is no layer":
        return image_kit.Built([], CONFIG)
    elif change == "the layer is no tar":
        return image_kit.Built([b"no tar at all" * 100], CONFIG)
    elif change == "the layer is hostile":
        return image_kit.Built([image_kit.layer(("../escape", b"x"))], CONFIG)
    elif change == "the configuration is damaged":
        digest = built.config["digest"].removeprefix("sha256:")
        built.blobs[digest] = built.blobs[digest] + b" "
    return built


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ("a layer is damaged", "damaged"),
        ("a layer is cut off", "cannot be unpacked"),
        ("a layer is missing", "cannot be read"),
        ("a diff_id is another", "diff_id"),
        ("the machine is another", "s390x"),
        ("the configuration has a layer too many", "2 layers, its configuration 3"),
        ("there is no layer", "0 layers"),
        ("the layer is no tar", "no tar"),
        ("the layer is hostile", "leaves the image"),
        ("the configuration is damaged", "configuration is damaged"),
    ],
)
async def test_a_wrong_image_is_refused_and_leaves_nothing(
    store: ImageStore, tmp_path: Path, change: str, word: str
) -> None:
    _wrong(change).write(tmp_path / "a")
    with pytest.raises(errors.InvalidArgument, match=word):
        await pull(store, f"oci:{tmp_path}/a", tmp_path)
    assert not store.all()
    assert not left(store)


async def test_an_image_over_the_limit_is_refused(tmp_path: Path) -> None:
    store = ImageStore(tmp_path / "store", limits=ImageLimits(unpacked_bytes=3000))
    await store.start()
    image_kit.Built(LAYERS, CONFIG).write(tmp_path / "a")
    with pytest.raises(errors.EntityTooLarge, match="3000"):
        await pull(store, f"oci:{tmp_path}/a", tmp_path)
    await store.stop()
    assert not left(store)


async def test_a_bomb_is_refused_by_what_comes_out(tmp_path: Path) -> None:
    store = ImageStore(tmp_path / "store", limits=ImageLimits(unpacked_bytes=1 << 20, files=10))
    await store.start()
    bomb = image_kit.layer(("zeros", bytes(64 << 20)))
    image_kit.Built([bomb], CONFIG).write(tmp_path / "a")
    with pytest.raises(errors.EntityTooLarge):
        await pull(store, f"oci:{tmp_path}/a", tmp_path)
    await store.stop()


async def test_images_are_there_after_a_restart_and_not_if_a_layer_is_lost(store: ImageStore, tmp_path: Path) -> None:
    image_kit.Built(LAYERS, CONFIG).write(tmp_path / "a")
    image, _ = await pull(store, f"oci:{tmp_path}/a", tmp_path)
    again = ImageStore(tmp_path / "store", limits=ImageLimits())
    await again.start()
    assert again.get(image.digest) == image
    os.rename(store.root(image).layers[0], tmp_path / "lost")
    third = ImageStore(tmp_path / "store", limits=ImageLimits())
    await third.start()
    assert third.get(image.digest) is None


async def test_what_no_function_needs_is_removed_and_what_another_image_needs_is_not(
    store: ImageStore, tmp_path: Path
) -> None:
    image_kit.Built(LAYERS, CONFIG).write(tmp_path / "a")
    image_kit.Built(LAYERS[:1], CONFIG).write(tmp_path / "b")
    first, _ = await pull(store, f"oci:{tmp_path}/a", tmp_path)
    second, _ = await pull(store, f"oci:{tmp_path}/b", tmp_path)
    assert await store.collect({second.digest}) == 0, "it may have been pulled for a function that is not stored yet"
    assert await store.collect({second.digest}) == 1
    assert store.get(first.digest) is None
    assert content(store, second, 0, "run") == b"1"
    assert first.layers[1] not in os.listdir(tmp_path / "store/layers")


_PULL = """
import asyncio, sys
from pathlib import Path
from functory.runtimes.images import reference
from functory.runtimes.images.local import LocalSource
from functory.runtimes.images.prefetch import Prefetch
from functory.runtimes.images.store import ImageLimits, ImageStore

async def main(folder, name, allowed):
    store = ImageStore(Path(folder), limits=ImageLimits())
    await store.start()
    print("pulling", flush=True)
    await store.pull("x", LocalSource(reference.parse(name), [Path(allowed)]))

asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_kill_while_it_is_unpacked_leaves_what_the_next_start_removes(tmp_path: Path) -> None:
    many = image_kit.layer(*((f"folder/{number}", b"x" * 100) for number in range(20_000)))
    image_kit.Built([many], CONFIG, bytes).write(tmp_path / "a")
    folder, name = tmp_path / "store", f"oci:{tmp_path}/a"
    _kill_while_it_unpacks(folder, name, tmp_path)
    store = ImageStore(folder, limits=ImageLimits())
    await store.start()
    assert not store.all()
    image, _ = await pull(store, name, tmp_path)
    assert len(os.listdir(Path(store.root(image).layers[0], "folder"))) == 20_000
    await store.stop()
    assert not left(store)


def _kill_while_it_unpacks(folder: Path, name: str, allowed: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", _PULL, folder, name, allowed], stdout=subprocess.PIPE)
    assert child.stdout is not None
    with child.stdout:
        child.stdout.readline()
        made: list[Path] = []
        while child.poll() is None and not made:
            made = [path for path in folder.glob("layers/.making-*/folder") if len(os.listdir(path)) > 10]
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert made, "it had ended before it could be killed"


def _touch(path: str, at: int) -> None:
    """Reads one page, and none ahead."""
    with open(path, "rb", buffering=0) as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
        os.pread(file.fileno(), 4096, at)


async def test_what_a_start_has_read_is_found_and_asked_for(store: ImageStore, tmp_path: Path) -> None:
    large = bytes(range(256)) * 8192
    image_kit.Built([image_kit.layer(("read", large), ("unread", large))], CONFIG).write(tmp_path / "a")
    image, _ = await pull(store, f"oci:{tmp_path}/a", tmp_path)
    layers = store.root(image).layers
    if pages.record(layers).files:
        pytest.skip("cannot be shown here: this file system keeps its pages")
    _touch(f"{layers[0]}/read", 1 << 20)
    found = pages.record(layers)
    assert [(one.layer, one.path) for one in found.files] == [(0, "read")]
    assert any(start <= 1 << 20 < start + length for start, length in found.files[0].runs)
    assert pages.ask(layers, found) == found.size_bytes


def _resident(layer: str) -> list[str]:
    """The files of which something is in memory, once there are any: the kernel reads on after it was asked."""
    for _ in range(100_000):
        if found := pages.record([layer]).files:
            return [one.path for one in found]
    raise AssertionError("nothing was read")


async def test_what_the_first_start_reads_is_recorded_and_read_ahead_after_a_restart(
    store: ImageStore, tmp_path: Path
) -> None:
    large = bytes(range(256)) * 8192
    image_kit.Built([image_kit.layer(("read", large), ("unread", large))], CONFIG).write(tmp_path / "a")
    image, _ = await pull(store, f"oci:{tmp_path}/a", tmp_path)
    (layer,) = store.root(image).layers
    if pages.record([layer]).files:
        pytest.skip("cannot be shown here: this file system keeps its pages")
    clock = JumpingClock()
    first = Prefetch(store, clock=clock)
    first.starting(image)
    _touch(f"{layer}/read", 0)
    await clock.wait_armed()
    await clock.advance(prefetch.RECORD_AFTER_S)
    await first.finish()
    pages.let_go(layer)
    assert not pages.record([layer]).files
    again = Prefetch(store, clock=clock)
    again.starting(image)
    await again.finish()
    assert _resident(layer) == ["read"]
    pages.let_go(layer)
    again.starting(image)
    await again.finish()
    assert not pages.record([layer]).files, "what was started a moment ago is in memory most likely"
    await clock.advance(prefetch.AGAIN_S + 1)
    again.starting(image)
    await again.finish()
    assert _resident(layer) == ["read"]
