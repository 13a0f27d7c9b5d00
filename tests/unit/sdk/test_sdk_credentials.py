"""Where endpoint and keys come from, and in which order."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from functory.sdk import credentials
from functory.sdk.errors import CredentialsNotFound

ENVIRONMENT = {"FUNCTORY_ACCESS_KEY_ID": "from-env", "FUNCTORY_ACCESS_KEY_SECRET": "s"}


def put(folder: Path, key_id: str, endpoint: str = "http://127.0.0.1:4000") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "credentials.json"
    content = {"endpoint": endpoint, "accountId": "1", "accessKeyId": key_id, "accessKeySecret": "s"}
    path.write_text(json.dumps(content))
    return path


def find(
    tmp_path: Path, *, endpoint: str | None = None, folder: str = "work", **environ: str
) -> credentials.Credentials:
    here = tmp_path / folder
    here.mkdir(parents=True, exist_ok=True)
    return credentials.find(endpoint=endpoint, environ=environ, folder=here, home=tmp_path / "home")


def test_the_environment_wins_over_files(tmp_path: Path) -> None:
    put(tmp_path / "work" / ".functory", "from-file")
    assert find(tmp_path, **ENVIRONMENT).access_key_id == "from-env"


def test_a_file_above_this_folder_is_found_and_the_nearest_one_wins(tmp_path: Path) -> None:
    put(tmp_path / "work" / ".functory", "far")
    assert find(tmp_path, folder="work/a/b").access_key_id == "far"
    put(tmp_path / "work" / "a" / ".functory", "near")
    assert find(tmp_path, folder="work/a/b").access_key_id == "near"


def test_the_users_own_file_comes_last(tmp_path: Path) -> None:
    put(tmp_path / "home" / ".config" / "functory", "of-user")
    assert find(tmp_path).access_key_id == "of-user"
    put(tmp_path / "work" / ".functory", "from-file")
    assert find(tmp_path).access_key_id == "from-file"


def test_the_endpoint_comes_from_the_flag_then_the_environment_then_the_file(tmp_path: Path) -> None:
    put(tmp_path / "work" / ".functory", "k", "http://127.0.0.1:4000")
    assert find(tmp_path).endpoint == "http://127.0.0.1:4000"
    assert find(tmp_path, FUNCTORY_ENDPOINT="127.0.0.1:5000").endpoint == "http://127.0.0.1:5000"
    given = find(tmp_path, endpoint="https://fc.example/", FUNCTORY_ENDPOINT="127.0.0.1:5000")
    assert given.endpoint == "https://fc.example"
    assert given.access_key_id == "k"


def test_keys_of_the_environment_without_an_endpoint_mean_the_node_of_this_machine(tmp_path: Path) -> None:
    assert find(tmp_path, **ENVIRONMENT).endpoint == "http://127.0.0.1:3862"


def test_half_a_key_pair_is_refused_and_not_completed_from_a_file(tmp_path: Path) -> None:
    put(tmp_path / "work" / ".functory", "k")
    with pytest.raises(CredentialsNotFound, match="FUNCTORY_ACCESS_KEY_SECRET is not"):
        find(tmp_path, FUNCTORY_ACCESS_KEY_ID="x")


def test_without_any_keys_it_says_how_to_get_some(tmp_path: Path) -> None:
    with pytest.raises(CredentialsNotFound) as caught:
        find(tmp_path)
    assert "./dev up" in caught.value.hint


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    put(tmp_path / "work" / ".functory", "k").write_text('{"endpoint": 3}')
    with pytest.raises(CredentialsNotFound, match=r"credentials\.json is damaged"):
        find(tmp_path)


def test_a_file_of_another_user_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "home" / ".config" / "functory", "ours")
    theirs = put(tmp_path / "work" / ".functory", "theirs")
    if os.geteuid() == 0:
        os.chown(theirs, 65534, 65534)
        assert find(tmp_path).access_key_id == "ours"
    else:  # only root can give a file away; others become somebody else, to whom no file belongs
        monkeypatch.setattr(os, "geteuid", lambda: 65534)
        with pytest.raises(CredentialsNotFound):
            find(tmp_path)


@pytest.mark.parametrize(
    "endpoint", ["ftp://x", "http://", "http://x/path", "http://x?q=1", "http://u:p@x", "http://x:70000", "http://x:0"]
)
def test_what_is_no_endpoint_is_refused(endpoint: str) -> None:
    with pytest.raises(CredentialsNotFound, match="is not an endpoint"):
        credentials.check_endpoint(endpoint)


def test_the_secret_is_not_shown(tmp_path: Path) -> None:
    put(tmp_path / "work" / ".functory", "k").write_text(
        json.dumps({"endpoint": "http://x", "accessKeyId": "k", "accessKeySecret": "hidden"})
    )
    assert "hidden" not in repr(find(tmp_path))
