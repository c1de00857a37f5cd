# SPDX-License-Identifier: Apache-2.0
"""Why a management session ends: WebSocket close codes and the refusals before there is a session.

Provenance: 1000-1011 are RFC 6455 section 7.4, 1013 comes from the IANA registry that it opened; 4000-4999 and the
`Umslab-Refusal` header are SIMULATED (NP18). What the vendor documents is that a device can tell "unknown device" from
every other refusal (L5, L7).
"""

from __future__ import annotations

from enum import IntEnum, StrEnum


class CloseCode(IntEnum):
    """Codes this project sends."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    ABNORMAL = 1006
    """Never sent: the connection ended without a close frame."""
    INVALID_DATA = 1007
    POLICY = 1008
    TOO_BIG = 1009
    INTERNAL_ERROR = 1011
    BUSY = 1013
    REPLACED = 4001
    """A newer session of the same device took over."""
    DEREGISTERED = 4002
    """The device was deleted and has acknowledged it."""
    REFUSED = 4003
    """The device may not stay connected (revoked, deleted into nothing while connected)."""
    SILENT = 4008
    """Nothing was heard in time: no hello, or no pong."""
    VERSION = 4009
    """No version in common."""
    SLOW_READER = 4010
    """The peer does not read what it is sent."""


class Refusal(StrEnum):
    """Why `ws-connect` answered an HTTP error instead of 101, in the header `Umslab-Refusal`."""

    NO_CERTIFICATE = "no-certificate"
    UNKNOWN_DEVICE = "unknown-device"
    """The certificate is sound but the registry does not know its device: status 410."""
    REVOKED = "revoked"
    EXPIRED = "expired"
    REFUSED = "refused"
    BUSY = "busy"


REFUSAL_HEADER = "Umslab-Refusal"
