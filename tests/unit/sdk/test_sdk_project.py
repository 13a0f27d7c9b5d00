"""What a folder says about its function."""

from __future__ import annotations

from pathlib import Path

import pytest

from functory.sdk import project
from functory.sdk.errors import ProjectError


def folder(tmp_path: Path, *names: str, toml: str = "") -> Path:
    path = tmp_path / "shop"
    path.mkdir(exist_ok=True)
    for name in names:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text("")
    if toml:
        (path / "functory.toml").write_text(toml)
    return path


def test_a_bare_folder_is_named_after_itself_and_says_nothing_else(tmp_path: Path) -> None:
    assert project.load(folder(tmp_path, "index.py")) == project.Project(name="shop")


def test_a_file_is_named_after_its_stem(tmp_path: Path) -> None:
    assert project.load(folder(tmp_path, "report.py") / "report.py").name == "report"


def test_all_keys_are_read(tmp_path: Path) -> None:
    toml = """
        name = "till"
        runtime = "python3.10"
        handler = "a.b"
        memory = 1024
        cpu = 0.5
        timeout = 9
        concurrency = 4
        initializer = "a.start"
        pre_stop = "a.stop"
        description = "d"
        [environment]
        K = "V"
    """
    found = project.load(folder(tmp_path, toml=toml))
    assert found.fields() == {
        "runtime": "python3.10", "memorySize": 1024, "cpu": 0.5, "timeout": 9, "instanceConcurrency": 4,
        "description": "d",
    }  # fmt: skip
    assert (found.name, found.handler, found.initializer, found.pre_stop) == ("till", "a.b", "a.start", "a.stop")
    assert found.environment == {"K": "V"}


def test_an_unknown_key_is_refused_with_the_nearest_one(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="there is no key 'memroy'") as caught:
        project.load(folder(tmp_path, toml="memroy = 1"))
    assert "'memory'" in caught.value.hint


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ('memory = "lots"', "memory: expected `?int"),
        ("[environment]\nN = 1", "environment"),
        ("memory = ", "is not TOML"),
    ],
)
def test_a_value_of_the_wrong_kind_is_named(tmp_path: Path, toml: str, says: str) -> None:
    with pytest.raises(ProjectError, match=says):
        project.load(folder(tmp_path, toml=toml))


def test_flags_win_over_the_file_and_environments_are_joined(tmp_path: Path) -> None:
    found = project.load(folder(tmp_path, toml='memory = 128\n[environment]\nA = "1"\nB = "2"'))
    merged = project.merge(found, memory=256, timeout=None, environment={"B": "3"})
    assert merged.memory == 256
    assert merged.environment == {"A": "1", "B": "3"}


def test_a_name_that_no_function_may_have_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ProjectError) as caught:
        project.merge(project.Project(name="my.shop"))
    assert "--name" in caught.value.hint


@pytest.mark.parametrize(
    ("names", "handler"),
    [
        (("index.py", "main.py", "util.py"), "index.handler"),
        (("main.py", "util.py"), "main.handler"),
        (("app.py",), "app.handler"),
        (("report.py",), "report.handler"),
    ],
)
def test_the_handler_is_found(tmp_path: Path, names: tuple[str, ...], handler: str) -> None:
    assert project.find_handler(folder(tmp_path, *names), "python3") == handler


@pytest.mark.parametrize("names", [(), ("main.py", "app.py"), ("a.py", "b.py"), ("index.js",)])
def test_where_it_could_be_any_or_none_it_must_be_named(tmp_path: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(ProjectError) as caught:
        project.find_handler(folder(tmp_path, *names), "python3")
    assert "--handler" in caught.value.hint


def test_the_handler_in_force_stays_while_its_file_is_there(tmp_path: Path) -> None:
    shop = folder(tmp_path, "index.py", "jobs/night.py")
    assert project.find_handler(shop, "python3", "jobs/night.run") == "jobs/night.run"
    assert project.find_handler(shop, "python3", "jobs.night.run") == "jobs.night.run"
    assert project.find_handler(shop, "python3", "gone.run") == "index.handler"


def test_a_handler_without_its_file_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    shop = folder(tmp_path, "index.py")
    project.check_handler(shop, "python3", "index.anything")
    with pytest.raises(ProjectError, match="has no such file"):
        project.check_handler(shop, "python3", "idnex.handler")
    with pytest.raises(ProjectError, match="has no such file"):
        project.check_handler(shop / "index.py", "python3", "main.handler")


def test_a_requirements_file_of_comments_asks_for_nothing(tmp_path: Path) -> None:
    shop = folder(tmp_path, "index.py")
    assert project.requirements_of(shop) == ""
    (shop / "requirements.txt").write_text("# none yet\n\n   \n")
    assert project.requirements_of(shop) == ""
    (shop / "requirements.txt").write_text("# pictures\npillow==13.0.0  # the fork\n")
    assert project.packages_in(project.requirements_of(shop)) == ["pillow==13.0.0"]


@pytest.mark.parametrize(
    ("memory_mb", "cpu"), [(128, 0.1), (256, 0.25), (512, 0.35), (1024, 0.35), (2048, 0.5), (4096, 1.0), (32768, 8.0)]
)
def test_the_processor_share_suits_the_memory(memory_mb: int, cpu: float) -> None:
    assert project.fitting_cpu(memory_mb) == cpu
    assert memory_mb / 4096 <= cpu <= memory_mb / 1024


def test_how_a_custom_function_is_started_is_one_field(tmp_path: Path) -> None:
    toml = 'runtime = "custom"\ncommand = ["python3", "app.py"]\nport = 8080'
    found = project.load(folder(tmp_path, toml=toml))
    assert found.fields()["customRuntimeConfig"] == {"command": ["python3", "app.py"], "port": 8080}


@pytest.mark.parametrize("name", ["index.js", "index.mjs", "index.cjs"])
def test_node_handlers_are_found_in_all_kinds_of_modules(tmp_path: Path, name: str) -> None:
    shop = folder(tmp_path, name)
    assert project.find_handler(shop, "nodejs20") == "index.handler"
    project.check_handler(shop, "nodejs20", "index.handler")
    with pytest.raises(ProjectError, match="no such file") as caught:
        project.check_handler(shop, "nodejs20", "app.handler")
    assert "index.js" in caught.value.hint


def test_a_go_program_must_be_built_first(tmp_path: Path) -> None:
    shop = folder(tmp_path, "main.go")
    assert project.find_handler(shop, "go1") == "main"
    with pytest.raises(ProjectError, match="no such program") as caught:
        project.check_handler(shop, "go1", "main")
    assert "go build -o main" in caught.value.hint
