"""Settings: where a value comes from, what it may be, and what a refusal says."""

from __future__ import annotations

from pathlib import Path

import pytest

from functory import config
from functory.config.rules import MB, Unit, show
from functory.model import errors
from functory.model.usage import RateCard


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def test_without_anything_the_defaults_hold() -> None:
    settings = config.load({}, {})
    assert settings == config.Settings()
    assert (settings.host, settings.port, settings.data) == ("127.0.0.1", 3862, Path(".functory"))


def test_a_flag_wins_over_environment_over_file_over_default(tmp_path: Path) -> None:
    file = _write(tmp_path / "mine.toml", "[node]\nport = 1\nqueue_max = 2\nregion = 'eu'\n")
    environ = {"FUNCTORY_PORT": "3", "FUNCTORY_QUEUE_MAX": "4"}
    settings = config.load({"port": 5}, environ, file)
    assert (settings.port, settings.queue_max, settings.region) == (5, 4, "eu")
    assert settings.host == "127.0.0.1"


def test_a_flag_that_was_not_given_decides_nothing() -> None:
    assert config.load({"port": None}, {"FUNCTORY_PORT": "3"}).port == 3


def test_the_data_folders_own_file_is_read(tmp_path: Path) -> None:
    _write(tmp_path / "kept" / "functory.toml", "[node]\nlog_style = 'json'\n")
    assert config.load({"data": tmp_path / "kept"}, {}).log_style == "json"
    assert config.load({}, {"FUNCTORY_DATA": "kept"}).log_style == "json"
    assert config.load({}, {}).log_style == "text"


def test_a_named_file_is_read_instead_of_the_data_folders(tmp_path: Path) -> None:
    _write(tmp_path / ".functory" / "functory.toml", "[node]\nport = 1\n")
    assert config.load({}, {}, _write(tmp_path / "mine.toml", "")).port == 3862


def test_a_data_folder_in_a_file_is_meant_from_where_the_file_lies(tmp_path: Path) -> None:
    file = _write(tmp_path / "etc" / "f.toml", "[node]\ndata = 'kept'\n")
    assert config.load({}, {}, file).data == tmp_path / "etc" / "kept"


@pytest.mark.parametrize(
    ("name", "written", "value"),
    [
        ("body_max_bytes", "32MB", 32 * MB),
        ("body_max_bytes", "512 KiB", 512 * 1024),
        ("body_max_bytes", "1.5mb", 3 * MB // 2),
        ("body_max_bytes", "1000", 1000),
        ("idle_timeout_s", "75s", 75),
        ("idle_timeout_s", "5m", 300),
        ("idle_timeout_s", "500ms", 0.5),
        ("idle_timeout_s", "1.5", 1.5),
        ("instance_idle_s", "1h", 3600),
        ("records_flush_ms", "100", 100),
        ("records_flush_ms", "2s", 2000),
        ("usd_per_cu", "2e-5", 0.00002),
        ("python3_12", "/opt/py/bin/python3.12", "/opt/py/bin/python3.12"),
        ("log_level", "debug", "debug"),
    ],
)
def test_a_written_value_is_read_in_its_unit(name: str, written: str, value: object) -> None:
    assert getattr(config.load({}, {f"FUNCTORY_{name.upper()}": written}), name) == value


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("port", 65536),
        ("port", -1),
        ("port", "eighty"),
        ("port", 80.5),
        ("port", True),
        ("port", [80]),
        ("port", "1" * 500),
        ("port", 10**400),
        ("port", "１２"),
        ("queue_wait_s", float("nan")),
        ("queue_wait_s", float("inf")),
        ("queue_wait_s", "10 parsecs"),
        ("body_max_bytes", "10s"),
        ("body_max_bytes", "0.3B"),
        ("log_style", "xml"),
        ("log_style", 7),
        ("host", "two words"),
        ("host", ""),
        ("region", "Nowhere!"),
        ("data", ""),
        ("data", "a\0b"),
    ],
)
def test_a_value_outside_its_rule_is_refused(name: str, raw: object) -> None:
    with pytest.raises(errors.InvalidArgument, match=rf"^{name} = .* \(flag --.*\) is not allowed: "):
        config.load({name: raw}, {})


def test_a_refusal_names_setting_source_value_and_rule(tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidArgument) as from_environ:
        config.load({}, {"FUNCTORY_PORT": "70000"})
    rule = "is not allowed: a whole number, 0 to 65535"
    assert str(from_environ.value) == f"port = '70000' (environment FUNCTORY_PORT) {rule}"
    file = _write(tmp_path / "f.toml", "[node]\nport = 70000\n")
    with pytest.raises(errors.InvalidArgument) as from_file:
        config.load({}, {}, file)
    assert str(from_file.value) == f"port = 70000 (file {file}) {rule}"


def test_a_bad_value_is_refused_even_where_a_flag_hides_it() -> None:
    with pytest.raises(errors.InvalidArgument, match="FUNCTORY_PORT"):
        config.load({"port": 1}, {"FUNCTORY_PORT": "x"})


@pytest.mark.parametrize(
    ("wrong", "right"), [("prot", "port"), ("queue_maximum", "queue_max"), ("body_max_byte", "body_max_bytes")]
)
def test_a_misspelt_name_is_refused_with_the_nearest_one(tmp_path: Path, wrong: str, right: str) -> None:
    sources: list[tuple[dict[str, object], dict[str, str], Path | None]] = [
        ({wrong: 1}, {}, None),
        ({}, {f"FUNCTORY_{wrong.upper()}": "1"}, None),
        ({}, {}, _write(tmp_path / "f.toml", f"[node]\n{wrong} = 1\n")),
    ]
    for flags, environ, file in sources:
        with pytest.raises(errors.InvalidArgument, match=f"no setting '{wrong}'.*nearest one is '{right}'"):
            config.load(flags, environ, file)


def test_variables_of_the_client_and_of_others_are_left_alone() -> None:
    environ = dict.fromkeys(config.CLIENT_VARIABLES, "x") | {"PORT": "1", "FUNCTORYX": "1"}
    assert config.load({}, environ) == config.Settings()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("port = 1\n", "holds 'port' at its top: settings belong under"),
        ("[server]\nport = 1\n", "holds 'server' at its top"),
        ("node = 1\n", "not a table"),
        ("[node\n", "is not TOML"),
    ],
)
def test_a_file_of_another_shape_is_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(errors.InvalidArgument, match=says):
        config.load({}, {}, _write(tmp_path / "f.toml", text))


def test_a_named_file_must_exist_and_be_readable(tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidArgument, match=r"missing\.toml cannot be read: No such file"):
        config.load({}, {}, tmp_path / "missing.toml")
    with pytest.raises(errors.InvalidArgument, match="cannot be read: Is a directory"):
        config.load({}, {}, tmp_path)
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(errors.InvalidArgument, match="is not TOML"):
        config.load({}, {}, tmp_path / "bytes.toml")


def test_the_data_folders_file_cannot_move_the_data_folder(tmp_path: Path) -> None:
    _write(tmp_path / ".functory" / "functory.toml", "[node]\ndata = 'elsewhere'\n")
    with pytest.raises(errors.InvalidArgument, match="data cannot be set in"):
        config.load({}, {})


def test_the_rate_card_comes_from_the_settings_and_has_the_same_defaults() -> None:
    assert config.Settings().rate_card == RateCard()
    assert config.load({"usd_per_cu": 1, "cu_per_gb_s": "0.5"}, {}).rate_card == RateCard(usd_per_cu=1, cu_per_gb_s=0.5)


def test_each_python_runtime_has_its_interpreter_setting() -> None:
    found = config.load({"python3_9": "/opt/3.9"}, {}).interpreters
    assert found == {"python3.9": "/opt/3.9", "python3.10": "", "python3.11": "", "python3.12": ""}


def test_every_default_keeps_its_own_rule_and_has_a_sentence_of_help() -> None:
    for setting in config.SETTINGS:
        assert setting.rule.parse(setting.default) == setting.default, setting.name
        assert setting.rule.help.endswith("."), setting.name


@pytest.mark.parametrize(("unit", "value"), [(Unit.BYTES, 3 * MB), (Unit.BYTES, 1023), (Unit.SECONDS, 0.5)])
def test_a_shown_value_can_be_written_back(unit: Unit, value: float) -> None:
    assert config.Rule(unit, "", 0, 1 << 40).parse(show(unit, value)) == value


def test_a_settings_flag_and_variable_follow_from_its_name() -> None:
    setting = next(s for s in config.SETTINGS if s.name == "queue_max")
    assert (setting.flag, setting.variable) == ("--queue-max", "FUNCTORY_QUEUE_MAX")
