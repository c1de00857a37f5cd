# SPDX-License-Identifier: Apache-2.0
"""A records by dnspython's messages: ask name servers in order, tell every way to fail apart (facts D1, D8).

dnspython reads and writes messages only; packets go through an `Exchange`, so that tests need no socket. What is asked
of a name server follows resolv.conf(5): each server in turn, `SECONDS` for an answer, `ATTEMPTS` rounds.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import trio

from umslab_protocol.errors import InvalidValueError
from umslab_protocol.values.host_port import HostPort, parse_host, parse_host_port
from umslab_runtime.net_trio import TrioNetwork
from umslab_runtime.network import DialError, DialProblem
from umslab_runtime.policy import LOOPBACK_ONLY, TargetPolicy, TargetRefusedError, effective_address

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DNS_PORT = 53
SECONDS = 5.0
ATTEMPTS = 2
MAX_NAMESERVERS = 8
MAX_SEARCH_DOMAINS = 32
MAX_ADDRESSES = 16
MAX_ALIASES = 8
RESOLV_CONF = Path("/etc/resolv.conf")
_MAX_FILE_CHARACTERS = 65_536
_MAX_DATAGRAM = 65_535


T = TypeVar("T")


class DnsProblem(StrEnum):
    """Why a name has no address."""

    NO_SUCH_NAME = "no-such-name"
    """NXDOMAIN: the name does not exist."""
    NO_ADDRESS = "no-address"
    """The name exists, but has no A record."""
    SERVER_FAILED = "server-failed"
    """SERVFAIL, REFUSED or another error of the server."""
    TIMEOUT = "timeout"
    """No server answered in time."""
    UNREACHABLE = "unreachable"
    """No packet came to a server."""
    MALFORMED = "malformed"
    """The answer is no answer to the question."""
    NO_NAMESERVER = "no-nameserver"
    REFUSED_BY_US = "target-refused"
    """The target policy does not let us ask this server."""
    BAD_NAME = "bad-name"


class DnsError(Exception):
    """A name could not be resolved; the message is one sentence."""

    def __init__(self, problem: DnsProblem, detail: str) -> None:
        super().__init__(detail)
        self.problem = problem
        self.detail = detail


@dataclass(frozen=True, slots=True)
class DnsAnswer:
    """Addresses in the order of the answer, the whole name that has them, and who said so."""

    name: str
    addresses: tuple[str, ...]
    server: str


@dataclass(frozen=True, slots=True)
class DnsSettings:
    """Whom to ask, and which domains to try."""

    nameservers: tuple[HostPort, ...] = ()
    search: tuple[str, ...] = field(default=())


class Exchange(Protocol):
    """Sends one query and returns the answer; raises `OSError`, the caller bounds the time."""

    async def __call__(self, server: HostPort, query: bytes, *, stream: bool) -> bytes:
        """Ask over TCP when `stream`, else over UDP."""
        ...


def parse_nameserver(text: str) -> HostPort:
    """Read `ADDRESS[:PORT]`; raises `InvalidValueError`."""
    server = parse_host_port(text, default_port=DNS_PORT)
    try:
        effective_address(server.host)
    except ValueError:
        raise InvalidValueError(f"a name server is an IP address, not {server.host}") from None
    return server


def parse_search_domain(text: str) -> str:
    """Read a search domain; raises `InvalidValueError`."""
    return parse_host(text.rstrip(".")).lower()


def read_resolv_conf(path: Path = RESOLV_CONF) -> DnsSettings:
    """Read name servers and search domains; what cannot be read is left out, as resolvers do."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            text = file.read(_MAX_FILE_CHARACTERS)
    except OSError:
        return DnsSettings()
    servers: list[HostPort] = []
    search: list[str] = []
    for line in text.splitlines():
        word, *rest = re.split(r"[#;]", line, maxsplit=1)[0].split() or [""]
        if word == "nameserver" and rest:
            servers += _read(parse_nameserver, rest[:1])
        elif word in {"search", "domain"}:
            search = _read(parse_search_domain, rest)  # the last line counts
    return DnsSettings(tuple(servers[:MAX_NAMESERVERS]), tuple(search[:MAX_SEARCH_DOMAINS]))


def _read(parse: Callable[[str], T], words: Sequence[str]) -> list[T]:
    found = []
    for word in words:
        try:
            found.append(parse(word))
        except InvalidValueError:
            continue
    return found


class DnsClient:
    """Asks for A records."""

    def __init__(
        self,
        settings: DnsSettings,
        exchange: Exchange,
        *,
        policy: TargetPolicy = LOOPBACK_ONLY,
        seconds: float = SECONDS,
        attempts: int = ATTEMPTS,
    ) -> None:
        self.settings = settings
        self._exchange = exchange
        self._policy = policy
        self._seconds = seconds
        self._attempts = attempts

    def names(self, name: str) -> list[str]:
        """Which whole names a short one stands for: below each search domain, then alone (D1)."""
        if "." in name:
            return [name.rstrip(".")]
        return [*(f"{name}.{domain}" for domain in self.settings.search), name]

    async def addresses(self, name: str) -> DnsAnswer:
        """Return the A records of a whole name. Raises `DnsError`: the answer of a server, or what kept us from one."""
        if not self.settings.nameservers:
            raise DnsError(DnsProblem.NO_NAMESERVER, "no name server is known")
        try:
            question = dns.name.from_text(name)
        except (dns.exception.DNSException, UnicodeError):
            raise DnsError(DnsProblem.BAD_NAME, f"{name[:80]!r} is not a name that DNS can carry") from None
        failure: DnsError | None = None
        for _ in range(self._attempts):
            for server in self.settings.nameservers:
                try:
                    return await self._ask(server, question)
                except DnsError as error:
                    if error.problem in {DnsProblem.NO_SUCH_NAME, DnsProblem.NO_ADDRESS}:
                        raise
                    failure = failure or error
        if failure is None:
            raise DnsError(DnsProblem.TIMEOUT, f"{name}: nobody was asked")
        raise failure

    async def _ask(self, server: HostPort, question: dns.name.Name) -> DnsAnswer:
        try:
            self._policy.check(server.host)
        except TargetRefusedError as error:
            text = f"the name server {server} is not asked: {error} (--nameserver names one)"
            raise DnsError(DnsProblem.REFUSED_BY_US, text) from None
        query = dns.message.make_query(question, dns.rdatatype.A)
        try:
            with trio.fail_after(self._seconds):
                answer = read_answer(query, await self._exchange(server, query.to_wire(), stream=False))
                if answer.flags & dns.flags.TC:
                    answer = read_answer(query, await self._exchange(server, query.to_wire(), stream=True))
        except trio.TooSlowError:
            text = f"the name server {server} did not answer within {self._seconds:g} seconds"
            raise DnsError(DnsProblem.TIMEOUT, text) from None
        except OSError as error:
            text = f"the name server {server} cannot be reached: {error.strerror or error}"
            raise DnsError(DnsProblem.UNREACHABLE, text) from None
        name = question.to_text(omit_final_dot=True)
        return DnsAnswer(name, addresses_in(answer, question, f"{server}"), str(server))


def read_answer(query: dns.message.Message, wire: bytes) -> dns.message.Message:
    """Read an answer to this query. Raises `DnsError`."""
    try:
        answer = dns.message.from_wire(wire, ignore_trailing=True)
    except (dns.exception.DNSException, ValueError, struct.error, IndexError, RecursionError) as error:
        raise DnsError(DnsProblem.MALFORMED, f"an answer cannot be read: {error}") from None
    if not query.is_response(answer):
        raise DnsError(DnsProblem.MALFORMED, "an answer belongs to another question")
    return answer


def addresses_in(answer: dns.message.Message, question: dns.name.Name, server: str) -> tuple[str, ...]:
    """Return the A records, following aliases inside the answer. Raises `DnsError`."""
    name = question.to_text(omit_final_dot=True)
    code = answer.rcode()
    if code == dns.rcode.NXDOMAIN:
        raise DnsError(DnsProblem.NO_SUCH_NAME, f"{server} knows no name {name} (NXDOMAIN)")
    if code != dns.rcode.NOERROR:
        text = f"{server} could not answer for {name} ({dns.rcode.to_text(code)})"
        raise DnsError(DnsProblem.SERVER_FAILED, text)
    owner, found = question, []
    for _ in range(MAX_ALIASES):
        internet = [rrset for rrset in answer.answer if rrset.rdclass == dns.rdataclass.IN]
        sets = {(rrset.name, rrset.rdtype): rrset for rrset in internet}
        if (records := sets.get((owner, dns.rdatatype.A))) is not None:
            found = [str(record.address) for record in records]
            break
        alias = sets.get((owner, dns.rdatatype.CNAME))
        if alias is None:
            break
        owner = alias[0].target
    if not found:
        raise DnsError(DnsProblem.NO_ADDRESS, f"{server} knows {name}, but no A record of it")
    return tuple(dict.fromkeys(found))[:MAX_ADDRESSES]


async def ask_by_socket(server: HostPort, query: bytes, *, stream: bool) -> bytes:
    """The exchange over real sockets; a connected one, so that only this server is heard."""
    family = trio.socket.AF_INET6 if ":" in server.host else trio.socket.AF_INET
    kind = trio.socket.SOCK_STREAM if stream else trio.socket.SOCK_DGRAM
    with trio.socket.socket(family, kind) as sock:
        await sock.connect((server.host, server.port))
        if not stream:
            await sock.send(query)
            while True:
                answer = await sock.recv(_MAX_DATAGRAM)
                if answer[:2] == query[:2]:  # a late or forged answer does not end the wait
                    return answer
        connection = trio.SocketStream(sock)
        await connection.send_all(struct.pack("!H", len(query)) + query)
        (length,) = struct.unpack("!H", await _exactly(connection, 2))
        return await _exactly(connection, length)


async def _exactly(stream: trio.SocketStream, count: int) -> bytes:
    data = b""
    while len(data) < count:
        try:
            more = await stream.receive_some(count - len(data))
        except trio.BrokenResourceError as error:
            raise ConnectionResetError(104, "the connection broke") from error
        if not more:
            raise ConnectionResetError(104, "the connection ended too early")
        data += more
    return data


class DnsNetwork(TrioNetwork):
    """The real network of a device whose names are resolved by its own name servers, not by the machine's."""

    def __init__(self, policy: TargetPolicy, client: DnsClient) -> None:
        super().__init__(policy)
        self._client = client

    async def resolve(self, host: str) -> Sequence[str]:
        """Ask the device's name servers; literal addresses and localhost need none."""
        try:
            return [str(effective_address(host))]
        except ValueError:
            if host == "localhost":
                return await super().resolve(host)
        failure: DnsError | None = None
        for name in self._client.names(host):
            try:
                return (await self._client.addresses(name)).addresses
            except DnsError as error:
                failure = failure or error
        gone = failure is None or failure.problem in {DnsProblem.NO_SUCH_NAME, DnsProblem.NO_ADDRESS}
        text = f"the name {host} could not be resolved: {failure}"
        raise DialError(DialProblem.NAME_UNKNOWN if gone else DialProblem.RESOLVER, text)
