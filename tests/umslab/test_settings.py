# SPDX-License-Identifier: Apache-2.0
"""Settings from file, environment and flags: the later wins, nothing unknown passes, errors name their place."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from umslab.settings import SettingsError, load, parse_assignment
from umslab_server.config import ServerConfig

if TYPE_CHECKING:
    from pathlib import Path


def _load(
    file: Path | None = None, environment: dict[str, str] | None = None, flags: list[tuple[str, Any]] | None = None
) -> ServerConfig:
    return load(ServerConfig, file=file, environment=environment or {}, flags=flags or [])


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    """A configuration file to be written by the test."""
    return tmp_path / "lab.toml"


def test_nothing_said_gives_the_defaults() -> None:
    """The documented defaults."""
    config = _load()

    assert (config.listen, config.port, config.tls_min) == (["127.0.0.1"], 8443, "1.3")
    assert config.limits.header_seconds == 10.0


def test_flags_win_over_the_environment_and_that_over_the_file(toml: Path) -> None:
    """Each later source overrides the earlier ones, key by key."""
    toml.write_text("port = 1\ntickets = 1\n[limits]\nidle_seconds = 1\nbody_seconds = 1\nheader_seconds = 1\n")
    environment = {
        "UMSLAB_SERVE_LIMITS__BODY_SECONDS": "2",
        "UMSLAB_SERVE_LIMITS__HEADER_SECONDS": "2",
        "UMSLAB_STATE": "x",
    }

    config = _load(toml, environment, [("limits.header_seconds", 3), ("port", 3)])

    assert (config.port, config.tickets) == (3, 1)
    assert (config.limits.idle_seconds, config.limits.body_seconds, config.limits.header_seconds) == (1, 2, 3)


@pytest.mark.parametrize(
    ("content", "line", "word"),
    [
        ("port = 8443\nprot = 1\n", 2, "unknown key prot"),
        ("[limits]\n\nheader_secs = 5\n", 3, "unknown key limits.header_secs"),
        ("[limit]\nheader_seconds = 5\n", 1, "unknown key limit"),
        ("\n\nport = 'high'\n", 3, "port"),
        ("[limits]\nheader_seconds = -1\n", 2, "limits.header_seconds"),
        ("limits.header_seconds = 0\n", 1, "limits.header_seconds"),
        ("listen = ['127.0.0.1', 5]\n", 1, "listen"),
        ("[enrolment]\nknown_device = 'maybe'\n", 2, "enrolment.known_device"),
        ("tls_min = '1.1'\n", 1, "tls_min"),
    ],
)
def test_errors_in_a_file_name_the_line(toml: Path, content: str, line: int, word: str) -> None:
    """A typing error is found by its file, line and key."""
    toml.write_text(content)

    with pytest.raises(SettingsError) as caught:
        _load(toml)

    assert f"{toml}, line {line}: " in str(caught.value)
    assert word in str(caught.value)


def test_what_is_not_toml_is_told_with_its_line(toml: Path) -> None:
    """The parser's own words are kept."""
    toml.write_text("port = 8443\nport == 1\n")

    with pytest.raises(SettingsError, match="line 2"):
        _load(toml)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("UMSLAB_SERVE_PROT", "1"),
        ("UMSLAB_SERVE_PORT", "high"),
        ("UMSLAB_SERVE_PORT", "\udcff"),
        ("UMSLAB_SERVE_LIMITS__X", "1"),
    ],
)
def test_errors_in_the_environment_name_the_variable(name: str, value: str) -> None:
    """An unknown or wrong variable is not ignored."""
    with pytest.raises(SettingsError, match=name):
        _load(environment={name: value})


def test_errors_on_the_command_line_name_the_key() -> None:
    """An unknown key of --set is refused."""
    with pytest.raises(SettingsError, match=r"the command line \(limits\.x\)"):
        _load(flags=[("limits.x", 1)])


def test_a_value_is_not_a_table() -> None:
    """`port.x` makes no sense and is told."""
    with pytest.raises(SettingsError, match="port is a value"):
        _load(flags=[("port", 1), ("port.x", 1)])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("port=5", ("port", 5)),
        ("limits.header_seconds = 2.5", ("limits.header_seconds", 2.5)),
        ("enrolment.accept_expired=true", ("enrolment.accept_expired", True)),
        ('names=["a", "b"]', ("names", ["a", "b"])),
        ("enrolment.known_device=refuse", ("enrolment.known_device", "refuse")),
        ("names=a=b", ("names", "a=b")),
    ],
)
def test_assignments(text: str, expected: tuple[str, Any]) -> None:
    """Values are TOML where they are, text otherwise."""
    key, assigned = parse_assignment(text)

    assert expected == (key, assigned.value)


def test_text_that_looks_like_a_number_stays_text() -> None:
    """`tls_min=1.2` needs no quotes, on the command line or in the environment."""
    assert "1.2" == _load(flags=[parse_assignment("tls_min=1.2")]).tls_min
    assert "1.2" == _load(environment={"UMSLAB_SERVE_TLS_MIN": "1.2"}).tls_min


@pytest.mark.parametrize("text", ["", "port", "=5", "PORT=5", "a b=1", ".=1", "a.=1"])
def test_what_is_no_assignment(text: str) -> None:
    """The message shows the form."""
    with pytest.raises(SettingsError, match="KEY=VALUE"):
        parse_assignment(text)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """Missing, a folder, too large, not text: each a sentence with the path."""
    large, binary = tmp_path / "large.toml", tmp_path / "binary.toml"
    large.write_bytes(b"#" * (1024 * 1024 + 1))
    binary.write_bytes(b"\xff\xfe")
    for path, word in ((tmp_path / "none", "No such"), (tmp_path, "directory"), (large, "larger"), (binary, "UTF-8")):
        with pytest.raises(SettingsError, match=word) as caught:
            _load(path)

        assert str(path) in str(caught.value)


@settings(deadline=None, max_examples=200)
@given(content=st.one_of(st.binary(max_size=300), st.text(max_size=300).map(str.encode)))
def test_any_file_is_a_configuration_or_a_sentence(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No content leads to anything but a configuration or a SettingsError."""
    path = tmp_path_factory.mktemp("fuzz") / "x.toml"
    path.write_bytes(content)
    with suppress(SettingsError):
        _load(path)


@settings(deadline=None, max_examples=300)
@given(text=st.text(max_size=100))
def test_any_assignment_is_one_or_a_sentence(text: str) -> None:
    """Nor does any --set."""
    with suppress(SettingsError):
        _load(flags=[parse_assignment(text)])
