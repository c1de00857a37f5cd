# SPDX-License-Identifier: Apache-2.0
"""Which side a failure is laid at: client, proxy or server, or nobody where it cannot be told.

The rules, in order; the first that fits decides:

| what was seen | side |
|---|---|
| a limit of this machine, a wrong argument, a folder that is damaged or full, a name that DNS does not know | client |
| an HTTP answer that repeats the id of our request (`Umslab-Request`, SIMULATED): only an umslab server does | server |
| an HTTP answer without it, though this backend repeats it | proxy |
| 502 or 504, which only a gateway sends (RFC 9110 sections 15.6.3 and 15.6.5) | proxy |
| an HTTP answer whose `Server` header names another product than the backend's | proxy |
| any other HTTP answer | server |
| another root than the one the server's own documents name (interception) | proxy |
| a root that is not the pinned one, a certificate of another time: whose fault that is, cannot be seen | unknown |
| a close frame, a TLS alert, a certificate that does not fit, a refusal on TCP 30001 | server |
| the connection refused, dropped before TLS, or answered by what is not TLS | proxy if there is one, else server |
| a connection lost after TLS without a word | unknown if there is a proxy, else server |
| a connection that was taken, and then silence | unknown if there is a proxy, else server |
| no answer at all, no route | unknown |

A proxy that passes TLS through says nothing in HTTP: that there is one has to be told (`Way.proxied`). What a proxy
does or says itself is laid at it, also when its reason is that it cannot reach the server.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from umslab_protocol.values.failure import Contact, Failure, Phase, Reason

_CLIENT_PHASES = {Phase.START, Phase.KEY, Phase.STORE}
_CLIENT_REASONS = {
    Reason.BAD_ARGUMENTS,
    Reason.TARGET_REFUSED,
    Reason.NAME_UNKNOWN,
    Reason.NOT_SAVED,
    Reason.STATE_DAMAGED,
}
_GATEWAY_STATUSES = {502, 504}
_WORDS_OF_THE_SERVER = {
    Reason.TLS_REFUSED,
    Reason.NAME_MISMATCH,
    Reason.PIN_MISMATCH,
    Reason.CHAIN_INCOMPLETE,
    Reason.BUSY,
    Reason.REFUSED,
    Reason.UNKNOWN_DEVICE,
    Reason.KEY_REFUSED,
    Reason.ENROL_REFUSED,
    Reason.PROTOCOL,
    Reason.DEREGISTERED,
}
"""Without an HTTP answer: what takes an alert, a certificate, a close frame or a message of OS 11."""


class Side(StrEnum):
    """Where a failure is laid."""

    CLIENT = "client"
    PROXY = "proxy"
    SERVER = "server"
    UNKNOWN = "unknown"


@dataclass(slots=True)
class Way:
    """What is known of the way to the server; the run learns of the backend as it goes."""

    proxied: bool = False
    """The address belongs to a proxy."""
    product: str = ""
    """The first word of the backend's own `Server` header, such as `umslab`; empty until it is known."""
    repeats_requests: bool = False
    """The backend repeats the ids of requests."""

    def learn(self, server: str, request: str) -> None:
        """Take from an answer of the backend itself its `Server` header, and the id it repeated (or nothing)."""
        self.product = product_of(server)
        self.repeats_requests = bool(request)


def attribute(failure: Failure, way: Way) -> Side:
    """Say at which side a failure is laid, by the table above."""
    if failure.seen.contact is Contact.OWN or failure.phase in _CLIENT_PHASES or failure.reason in _CLIENT_REASONS:
        return Side.CLIENT
    if failure.seen.contact is Contact.ANSWERED:
        return _attribute_answer(failure, way)
    if failure.reason is Reason.INTERCEPTED:
        return Side.PROXY
    if failure.reason in {Reason.CERTIFICATE_TIME, Reason.UNTRUSTED_SERVER}:
        return Side.UNKNOWN
    if failure.reason in _WORDS_OF_THE_SERVER:
        return Side.SERVER
    if failure.seen.contact in {Contact.REFUSED, Contact.ACCEPTED}:
        return Side.PROXY if way.proxied else Side.SERVER
    if failure.seen.contact in {Contact.SECURED, Contact.SILENT} or failure.phase is Phase.SESSION:
        return Side.UNKNOWN if way.proxied else Side.SERVER
    return Side.UNKNOWN


def _attribute_answer(failure: Failure, way: Way) -> Side:
    seen = failure.seen
    if seen.request:
        return Side.SERVER
    product = product_of(seen.server)
    if way.repeats_requests or seen.status in _GATEWAY_STATUSES or (way.product and product != way.product):
        return Side.PROXY
    return Side.SERVER


def product_of(server: str) -> str:
    """The product in a `Server` header, without its version."""
    return server.split("/", 1)[0].split(" ", 1)[0].strip().lower()
