# SPDX-License-Identifier: Apache-2.0
"""Failures are laid at the side that what was seen speaks for, and at nobody's where nothing does."""

from __future__ import annotations

import pytest

from umslab_agent.explain import explain, explain_answer, explain_close
from umslab_agent.fleet.blame import Side, Way, attribute, product_of
from umslab_agent.os11.explaining import explain_end, explain_refused
from umslab_certs.errors import CertificateError, Fault
from umslab_protocol.errors import RemoteProtocolError
from umslab_protocol.machines.carrier import Closed
from umslab_protocol.values.failure import Failure, Phase, Reason
from umslab_protocol.wire.close_codes import CloseCode
from umslab_protocol.wire.os11 import ContactRefusal, Refused
from umslab_protocol.wire.request_id import REQUEST_HEADER
from umslab_runtime.http import Response
from umslab_runtime.network import DialError, DialProblem
from umslab_runtime.tls import TLSBrokenError, TLSError, TLSProblem

DIRECT = Way(product="umslab")
PROXIED = Way(proxied=True, product="umslab")


def _answer(status: int, server: str = "umslab/0.3 (simulation)", request: str = "") -> Failure:
    headers = [("Server", server)] if server else []
    headers += [(REQUEST_HEADER, request)] if request else []
    return explain_answer(Phase.CACERTS, Response(status, headers, b""))


def _tls(problem: TLSProblem) -> Failure:
    return explain(Phase.CONNECT, TLSError(problem, "details"))


def _dial(problem: DialProblem) -> Failure:
    return explain(Phase.CONNECT, DialError(problem, "details"))


ABNORMAL = explain_close(Closed(CloseCode.ABNORMAL, "", by_peer=True))

CASES = [
    # what happened, without a proxy, behind one that passes TLS through
    (_dial(DialProblem.OWN_LIMIT), Side.CLIENT, Side.CLIENT),
    (_dial(DialProblem.NAME_UNKNOWN), Side.CLIENT, Side.CLIENT),
    (explain(Phase.STORE, OSError(28, "No space left on device")), Side.CLIENT, Side.CLIENT),
    (Failure(Phase.START, Reason.STATE_DAMAGED, ""), Side.CLIENT, Side.CLIENT),
    (_dial(DialProblem.REFUSED), Side.SERVER, Side.PROXY),
    (_dial(DialProblem.UNREACHABLE), Side.UNKNOWN, Side.UNKNOWN),
    (_dial(DialProblem.TIMEOUT), Side.UNKNOWN, Side.UNKNOWN),
    (_tls(TLSProblem.TRUNCATED), Side.SERVER, Side.PROXY),
    (_tls(TLSProblem.NOT_TLS), Side.SERVER, Side.PROXY),
    (_tls(TLSProblem.SILENT), Side.SERVER, Side.UNKNOWN),
    (_tls(TLSProblem.ALERT), Side.SERVER, Side.SERVER),
    (_tls(TLSProblem.NAME_MISMATCH), Side.SERVER, Side.SERVER),
    (_tls(TLSProblem.UNTRUSTED), Side.UNKNOWN, Side.UNKNOWN),
    (_tls(TLSProblem.EXPIRED), Side.UNKNOWN, Side.UNKNOWN),
    (Failure(Phase.TRUST, Reason.INTERCEPTED, ""), Side.PROXY, Side.PROXY),
    (
        explain(Phase.CONNECT, TLSBrokenError(TLSError(TLSProblem.TRUNCATED, "d"))),
        Side.SERVER,
        Side.UNKNOWN,
    ),
    (explain(Phase.CACERTS, RemoteProtocolError("not HTTP")), Side.SERVER, Side.UNKNOWN),
    (explain(Phase.CACERTS, CertificateError(Fault.EXPIRED, "m")), Side.UNKNOWN, Side.UNKNOWN),
    (ABNORMAL, Side.SERVER, Side.UNKNOWN),
    (explain_close(Closed(CloseCode.BUSY, "", by_peer=True)), Side.SERVER, Side.SERVER),
    (
        explain_refused(Phase.REGISTER, Refused(refusal=ContactRefusal.CREDENTIALS, message="no")),
        Side.SERVER,
        Side.SERVER,
    ),
    (
        explain_refused(Phase.CONTACT, Refused(refusal=ContactRefusal.UNKNOWN_DEVICE, message="?")),
        Side.SERVER,
        Side.SERVER,
    ),
    (explain_end(Phase.CONTACT, Closed(CloseCode.ABNORMAL, "", by_peer=True)), Side.SERVER, Side.UNKNOWN),
    (_answer(503), Side.SERVER, Side.SERVER),
    (_answer(502), Side.PROXY, Side.PROXY),
    (_answer(504, ""), Side.PROXY, Side.PROXY),
    (_answer(502, request="02-1"), Side.SERVER, Side.SERVER),
    (_answer(503, "nginx/1.22.1"), Side.PROXY, Side.PROXY),
]


@pytest.mark.parametrize(("failure", "direct", "proxied"), CASES, ids=lambda case: str(case)[:40])
def test_sides(failure: Failure, direct: Side, proxied: Side) -> None:
    """The table, one row at a time."""
    assert direct == attribute(failure, DIRECT)
    assert proxied == attribute(failure, PROXIED)


def test_a_backend_that_nobody_knows() -> None:
    """Without the backend's name, only a gateway's statuses speak for a proxy."""
    way = Way()

    assert Side.SERVER == attribute(_answer(503, "nginx/1.22.1"), way)
    assert Side.PROXY == attribute(_answer(502, "nginx/1.22.1"), way)


def test_a_backend_that_repeats_ids() -> None:
    """Once it is known that the server repeats ids, an answer without one is another's, whatever it calls itself."""
    way = Way()
    way.learn("umslab/0.3 (simulation; not IGEL)", "02-1")

    assert ("umslab", True) == (way.product, way.repeats_requests)
    assert Side.PROXY == attribute(_answer(503, "umslab/0.3"), way)
    assert Side.SERVER == attribute(_answer(503, "umslab/0.3", "02-7"), way)


@pytest.mark.parametrize(
    ("header", "product"), [("nginx/1.22.1", "nginx"), ("Umslab", "umslab"), ("a b/c", "a"), ("", "")]
)
def test_products(header: str, product: str) -> None:
    """The first word, without its version."""
    assert product == product_of(header)
