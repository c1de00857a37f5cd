# SPDX-License-Identifier: Apache-2.0
"""What a server can be told: every key with its default, unit and bounds. `docs/server.md` prints this file's table."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from umslab_certs.keys import KeyType
from umslab_protocol.machines.os11 import LINGER_SECONDS
from umslab_protocol.values.address_range import parse_subnet
from umslab_protocol.values.est_address import MAX_EST_ADDRESS_CHARACTERS, parse_est_address
from umslab_protocol.values.host_port import (
    DEFAULT_WEB_PORT,
    DEVICE_COMMUNICATION_PORT,
    FILE_TRANSFER_PORT,
    parse_host_port,
)
from umslab_protocol.wire.mdns import DEFAULT_NAME, parse_instance_name
from umslab_protocol.wire.messages import DEFAULT_PING_SECONDS
from umslab_protocol.wire.transfer import Wrapping
from umslab_runtime.limits import Limits
from umslab_server.enrolment import KnownDevice
from umslab_server.throttle import ThrottleRules

Days = Annotated[int, Meta(ge=1, le=36_525)]
Port = Annotated[int, Meta(ge=0, le=65_535)]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]
MessageBytes = Annotated[int, Meta(ge=1_024, le=16 * 1024 * 1024)]
Text = Annotated[str, Meta(min_length=1, max_length=255)]


class CertificatesConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Used when a state folder is new; lifetimes also at every issue."""

    root_key: KeyType = KeyType.RSA4096
    """Key of the web root (C1, C3)."""
    web_key: KeyType = KeyType.RSA4096
    """Key of the web certificate (C2, C3)."""
    client_ca_key: KeyType = KeyType.P256
    """Key of the EST client CA; the vendor's is unknown (NP11)."""
    device_days: Days = 365
    """Lifetime of device certificates (X8)."""


class EnrolmentConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How devices come on board."""

    known_device: KnownDevice = KnownDevice.ACCEPT
    """A known, active device that enrols again with a valid key: accept, replace or refuse."""
    accept_expired: bool = False
    """Let expired but otherwise valid device certificates in, to renew them (X9)."""
    body: Wrapping = Wrapping.ONE_LINE
    """How EST answers are written: one-line, wrapped or pem (X4)."""
    alias: bool = True
    """Offer EST at /.well-known/est too."""
    approval: Literal["automatic", "manual"] = "automatic"
    """`manual` answers a first enrolment 202 until `umslab ctl approve`."""
    approval_seconds: Seconds = 60.0
    """Retry-After of such an answer."""
    automatic: bool = False
    """Devices that nobody imported register by themselves, without a key (A1, A4): for a rollout only."""
    authentication: Text = "basic"
    """Where the key is carried; `basic`, or the name of a plug-in."""


class SessionsConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Management sessions on ws-connect."""

    codec: Text = "json"
    """The message format: `json` (simulated), or the name of a plug-in."""
    hello_seconds: Seconds = 10.0
    """From the opening to hello."""
    ping_seconds: Seconds = DEFAULT_PING_SECONDS
    """Silence before a ping."""
    pong_seconds: Seconds = 30.0
    """From the ping to a sign of life."""
    message_bytes: MessageBytes = 256 * 1024
    """One message; a longer one closes the session with 1009."""


class HeartbeatConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Periodic contact signal of devices (section 9 of the facts)."""

    enabled: bool = False
    """Off by default, as documented."""
    interval_hours: Annotated[float, Meta(ge=1, le=5_000)] = 24.0
    """From one sign of life to the next."""
    offset_minutes: Annotated[float, Meta(ge=5)] = 10.0
    """Each comes this much later at most, by chance; at most a third of the interval."""

    def __post_init__(self) -> None:
        """Check the rule that binds two keys."""
        if self.offset_minutes * 60 > self.interval_hours * 3600 / 3:
            raise ValueError("heartbeat.offset_minutes must be at most a third of heartbeat.interval_hours")


class RequestsConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How many devices are asked for something at the same time (section 9 of the facts)."""

    threads: Annotated[int, Meta(ge=1, le=10_000)] = 50
    """Commands under way at the same time."""
    queue: Annotated[int, Meta(ge=0)] | None = None
    """Commands that may wait for a thread; the surplus is rejected. Without a value: any number."""
    timeout_seconds: Seconds = 30.0
    """From a command to its result, when the command does not say otherwise."""


class JobsConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Jobs that are due while nothing could run them."""

    expiry_minutes: Annotated[float, Meta(gt=0)] | None = None
    """A run that is later than this is left out. Without a value jobs never expire (J4; the vendor offers 40)."""


class ConnectorsConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Under which addresses devices find this server again."""

    cluster_address: Annotated[str, Meta(max_length=262)] = ""
    """`HOST[:PORT]` for devices instead of this server's own address (S5)."""
    public_address: Annotated[str, Meta(max_length=262)] = ""
    """`HOST[:PORT]` when there is no cluster address (S4)."""
    enrolment_address: Annotated[str, Meta(max_length=MAX_EST_ADDRESS_CHARACTERS)] = ""
    """`HOST[:PORT][/PREFIX]` where devices enrol and renew, if not there, too (S7)."""

    def __post_init__(self) -> None:
        """Check that they are addresses."""
        if self.enrolment_address:
            parse_est_address(self.enrolment_address)
        for address in (self.cluster_address, self.public_address):
            if address:
                parse_host_port(address)


class MdnsConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Whether devices without a name server can find this server (simulated)."""

    enabled: bool = False
    """Announce the server by mDNS: on loopback and in namespaces that umslab made; elsewhere with `--mdns-on` only."""
    name: Annotated[str, Meta(min_length=1, max_length=63)] = DEFAULT_NAME
    """The name under which it is announced; when it is taken, a number is added."""

    def __post_init__(self) -> None:
        """Check that DNS can carry the name."""
        parse_instance_name(self.name)


class RegistryConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The registry of devices."""

    recycle_bin: bool = True
    """Deleting moves a device into the recycle bin first (RB1)."""
    events: Annotated[int, Meta(ge=1_000, le=1_000_000_000)] = 1_000_000
    """Rows of the event feed that are kept; the oldest go first."""
    naming_prefix: Annotated[str, Meta(max_length=10, pattern=r"^[A-Za-z0-9-]*$(?!\n)")] = ""
    """Naming convention: new devices are called this and a running number; off without a prefix."""
    naming_digits: Annotated[int, Meta(ge=1, le=9)] = 4
    """Digits of that number at least; name and number have 15 characters at most (U9)."""


class Os11Config(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """OS 11 devices: they call TCP 30001, and are called on TCP 30005 (G1)."""

    enabled: bool = True
    """Listen for OS 11 devices."""
    port: Port | None = None
    """Where they call (P7). Without a value 30001, or any free one when the web port is 0; 0 takes any free one."""
    file_transfer_port: Port | None = None
    """Where they fetch files over TLS 1.2 (E7, FU1; simulated). Without a value 30003, or any free one as above."""
    key: KeyType = KeyType.RSA4096
    """Key of the device-communication certificate (G4); used when a state folder is new."""
    linger_seconds: Seconds = LINGER_SECONDS
    """From the last word of a session that this server began to its goodbye."""


class OnlineCheckConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Whether OS 11 devices are there: asked on UDP 30005, at every interval."""

    enabled: bool = True
    """Off: the state of OS 11 devices is unknown, and nothing is asked (N1, N17)."""
    timeout_seconds: Annotated[float, Meta(ge=0.1, le=10)] = 1.0
    """From a probe to its answer (N2)."""
    interval_seconds: Annotated[float, Meta(ge=0.1, le=3_600)] = 3.0
    """From the beginning of one sweep to that of the next, which waits until the one before is over (N5)."""
    tries: Annotated[int, Meta(ge=1, le=10)] = 1
    """Probes that a device may leave unanswered before it is offline; the vendor sends one."""
    parallel: Annotated[int, Meta(ge=1, le=100_000)] = 1_000
    """Unanswered probes at the same time (N7; the vendor's default is not published)."""
    reply_port: Port = 0
    """Where answers are sent to: a fixed UDP port, or 0 for any free one (N6)."""
    port: Port = 0
    """Where devices are asked that have not named a port of their own; 0: 30005 (P9)."""


class ScanConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Looking for devices (N11, N12)."""

    timeout_seconds: Annotated[float, Meta(ge=0.1, le=60)] = 6.0
    """From the last probe to the end of the scan."""
    broadcast_address: Annotated[str, Meta(min_length=7, max_length=15)] = "255.255.255.255"
    """Who is asked when no range is named; sent only inside a network namespace that umslab made."""
    reply_port: Port = 0
    """Where answers are sent to: a fixed UDP port, or 0 for any free one."""
    port: Port = 0
    """Where devices are asked; 0: 30005 (P9)."""

    def __post_init__(self) -> None:
        """Check that it is an address."""
        IPv4Address(self.broadcast_address)


class WakeConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where magic packets go, all of these together (WL1, WL2)."""

    broadcast: bool = True
    """To everybody on the link: 255.255.255.255 inside a namespace that umslab made, else those on loopback."""
    last_address: bool = True
    """To the last known address of the device."""
    subnets: list[Annotated[str, Meta(max_length=18)]] = field(default_factory=list)
    """To the broadcast address of each of these networks, /8 to /28."""
    proxies: list[Annotated[str, Meta(min_length=12, max_length=18)]] = field(default_factory=list)
    """Unit IDs of devices that send a packet on their own link, when they are connected (WL4)."""
    automatic_proxies: bool = False
    """Let one connected device whose address begins alike (/24) do so."""
    port: Annotated[int, Meta(ge=1, le=65_535)] = 9
    """The UDP port (P15)."""

    def __post_init__(self) -> None:
        """Check the subnets."""
        for subnet in self.subnets:
            parse_subnet(subnet)


class MetricsConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Metrics for Prometheus, on a port of their own without TLS."""

    port: Port | None = None
    """Where `GET /metrics` is answered; 0 takes any free one. Off without a value."""
    listen: Text = "127.0.0.1"
    """Literal address of that port."""


class ServerConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole configuration of `umslab serve`."""

    listen: Annotated[list[Text], Meta(min_length=1)] = field(default_factory=lambda: ["127.0.0.1"])
    """Literal addresses to listen on, IPv4 or IPv6."""
    port: Port = DEFAULT_WEB_PORT
    """The web port (P1); 0 takes any free one."""
    names: list[Text] = field(default_factory=list)
    """Further names and addresses for the web certificate (C6)."""
    tls_min: Literal["1.2", "1.3"] = "1.3"
    """1.2 lets other clients in over TLS 1.2; device paths stay 1.3 (T2)."""
    tickets: Annotated[int, Meta(ge=0, le=8)] = 0
    """TLS session tickets a handshake; 0 offers no resumption."""
    drain_seconds: Seconds = 10.0
    """From SIGTERM to the end, whatever is still open."""
    limits: Limits = field(default_factory=Limits)
    throttle: ThrottleRules = field(default_factory=ThrottleRules)
    certificates: CertificatesConfig = field(default_factory=CertificatesConfig)
    enrolment: EnrolmentConfig = field(default_factory=EnrolmentConfig)
    sessions: SessionsConfig = field(default_factory=SessionsConfig)
    registry: RegistryConfig = field(default_factory=RegistryConfig)
    heartbeat: HeartbeatConfig = field(default_factory=HeartbeatConfig)
    requests: RequestsConfig = field(default_factory=RequestsConfig)
    jobs: JobsConfig = field(default_factory=JobsConfig)
    connectors: ConnectorsConfig = field(default_factory=ConnectorsConfig)
    mdns: MdnsConfig = field(default_factory=MdnsConfig)
    os11: Os11Config = field(default_factory=Os11Config)
    online_check: OnlineCheckConfig = field(default_factory=OnlineCheckConfig)
    scan: ScanConfig = field(default_factory=ScanConfig)
    wake_on_lan: WakeConfig = field(default_factory=WakeConfig)
    metrics: MetricsConfig = field(default_factory=MetricsConfig)

    @property
    def os11_port(self) -> int:
        """The port that OS 11 devices call; 0 for any free one."""
        return self._or_default(self.os11.port, DEVICE_COMMUNICATION_PORT)

    @property
    def os11_file_transfer_port(self) -> int:
        """The port where OS 11 devices fetch files; 0 for any free one."""
        return self._or_default(self.os11.file_transfer_port, FILE_TRANSFER_PORT)

    def _or_default(self, chosen: int | None, default: int) -> int:
        if chosen is not None:
            return chosen
        return default if self.port else 0
