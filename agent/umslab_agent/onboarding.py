# SPDX-License-Identifier: Apache-2.0
"""The steps on board over HTTPS: fetch and judge trust, make a request, enrol, renew (facts X1-X3, X8; house.md 8a).

Each step returns None, or the `Failure` that tells phase, reason and hint. Nothing is half done: what a step achieved
is on disk before it returns.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import trio

from umslab_agent.errors import DeviceFolderError
from umslab_agent.explain import ERRORS, explain, explain_answer
from umslab_agent.link import CONNECT_TIMEOUT
from umslab_agent.trust import judge
from umslab_certs.chain import check_time, parse_certificate
from umslab_certs.errors import CertificateError
from umslab_certs.keys import check_strength, key_type, spki_digest
from umslab_certs.pkcs7 import decode_certificates
from umslab_certs.tls import use_identity
from umslab_protocol.errors import InvalidValueError
from umslab_protocol.values.est_address import EstAddress, parse_est_address
from umslab_protocol.values.failure import Failure, Phase, Reason
from umslab_protocol.values.firmware import FirmwareVersion
from umslab_protocol.values.unit_id import UnitId
from umslab_protocol.wire import paths, registration_token
from umslab_protocol.wire.basic_auth import format_basic
from umslab_protocol.wire.transfer import Wrapping, decode_body, encode_body
from umslab_runtime.clock import SkewedClock
from umslab_runtime.dial_tls import dial_tls
from umslab_runtime.http_client import HttpClientConnection, close_quietly
from umslab_runtime.network import DialError, DialProblem

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from cryptography.x509 import Certificate

    from umslab_agent.contexts import TlsContexts
    from umslab_agent.folder import DeviceFolder
    from umslab_agent.persona import Persona
    from umslab_agent.trust import TrustMode
    from umslab_certs.keys import KeyType
    from umslab_protocol.values.host_port import HostPort
    from umslab_protocol.wire.codec import SessionCodec
    from umslab_runtime.clock import Clock
    from umslab_runtime.dhcp_runner import DhcpRunner
    from umslab_runtime.dns import DnsClient
    from umslab_runtime.executor import Executor
    from umslab_runtime.http import Headers, Response
    from umslab_runtime.http_client import Tap
    from umslab_runtime.network import Network
    from umslab_runtime.session_host import SessionHost
    from umslab_runtime.tls import TLSStream
    from umslab_runtime.tracing import Trace, TracedStep

ASK_AGAIN_SECONDS = 60.0
"""After an answer 202 that does not say when (RFC 7030 section 4.2.3 wants it to)."""
NOBODY_THERE = {Reason.UNREACHABLE, Reason.TIMEOUT, Reason.NAME_UNKNOWN}
REQUEST_TIMEOUT = 60.0
"""Seconds for one whole request and its answer."""

_ENROL_HEADERS: Headers = [("Content-Type", "application/pkcs10"), ("Content-Transfer-Encoding", "base64")]


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What devices need of the world; a fleet shares one."""

    network: Network
    clock: Clock
    executor: Executor
    contexts: TlsContexts
    codec: SessionCodec
    host: SessionHost
    entropy: Callable[[int], bytes]
    tap: Tap | None = None
    dns: DnsClient | None = None
    """For the source DNS."""
    dhcp: DhcpRunner | None = None
    """For devices that lease by themselves."""
    trace: Trace | None = None


class Onboarding:
    """The steps of one device."""

    def __init__(
        self,
        persona: Persona,
        folder: DeviceFolder,
        target: HostPort | None,
        world: World,
        *,
        trust_mode: TrustMode,
        auth_key: str | None,
        key_type: KeyType,
        enrol_at: EstAddress | None = None,
    ) -> None:
        """`target` is None until discovery has found one; `enrol_at` counts until the server names another (S7)."""
        self.persona = persona
        self.target = target
        self.known: tuple[HostPort, ...] = ()
        """All addresses that the same source knows, for when nobody is at `target`."""
        self.trust_mode = trust_mode
        self.auth_key = auth_key
        self.automatic = False
        """Without a key it asks the server for a token (A6)."""
        self.token: Callable[[], str] = str
        """Tells the one that it has without having asked; empty for none, and another when it was ordered again."""
        self._judged = ""
        """The one of these that the server has judged already."""
        self._folder = folder
        self._world = world
        self._key_type = key_type
        self._enrol_at = enrol_at
        self._requests = 0

    async def establish_trust(self) -> Failure | None:
        """Fetch cacerts with nothing trusted yet, judge what came, pin the root. Every later connection is pinned."""
        try:
            answer, presented = await self._exchange(self._world.contexts.blind(), "GET", "cacerts")
            if answer.status != 200:
                return explain_answer(Phase.CACERTS, answer)
            answered = decode_certificates(decode_body(answer.body))
        except InvalidValueError as error:
            return Failure(Phase.CACERTS, Reason.BAD_ANSWER, f"cacerts: {error}", "is this a UMS?")
        except _ERRORS as error:
            return explain(Phase.CACERTS, error)
        if presented is None:
            return Failure(Phase.CACERTS, Reason.BAD_ANSWER, "the server presented no certificate")
        return self._judge(parse_certificate(presented), answered)

    def _judge_time(self, stream: TLSStream) -> None:
        """Look at the server's certificate by this device's own wrong calendar; OpenSSL looked at the machine's (SE7).

        Raises `CertificateError`.
        """
        if stream.peer_certificate is not None:
            check_time(parse_certificate(stream.peer_certificate), self._world.clock.utc())

    def _judge(self, presented: Certificate, answered: list[Certificate]) -> Failure | None:
        trust = judge(
            presented,
            answered,
            self.trust_mode,
            firmware=FirmwareVersion.parse(self.persona.firmware),
            now=self._world.clock.utc(),
        )
        if isinstance(trust, Failure):
            return trust
        try:
            self._folder.save_trust([trust.root], trust.intermediates, trust.est_ca)
        except OSError as error:
            return explain(Phase.STORE, error)
        return None

    async def prepare_request(self) -> Failure | None:
        """Make a key and a CSR, and keep them before anybody sees them."""
        unit_id = UnitId(self.persona.unit_id)
        try:
            await self._world.executor.run(lambda: self._folder.make_request(unit_id, self._key_type))
        except (OSError, CertificateError) as error:
            return explain(Phase.KEY, error)
        return None

    async def enrol(self) -> Failure | None:
        """Send the CSR that is kept, always the same bytes, with the first-authentication key or a new token."""
        if self.auth_key is None and not self.automatic:
            hint = "give --auth-key, --auth-key-file or UMSLAB_AUTH_KEY"
            return Failure(Phase.ENROL, Reason.BAD_ARGUMENTS, "enrolment needs a first-authentication key", hint)
        try:
            roots, intermediates = self._folder.load_trust()
            context = self._world.contexts.pinned(roots, intermediates, None)
        except _ERRORS as error:
            return explain(Phase.ENROL, error)
        if self.auth_key is not None:
            return await self._enrol_with(self.auth_key, context)
        token, refused = self.token(), None
        if token and token != self._judged:
            failure = await self._enrol_with(token, context)
            if failure is None or failure.reason not in {Reason.AWAITING_APPROVAL, Reason.KEY_REFUSED}:
                return failure  # the answer may have been lost: the same token is good for the same request
            self._judged = token
            if failure.reason is Reason.AWAITING_APPROVAL:
                return failure
            refused = replace(failure, hint="the order came too long ago: let the UMS give it again")
        fetched = await self._fetch_token(context)
        if isinstance(fetched, Failure):
            return refused or fetched
        secret, at = fetched
        return await self._enrol_with(secret, context, at=at)

    async def _enrol_with(self, secret: str, context: ssl.SSLContext, at: EstAddress | None = None) -> Failure | None:
        headers = [*_ENROL_HEADERS, ("Authorization", format_basic(self.persona.unit_id, secret))]
        return await self._ask_for_certificate(Phase.ENROL, "simpleenroll", context, headers, at=at)

    async def _fetch_token(self, context: ssl.SSLContext) -> tuple[str, EstAddress | None] | Failure:
        """Ask for the token of automatic registration, and where it is good (SIMULATED: A6, NP12)."""
        body = registration_token.write_request(UnitId(self.persona.unit_id))
        headers = [("Content-Type", registration_token.CONTENT_TYPE)]
        try:
            answer, _ = await self._exchange(context, "POST", paths.REGISTRATION_TOKEN, headers=headers, body=body)
            if answer.status == 200:
                return registration_token.read_answer(answer.body)
        except InvalidValueError as error:
            return Failure(Phase.ENROL, Reason.BAD_ANSWER, f"registration token: {error}", "is this a UMS?")
        except _ERRORS as error:
            return explain(Phase.ENROL, error)
        failure = explain_answer(Phase.ENROL, answer)
        if answer.status != 403:
            return failure
        return replace(failure, hint="whether devices without a key may register is up to the UMS (A1)")

    def targets(self) -> tuple[HostPort, ...]:
        """All addresses of the UMS, the one in use first."""
        first = () if self.target is None else (self.target,)
        return tuple(dict.fromkeys((*first, *self.known)))

    async def renew_anywhere(self) -> Failure | None:
        """Renew at the first address where somebody is."""
        failure = await self.renew()
        for target in self.targets()[1:]:
            if failure is None or failure.reason not in NOBODY_THERE:
                break
            self.target = target
            failure = await self.renew()
        return failure

    async def renew(self) -> Failure | None:
        """Ask for a new certificate over the present one, with a new key.

        An address only for enrolment may have a proxy that passes no certificate on (S7); then the UMS itself is asked.
        """
        try:
            present = self._folder.load_identity()
            roots, intermediates = self._folder.load_trust()
            if present is None:
                return Failure(Phase.RENEW, Reason.STATE_DAMAGED, "there is no certificate to renew")
            kind = key_type(check_strength(present.public_key()))
            if self._folder.load_request() is None and (failure := await self.prepare_request()):
                return failure
        except _ERRORS as error:
            return explain(Phase.RENEW, error)
        context = self._world.contexts.pinned(roots, intermediates, kind)

        def present_identity() -> None:
            use_identity(context, self._folder.identity_file)

        ask = partial(
            self._ask_for_certificate,
            *(Phase.RENEW, "simplereenroll", context, list(_ENROL_HEADERS)),
            prepare=present_identity,
        )
        failure = await ask()
        direct = None if self.target is None else EstAddress(self.target)
        if failure is None or failure.reason is Reason.AWAITING_APPROVAL or direct in {None, self._est()}:
            return failure
        return await ask(at=direct)

    async def _ask_for_certificate(
        self,
        phase: Phase,
        operation: str,
        context: ssl.SSLContext,
        headers: Headers,
        *,
        prepare: Callable[[], None] | None = None,
        at: EstAddress | None = None,
    ) -> Failure | None:
        try:
            request = self._folder.load_request()
            if request is None:
                return Failure(phase, Reason.STATE_DAMAGED, "there is no certificate request to send")
            key, der = request
            body = encode_body(der, Wrapping.ONE_LINE, "CERTIFICATE REQUEST")
            answer, _ = await self._exchange(
                context, "POST", operation, headers=headers, body=body, prepare=prepare, at=at
            )
            if answer.status == 202:
                waiting = explain_answer(phase, answer)
                text = "the server takes its time (HTTP 202): it is asked again"
                hint = "somebody may have to approve the device at the UMS"
                wait = waiting.retry_after or ASK_AGAIN_SECONDS
                return replace(waiting, reason=Reason.AWAITING_APPROVAL, detail=text, hint=hint, retry_after=wait)
            if answer.status != 200:
                return explain_answer(phase, answer)
            certificate = _find_own(answer.body, spki_digest(key.public_key()))
        except InvalidValueError as error:
            return Failure(phase, Reason.BAD_ANSWER, f"{operation}: {error}", "the server answered no certificate")
        except _ERRORS as error:
            return explain(phase, error)
        try:
            self._folder.take_certificate(certificate)
        except (OSError, CertificateError) as error:
            return Failure(Phase.STORE, Reason.NOT_SAVED, str(error), "is the disk full, the folder writable?")
        return None

    def _est(self) -> EstAddress | None:
        """Where to enrol and renew: as the server said last, else as the user did, else at the UMS (S7)."""
        with suppress(InvalidValueError, DeviceFolderError):  # somebody edited the file; the next boot tells
            if told := self._folder.connectors.load().enrolment:
                return parse_est_address(told)
        return self._enrol_at or (None if self.target is None else EstAddress(self.target))

    async def _exchange(
        self,
        context: ssl.SSLContext,
        method: str,
        operation: str,
        *,
        headers: Headers | None = None,
        body: bytes | None = None,
        prepare: Callable[[], None] | None = None,
        at: EstAddress | None = None,
    ) -> tuple[Response, bytes | None]:
        """Do one request on a connection of its own; returns the answer and the server's certificate.

        `operation` is one of EST, done where it is to be done or `at` this address, or a whole path of the UMS.
        """
        est = at or self._est()
        if self.target is None or est is None:
            raise DialError(DialProblem.NAME_UNKNOWN, "no UMS has been found")
        whole = operation.startswith("/")
        target = self.target if whole else est.at
        path = operation if whole else f"{est.prefix or paths.EST}/{operation}"
        stream = await dial_tls(
            self._world.network,
            target,
            context,
            within=CONNECT_TIMEOUT,
            unit_id=UnitId(self.persona.unit_id),
            prepare=prepare,
            trace=self._world.trace,
        )
        began = self._world.clock.monotonic()
        try:
            if isinstance(self._world.clock, SkewedClock) and context is not self._world.contexts.blind():
                self._judge_time(stream)
            with trio.move_on_after(REQUEST_TIMEOUT):
                self._requests += 1
                request_id = f"{self.persona.unit_id}-{self._requests}"
                http = HttpClientConnection(stream, str(target), self._world.tap, request_id=request_id)
                answer = await http.request(method, path, headers=headers, body=body)
                if self._world.trace is not None and answer.status == 200 and operation in _TRACED:
                    self._world.trace(_TRACED[operation], began)
                return answer, stream.peer_certificate
            raise DialError(DialProblem.TIMEOUT, f"{target}: no answer within {REQUEST_TIMEOUT:g} seconds")
        finally:
            await close_quietly(stream)


_TRACED: dict[str, TracedStep] = {"cacerts": "cacerts", "simpleenroll": "enrol", "simplereenroll": "enrol"}
_ERRORS = (trio.BrokenResourceError, *ERRORS)


def _find_own(body: bytes, public_key: str) -> Certificate:
    """Return the certificate made for our key; raises `InvalidValueError` when there is none."""
    for certificate in decode_certificates(decode_body(body)):
        if spki_digest(check_strength(certificate.public_key())) == public_key:
            return certificate
    raise InvalidValueError("the answer holds no certificate for the key of the request")
