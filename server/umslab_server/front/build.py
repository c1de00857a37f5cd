# SPDX-License-Identifier: Apache-2.0
"""The front of a server out of its parts: EST, ws-connect and pages behind one router."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from umslab_certs.csrattrs import CSR_ATTRIBUTES
from umslab_protocol.machines.session_server import SessionRules
from umslab_protocol.wire.messages import Heartbeat
from umslab_server.certificates import encode_issued
from umslab_server.front.automatic import AutomaticFront
from umslab_server.front.est import Est
from umslab_server.front.files import FileFront, by_certificate
from umslab_server.front.load_proof import LoadProofFront
from umslab_server.front.pages import Pages
from umslab_server.front.routes import Router, build_table
from umslab_server.front.turns import QueuedSessions
from umslab_server.front.ws_connect import WsConnect
from umslab_server.os11.ports import new_session_id

if TYPE_CHECKING:
    from umslab_protocol.wire.codec import SessionCodec
    from umslab_runtime.session_host import SessionHost
    from umslab_server.config import HeartbeatConfig, ServerConfig
    from umslab_server.front.est import Authentication
    from umslab_server.front.turns import Turns
    from umslab_server.services import Services


@dataclass(frozen=True, kw_only=True)
class Front:
    """What requests meet."""

    router: Router
    est: Est
    ws_connect: WsConnect
    turns: Turns | None


def build_front(
    config: ServerConfig,
    services: Services,
    host: SessionHost,
    *,
    codec: SessionCodec,
    authentication: Authentication,
    version: str,
    server_name: str,
    turns: Turns | None = None,
    for_load: bool = False,
) -> Front:
    """Build it; without `turns` nothing waits for one. `for_load`: it proves that it may be loaded."""
    est = Est(
        services.enrolment,
        authentication,
        ca_certificates=services.certificates.ca_certificates,
        csr_attributes=CSR_ATTRIBUTES,
        wrapping=config.enrolment.body,
        encode_certificate=encode_issued,
    )
    ws_connect = WsConnect(
        services.sessions if turns is None else QueuedSessions(services.sessions, turns),
        host,
        codec=codec,
        rules=session_rules(config),
        server_name=server_name,
        new_session_id=new_session_id,
    )
    pages = Pages(services.status, version)
    files = FileFront(services.files, by_certificate(services.sessions))
    automatic = AutomaticFront(services.automatic, enrolment=services.connectors.enrolment)
    load_proof = LoadProofFront(services.certificates) if for_load else None
    table = build_table(
        est, ws_connect, pages, files, automatic, load_proof=load_proof, est_alias=config.enrolment.alias
    )
    return Front(
        router=Router(table if turns is None else turns.wrap(table)), est=est, ws_connect=ws_connect, turns=turns
    )


def session_rules(config: ServerConfig) -> SessionRules:
    """What holds in every management session."""
    return SessionRules(
        hello_within=config.sessions.hello_seconds,
        ping_after=config.sessions.ping_seconds,
        pong_within=config.sessions.pong_seconds,
        max_message_bytes=config.sessions.message_bytes,
        heartbeat=_heartbeat(config.heartbeat),
    )


def _heartbeat(config: HeartbeatConfig) -> Heartbeat | None:
    if not config.enabled:
        return None
    return Heartbeat(intervalSeconds=config.interval_hours * 3600, offsetSeconds=config.offset_minutes * 60)
