"""Dependency layers: what may be asked for, and that it is built once. The installer is real, the wheels are local."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from functory.clock import SystemClock
from functory.lifecycle import running
from functory.model import errors
from functory.runtimes import index_settings, installer, requirements
from functory.runtimes.layers import Built, LayerBuilder, LayerLimits
from functory.store.memory import MemoryStore

# Requirements ---------------------------------------------------------------------------------------------------------


def test_the_same_requirements_are_the_same_however_they_are_written() -> None:
    one = requirements.parse("Flask_Login >= 1 , < 2\n\n# why\nidna[ x , y ]==3.4  # pinned\n")
    two = requirements.parse("\ufeffidna[x,y]==3.4\r\nflask-login>=1,<2\nflask.login>=1,<2")
    assert one == two == ("flask-login>=1,<2", "idna[x,y]==3.4")


@pytest.mark.parametrize(
    "line",
    [
        "numpy",
        "numpy==2.*",
        "a~=1.0,!=1.3",
        "a (>=1)",
        "b===1.0+local",
        'tomli; python_version < "3.11"',
        "x==1 --hash=sha256:00ff --hash=sha256:11aa",
        "x==1 \\\n  --hash=sha256:00ff",
    ],
)
def test_names_versions_markers_and_hashes_are_allowed(line: str) -> None:
    assert len(requirements.parse(line)) == 1


@pytest.mark.parametrize(
    "line",
    [
        "-i http://host/simple",
        "--index-url=http://host",
        "--extra-index-url http://host",
        "-e .",
        "-r other.txt",
        "-c c.txt",
        "--pre",
        ".",
        "./x",
        "/etc",
        "~/x",
        "..",
        "C:\\x",
        "x.whl",
        "x-1.0-py3-none-any.whl",
        "a.tar.gz",
        "file:///etc/passwd",
        "name @ file:///x",
        "git+https://host/x",
        "name @ git+ssh://x",
        "http://host/x.whl",
        "$HOME",
        "${TOKEN}",
        "x==${TOKEN}",
        'x; os_name == "${TOKEN}"',
        "a b",
        "näme",
        "a==1 --install-option=x",
        "a==1; -i http://host",
    ],
)
def test_everything_else_is_refused_by_its_line(line: str) -> None:
    with pytest.raises(errors.InvalidArgument, match="in line 2 is not allowed"):
        requirements.parse(f"six\n{line}\nidna")


def test_requirements_are_bounded() -> None:
    for text in ("a" * 70_000, "a\n" * 1001):
        with pytest.raises(errors.InvalidArgument):
            requirements.parse(text)


def test_the_key_depends_on_all_that_the_layer_depends_on() -> None:
    lines = ("a==1", "b")
    keys = {
        requirements.key(lines, "3.11", "linux"),
        requirements.key(lines, "3.12", "linux"),
        requirements.key(lines, "3.11", "other"),
        requirements.key(("a==1",), "3.11", "linux"),
    }
    assert len(keys) == 4
    assert requirements.key(lines, "3.11", "linux") in keys


# Where packages come from ---------------------------------------------------------------------------------------------


def test_what_pip_was_told_is_told_to_uv(tmp_path: Path) -> None:
    weak, strong = tmp_path / "weak.conf", tmp_path / "strong.conf"
    weak.write_text(
        "[global]\nindex-url = http://weak/simple\ntimeout = 60\nextra-index-url =\n    http://a\n    http://b\n"
    )
    strong.write_text(f"[global]\nindex-url = http://strong/simple\n[install]\nfind-links = {tmp_path} /not/there\n")
    environ = {"PATH": "/bin", "PIP_CERT": str(weak)}
    assert index_settings.for_installer(environ, [weak, strong, tmp_path / "none"]) == {
        **environ,
        "UV_DEFAULT_INDEX": "http://strong/simple",
        "UV_INDEX": "http://a http://b",
        "UV_FIND_LINKS": str(tmp_path),
        "SSL_CERT_FILE": str(weak),
    }


def test_what_uv_was_told_wins_over_pip(tmp_path: Path) -> None:
    told = {"UV_INDEX_URL": "http://uv", "PIP_INDEX_URL": "http://pip", "SSL_CERT_FILE": "/x", "PIP_CERT": __file__}
    assert index_settings.for_installer(told, []) == told
    only_pip = index_settings.for_installer({"PIP_INDEX_URL": "http://pip"}, [])
    assert only_pip["UV_DEFAULT_INDEX"] == "http://pip"


def test_a_broken_pip_file_is_nobodys_problem(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("no section")
    (tmp_path / "b").write_bytes(b"\xff\xfe")
    assert index_settings.for_installer({}, [tmp_path / "a", tmp_path / "b"]) == {}


# Building -------------------------------------------------------------------------------------------------------------


def wheel(folder: Path, name: str, version: str = "1.0") -> None:
    """A wheel with one module."""
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as made:
        made.writestr(f"{name}.py", f"VERSION = {version!r}\n")
        made.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        made.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        made.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels, which is all that the installer looks at: no network."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    wheel(folder, "functory_sample")
    wheel(folder, "functory_other", "2.5")
    monkeypatch.setenv("UV_FIND_LINKS", str(folder))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_OFFLINE", "1")
    return folder


@pytest.fixture
async def store() -> AsyncIterator[MemoryStore]:
    async with running(store := MemoryStore()):
        yield store


@pytest.fixture
async def builder(store: MemoryStore, wheels: Path, tmp_path: Path) -> AsyncIterator[LayerBuilder]:
    async with running(builder := LayerBuilder(store.layers, tmp_path / "layers", clock=SystemClock())):
        yield builder


async def build(builder: LayerBuilder, text: str, *, account_id: str = "1", interpreter: str = sys.executable) -> Built:
    return await builder.build(
        text, interpreter=interpreter, python_version="3.11", account_id=account_id, region="local"
    )


async def test_a_layer_holds_the_packages_below_python(builder: LayerBuilder, store: MemoryStore) -> None:
    built = await build(builder, "functory-sample==1.0\n")
    digest = built.layer.digest
    assert built.built
    assert built.layer.arn == f"acs:fc:local:1:layers/functory-deps-{digest[:16]}/versions/1"
    assert built.layer.size_bytes > 0
    folder = builder.path(digest)
    assert (folder / "python/functory_sample.py").read_text() == "VERSION = '1.0'\n"
    assert [path.name for path in folder.iterdir()] == ["python"]
    assert list(folder.glob("python/__pycache__/functory_sample.*.pyc"))
    for path in (folder, *folder.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) in ((0o755,) if path.is_dir() else (0o644, 0o755))
    assert await store.layers.by_arn(built.layer.arn) == built.layer


async def test_the_same_requirements_are_built_once_also_at_once(builder: LayerBuilder, tmp_path: Path) -> None:
    texts = ["functory-sample\nfunctory-other>=2", "functory_other >=2\nFunctory.Sample  # again"]
    answers = await asyncio.gather(*(build(builder, text) for text in texts * 2))
    assert len({answer.layer for answer in answers}) == 1
    again = await build(builder, texts[0])
    assert (again.built, again.layer) == (False, answers[0].layer)
    hashed = [path.name for path in (tmp_path / "layers").iterdir() if not path.name.startswith(".")]
    assert hashed == [again.layer.digest]


async def test_accounts_share_the_folder_and_not_the_name(builder: LayerBuilder) -> None:
    mine = await build(builder, "functory-sample", account_id="1")
    theirs = await build(builder, "functory-sample", account_id="2")
    assert (mine.layer.digest, mine.layer.size_bytes) == (theirs.layer.digest, theirs.layer.size_bytes)
    assert theirs.layer.arn.startswith("acs:fc:local:2:")
    assert not theirs.built


async def test_a_layer_whose_folder_is_lost_is_built_again(builder: LayerBuilder, tmp_path: Path) -> None:
    first = await build(builder, "functory-sample")
    builder.path(first.layer.digest).rename(tmp_path / "elsewhere")
    second = await build(builder, "functory-sample")
    assert (second.built, second.layer) == (True, first.layer)


async def test_what_the_installer_says_is_the_reason(builder: LayerBuilder, tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidArgument, match="functory-missing") as caught:
        await build(builder, "functory-sample\nfunctory-missing==9")
    assert len(caught.value.message) < 3000
    assert not list((tmp_path / "layers").glob(".making-*"))
    with pytest.raises(errors.InvalidArgument, match="could not be installed"):
        await build(builder, "functory-sample", interpreter="/not/there")


async def test_no_requirements_are_an_empty_layer(builder: LayerBuilder) -> None:
    built = await build(builder, "# nothing yet\n")
    assert built.layer.size_bytes == 0
    assert (builder.path(built.layer.digest) / "python").is_dir()


async def test_a_layer_that_is_too_large_is_refused(store: MemoryStore, wheels: Path, tmp_path: Path) -> None:
    builder = LayerBuilder(store.layers, tmp_path / "layers", clock=SystemClock(), limits=LayerLimits(size_bytes=100))
    async with running(builder):
        with pytest.raises(errors.EntityTooLarge, match="100 are allowed"):
            await build(builder, "functory-sample")
    assert not list((tmp_path / "layers").glob(".making-*"))


async def test_only_a_hash_is_a_path(builder: LayerBuilder) -> None:
    for digest in ("", "..", "x" * 64, ".cache"):
        with pytest.raises(errors.InvalidArgument):
            builder.path(digest)


async def test_it_refuses_when_it_does_not_run(store: MemoryStore, tmp_path: Path) -> None:
    builder = LayerBuilder(store.layers, tmp_path / "layers", clock=SystemClock())
    await builder.stop()
    with pytest.raises(errors.Unavailable):
        await build(builder, "functory-sample")


async def test_an_installer_that_takes_too_long_is_ended_with_its_children() -> None:
    sleeper = ["/bin/sh", "-c", "echo first; sleep 60 & sleep 60"]
    with pytest.raises(errors.InvalidArgument, match=r"within 0\.3 s") as caught:
        await installer.run(sleeper, {}, clock=SystemClock(), timeout_s=0.3)
    assert caught.value.message.endswith("first")


async def test_only_the_last_lines_of_a_talkative_installer_are_kept() -> None:
    talker = [sys.executable, "-c", "print('\\x1b[31mline\\n' * 100_000); print('last'); raise SystemExit(3)"]
    with pytest.raises(errors.InvalidArgument) as caught:
        await installer.run(talker, {}, clock=SystemClock(), timeout_s=30)
    assert caught.value.message.splitlines()[1:] == ["line"] * 11 + ["last"]


async def test_a_cancelled_installer_is_ended(tmp_path: Path) -> None:
    os.mkfifo(pipe := tmp_path / "pid")
    sleeper = ["/bin/sh", "-c", f"echo $$ > {pipe}; sleep 60"]
    running_it = asyncio.ensure_future(installer.run(sleeper, {}, clock=SystemClock(), timeout_s=60))
    pid = int(await asyncio.to_thread(pipe.read_text))  # comes once it runs
    running_it.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running_it
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize("turns", [0, 1, 2, 5, 20, 100])
async def test_stopping_ends_a_build_and_leaves_nothing(
    store: MemoryStore, wheels: Path, tmp_path: Path, turns: int
) -> None:
    builder = LayerBuilder(store.layers, tmp_path / "layers", clock=SystemClock())
    await builder.start()
    building = asyncio.ensure_future(build(builder, "functory-sample"))
    for _ in range(turns):
        await asyncio.sleep(0)
    await builder.stop()
    with pytest.raises((asyncio.CancelledError, errors.Unavailable)):
        await building
    assert not list((tmp_path / "layers").glob(".making-*"))
