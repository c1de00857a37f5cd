# SPDX-License-Identifier: Apache-2.0
"""Asks a server outside this machine for the proof that it is an umslab started for load (`serve --for-load`).

Everything goes over one connection: the certificate that TLS presents, its chain up to the root that the user names
(`--token`, `--ca-hash`), and the signature of its key over a nonce of ours. No secret is sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from umslab_agent.explain import ERRORS
from umslab_agent.link import CONNECT_TIMEOUT
from umslab_agent.trust import judge
from umslab_certs.chain import parse_certificate
from umslab_certs.load_proof import check_load_proof
from umslab_certs.pkcs7 import decode_certificates
from umslab_certs.tls import blind_context
from umslab_protocol.errors import InvalidValueError
from umslab_protocol.values.failure import Failure
from umslab_protocol.values.firmware import DEFAULT_FIRMWARE
from umslab_protocol.wire import paths
from umslab_protocol.wire.load_proof import CONTENT_TYPE, read_answer, write_request
from umslab_protocol.wire.transfer import decode_body
from umslab_runtime.dial_tls import dial_tls
from umslab_runtime.http_client import HttpClientConnection, close_quietly

if TYPE_CHECKING:
    from datetime import datetime

    from umslab_agent.trust import TrustMode
    from umslab_protocol.values.host_port import HostPort
    from umslab_runtime.network import Network
    from umslab_runtime.tls import TLSStream

NO_PROOF = "the server there does not prove that it was started with `umslab serve --for-load`"


class NotProvedError(Exception):
    """There is no proof; the message says why."""


async def check_proof(network: Network, target: HostPort, mode: TrustMode, *, nonce: bytes, now: datetime) -> None:
    """Raise `NotProvedError` unless the server there proves that it was started for load; `nonce` is 32 random bytes.

    `mode` says by what its root is known; on first use nobody vouches for it, and that is no proof.
    """
    if mode.token is None and mode.ca_hash is None:
        raise NotProvedError(
            "name the server's root with --token (or --ca-hash), so that it is known who gives the proof"
        )
    try:
        with trio.fail_after(CONNECT_TIMEOUT):
            stream = await dial_tls(network, target, blind_context(), within=CONNECT_TIMEOUT)
            try:
                await _check(stream, target, mode, nonce, now)
            finally:
                await close_quietly(stream)
    except trio.TooSlowError:
        raise NotProvedError("the server there does not answer") from None
    except (trio.BrokenResourceError, InvalidValueError, *ERRORS) as error:
        raise NotProvedError(f"the server there gives no proof: {error}") from None


async def _check(stream: TLSStream, target: HostPort, mode: TrustMode, nonce: bytes, now: datetime) -> None:
    if stream.peer_certificate is None:
        raise NotProvedError("the server there presents no certificate")
    presented = parse_certificate(stream.peer_certificate)
    http = HttpClientConnection(stream, str(target))
    answer = await http.request("GET", f"{paths.EST}/cacerts")
    if answer.status != 200:
        raise NotProvedError(NO_PROOF)
    trust = judge(presented, decode_certificates(decode_body(answer.body)), mode, firmware=DEFAULT_FIRMWARE, now=now)
    if isinstance(trust, Failure):
        raise NotProvedError(trust.detail)
    if not http.reusable:
        raise NotProvedError(NO_PROOF)
    headers = [("Content-Type", CONTENT_TYPE)]
    answer = await http.request("POST", paths.LOAD_PROOF, headers=headers, body=write_request(nonce))
    if answer.status != 200:
        raise NotProvedError(NO_PROOF)
    check_load_proof(presented, nonce, read_answer(answer.body))
