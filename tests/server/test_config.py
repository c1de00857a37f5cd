# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.config."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from umslab_certs.keys import KeyType
from umslab_protocol.wire.transfer import Wrapping
from umslab_server.config import ServerConfig
from umslab_server.enrolment import KnownDevice


def test_defaults_are_the_documented_ones() -> None:
    """P1, T2, C1-C3, X8, RB1: 8443 on loopback, TLS 1.3, RSA 4096, one year, recycle bin on."""
    config = ServerConfig()

    assert (config.listen, config.port, config.tls_min, config.tickets) == (["127.0.0.1"], 8443, "1.3", 0)
    assert (config.certificates.root_key, config.certificates.web_key) == (KeyType.RSA4096, KeyType.RSA4096)
    assert config.certificates.device_days == 365
    assert (config.enrolment.known_device, config.enrolment.accept_expired) == (KnownDevice.ACCEPT, False)
    assert (
        config.enrolment.body,
        config.enrolment.alias,
        config.enrolment.authentication,
    ) == (Wrapping.ONE_LINE, True, "basic")
    assert config.registry.recycle_bin


def test_defaults_of_managing() -> None:
    """Section 9: no heartbeat, else 24 h and 10 min; 50 threads, any queue; jobs never expire (J4)."""
    config = ServerConfig()

    assert (config.heartbeat.enabled, config.heartbeat.interval_hours, config.heartbeat.offset_minutes) == (
        False,
        24,
        10,
    )
    assert (config.requests.threads, config.requests.queue) == (50, None)
    assert config.jobs.expiry_minutes is None
    assert (config.connectors.cluster_address, config.connectors.public_address) == ("", "")
    assert config.registry.naming_prefix == ""


def test_defaults_of_os11() -> None:
    """G1, G4, P7: on, 30001, RSA 4096; next to a web port that is any free one, any free ones too."""
    config = ServerConfig()
    chosen = msgspec.convert({"port": 0, "os11": {"port": 40001, "file_transfer_port": 0}}, ServerConfig)

    assert (config.os11.enabled, config.os11.key, config.os11.linger_seconds) == (True, KeyType.RSA4096, 2)
    assert (config.os11_port, config.os11_file_transfer_port) == (30001, 30003)
    assert (ServerConfig(port=0).os11_port, ServerConfig(port=0).os11_file_transfer_port) == (0, 0)
    assert (chosen.os11_port, chosen.os11_file_transfer_port) == (40001, 0)


def test_defaults_of_online_check_and_scan() -> None:
    """N1, N2, N5, N6, N11, N12: on, 1 s, every 3 s; 6 s, everybody on the link; any free port for the answers."""
    check, scan = ServerConfig().online_check, ServerConfig().scan

    assert (check.enabled, check.timeout_seconds, check.interval_seconds, check.tries) == (True, 1.0, 3.0, 1)
    assert (check.reply_port, scan.reply_port) == (0, 0)
    assert (scan.timeout_seconds, scan.broadcast_address) == (6.0, "255.255.255.255")


def test_empty_configuration_is_the_default() -> None:
    """A file without a line means the same as no file."""
    assert ServerConfig() == msgspec.convert({}, ServerConfig)


@pytest.mark.parametrize(
    "values",
    [
        {"port": 0, "listen": ["::1", "127.0.0.1"], "tls_min": "1.2", "tickets": 8},
        {"certificates": {"root_key": "p-521", "web_key": "p-384", "client_ca_key": "rsa-2048", "device_days": 1}},
        {"enrolment": {"known_device": "refuse", "body": "pem", "alias": False, "accept_expired": True}},
        {"sessions": {"hello_seconds": 0.5, "message_bytes": 1024, "codec": "other"}},
        {"registry": {"recycle_bin": False, "events": 1000}, "limits": {"connections": 1}},
        {"registry": {"naming_prefix": "BRE-", "naming_digits": 9}},
        {"heartbeat": {"enabled": True, "interval_hours": 5000, "offset_minutes": 5}},
        {"heartbeat": {"interval_hours": 1, "offset_minutes": 20}},
        {"requests": {"threads": 1, "queue": 0, "timeout_seconds": 0.5}, "jobs": {"expiry_minutes": 40}},
        {"connectors": {"cluster_address": "ums.lab:8443", "public_address": "ums.example"}},
        {"online_check": {"enabled": False, "timeout_seconds": 0.1, "interval_seconds": 0.1, "parallel": 1}},
        {"online_check": {"timeout_seconds": 10, "interval_seconds": 3600, "parallel": 100_000, "reply_port": 65_535}},
        {"scan": {"timeout_seconds": 0.1, "broadcast_address": "10.77.0.255", "reply_port": 4711, "port": 31_005}},
        {"os11": {"enabled": False, "port": 65_535, "file_transfer_port": 0, "key": "p-256", "linger_seconds": 0.1}},
    ],
)
def test_what_can_be_said(values: dict[str, Any]) -> None:
    """Every key is taken at its bounds, and comes out as it went in."""
    config = msgspec.convert(values, ServerConfig)

    assert _is_within(values, msgspec.to_builtins(config))


def _is_within(part: dict[str, Any], whole: dict[str, Any]) -> bool:
    return all(
        _is_within(value, whole[key]) if isinstance(value, dict) else value == whole[key] for key, value in part.items()
    )


@pytest.mark.parametrize(
    "values",
    [
        {"port": 65_536},
        {"port": -1},
        {"port": "8443"},
        {"listen": []},
        {"listen": [""]},
        {"names": ["x" * 256]},
        {"tls_min": "1.1"},
        {"tickets": 9},
        {"drain_seconds": 0},
        {"drain_seconds": float("nan")},
        {"certificates": {"device_days": 0}},
        {"certificates": {"device_days": 36_526}},
        {"certificates": {"root_key": "p-192"}},
        {"enrolment": {"known_device": "ignore"}},
        {"enrolment": {"body": "der"}},
        {"enrolment": {"authentication": ""}},
        {"sessions": {"ping_seconds": 0}},
        {"sessions": {"message_bytes": 1023}},
        {"registry": {"events": 999}},
        {"online_check": {"timeout_seconds": 0.099}},
        {"online_check": {"timeout_seconds": 10.1}},
        {"online_check": {"timeout_seconds": float("nan")}},
        {"online_check": {"interval_seconds": 0.099}},
        {"online_check": {"interval_seconds": 3600.1}},
        {"online_check": {"parallel": 0}},
        {"online_check": {"reply_port": -1}},
        {"scan": {"timeout_seconds": 60.1}},
        {"scan": {"timeout_seconds": float("nan")}},
        {"scan": {"broadcast_address": "everybody"}},
        {"os11": {"port": 65_536}},
        {"os11": {"file_transfer_port": -1}},
        {"os11": {"key": "rsa-1024"}},
        {"os11": {"linger_seconds": 0}},
        {"registry": {"naming_prefix": "BRE_"}},
        {"registry": {"naming_prefix": "BRE-\n"}},
        {"registry": {"naming_prefix": "x" * 11}},
        {"registry": {"naming_digits": 0}},
        {"heartbeat": {"interval_hours": 0.9}},
        {"heartbeat": {"interval_hours": 5001}},
        {"heartbeat": {"interval_hours": 24, "offset_minutes": 4}},
        {"heartbeat": {"interval_hours": 1, "offset_minutes": 20.5}},
        {"requests": {"threads": 0}},
        {"requests": {"queue": -1}},
        {"jobs": {"expiry_minutes": 0}},
        {"connectors": {"cluster_address": "x" * 263}},
        {"limits": {"header_bytes": 0}},
        {"throttle": {"wrong_keys_per_device": 0}},
        {"surprise": 1},
        {"sessions": {"surprise": 1}},
    ],
)
def test_what_is_refused(values: dict[str, Any]) -> None:
    """Values out of their bounds and unknown keys never become a configuration."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(values, ServerConfig)
