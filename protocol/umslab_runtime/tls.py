# SPDX-License-Identifier: Apache-2.0
"""Our TLS stream: alerts that arrive, truncation that shows, memory that scales.

Problem. `trio.SSLStream` drives OpenSSL through memory buffers and closes the transport when a handshake fails, before
the alert in the outgoing buffer is sent: the peer sees a reset instead of a reason. Each connection also pays for the
buffers.

Choice. One stream, two carriers. On a socket OpenSSL reads and writes the descriptor itself (`ssl.SSLSocket`,
non-blocking) and we only wait for it; what OpenSSL wants to say, it says. Over a memory stream (virtual networks,
byte-exact evidence) the two BIOs are flushed after *every* operation, also after one that failed. House.md section 9
has the measurements.

Traps, each with a test:
- `suppress_ragged_eofs=False`, or a truncation attack reads as a clean end;
- a cancelled send leaves a record half written, so it marks the stream broken;
- closing a socket with unread data makes the kernel send a reset, which can overtake our alert in the peer's buffer:
  after a failed handshake we half-close and read the rest away first.
"""

from __future__ import annotations

import contextlib
import re
import ssl
from abc import abstractmethod
from enum import StrEnum
from typing import TYPE_CHECKING

import trio

from umslab_runtime.streams import RECEIVE_BYTES, Address, HttpStream

if TYPE_CHECKING:
    from collections.abc import Awaitable

_FAIRNESS = 16  # receives in a row without waiting before other tasks get a turn
LINGER_SECONDS = 2.0
LINGER_BYTES = 64 * 1024


class TLSProblem(StrEnum):
    """Why TLS failed, in terms a caller can act on."""

    ALERT = "alert"
    """The peer refused us and said so: see `TLSError.alert`."""
    UNTRUSTED = "untrusted"
    """The peer's chain does not lead to what we trust."""
    NAME_MISMATCH = "name-mismatch"
    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    WRONG_USAGE = "wrong-usage"
    VERSION = "version"
    """No common TLS version."""
    NOT_TLS = "not-tls"
    """What came is not TLS."""
    TRUNCATED = "truncated"
    """The peer went away without a word."""
    SILENT = "silent"
    """The peer is there and says nothing."""
    OTHER = "other"


ALERTS: dict[int, str] = {  # RFC 8446 section 6, with the older ones its appendix B.2 still lists
    0: "close notify",
    10: "unexpected message",
    20: "bad record MAC",
    21: "decryption failed",
    22: "record overflow",
    30: "decompression failure",
    40: "handshake failure",
    41: "no certificate",
    42: "bad certificate",
    43: "unsupported certificate",
    44: "certificate revoked",
    45: "certificate expired",
    46: "certificate unknown",
    47: "illegal parameter",
    48: "unknown CA",
    49: "access denied",
    50: "decode error",
    51: "decrypt error",
    60: "export restriction",
    70: "protocol version",
    71: "insufficient security",
    80: "internal error",
    86: "inappropriate fallback",
    90: "user canceled",
    100: "no renegotiation",
    109: "missing extension",
    110: "unsupported extension",
    111: "certificate unobtainable",
    112: "unrecognized name",
    113: "bad certificate status response",
    114: "bad certificate hash value",
    115: "unknown PSK identity",
    116: "certificate required",
    120: "no application protocol",
}


class TLSError(Exception):
    """TLS could not be set up or broke; `alert` is the number the peer sent us, if it sent one."""

    def __init__(self, problem: TLSProblem, detail: str, alert: int | None = None) -> None:
        super().__init__(detail)
        self.problem = problem
        self.detail = detail
        self.alert = alert


class TLSBrokenError(trio.BrokenResourceError):
    """An established TLS stream broke; `tls` says why, such as the alert with which a server refuses a client."""

    def __init__(self, tls: TLSError) -> None:
        super().__init__(tls.detail)
        self.tls = tls


# X509_V_ERR_* of OpenSSL (x509_vfy.h)
_VERIFY_PROBLEMS = {
    9: TLSProblem.NOT_YET_VALID,
    10: TLSProblem.EXPIRED,
    26: TLSProblem.WRONG_USAGE,
    62: TLSProblem.NAME_MISMATCH,
    64: TLSProblem.NAME_MISMATCH,
}
_VERSION_REASONS = {"UNSUPPORTED_PROTOCOL", "NO_PROTOCOLS_AVAILABLE", "VERSION_TOO_LOW", "VERSION_TOO_HIGH"}
_NOT_TLS_REASONS = {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "PACKET_LENGTH_TOO_LONG"}
_ALERT_NAMES = {name.replace(" ", "_").upper(): number for number, name in ALERTS.items()}
_ALERT_NAMES["USER_CANCELLED"] = 90  # OpenSSL's spelling


def explain_ssl_error(error: ssl.SSLError) -> TLSError:
    """Translate what the ssl module raises into one of our reasons."""
    reason = _reason(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        problem = _VERIFY_PROBLEMS.get(error.verify_code, TLSProblem.UNTRUSTED)
        return TLSError(problem, f"the peer's certificate was refused: {error.verify_message}")
    if (alert := _alert_number(reason)) is not None:
        return TLSError(TLSProblem.ALERT, f"the peer answered with TLS alert {alert} ({ALERTS[alert]})", alert)
    if reason in _VERSION_REASONS:
        return TLSError(TLSProblem.VERSION, "the two sides have no TLS version in common")
    if reason in _NOT_TLS_REASONS:
        return TLSError(TLSProblem.NOT_TLS, "what the peer sent is not TLS")
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)) or reason == "UNEXPECTED_EOF_WHILE_READING":
        return TLSError(TLSProblem.TRUNCATED, "the peer closed the connection in the middle of TLS")
    return TLSError(TLSProblem.OTHER, f"TLS failed: {reason.replace('_', ' ').lower()}")


def _reason(error: ssl.SSLError) -> str:
    """OpenSSL's name of the reason; for one that Python's table lacks, made from its text, which says the same."""
    text = re.sub(r"^\[\w+\] | \(_ssl\.c:\d+\)$", "", str(error), flags=re.ASCII)
    return getattr(error, "reason", None) or text.replace(" ", "_").upper()


def _alert_number(reason: str) -> int | None:
    """Read the alert out of reasons such as TLSV1_ALERT_UNKNOWN_CA or TLSV13_ALERT_CERTIFICATE_REQUIRED."""
    match = re.fullmatch(r"(?:TLSV1|TLSV13|SSLV3)_(?:ALERT_)?(.+)", reason)
    return None if match is None else _ALERT_NAMES.get(match.group(1))


class TLSStream(HttpStream):
    """TLS on one carrier; see the module's essay. Make one with `Transport.wrap_tls`."""

    __slots__ = ("_broken", "_closed", "_in_a_row", "_peer", "_sending", "_tls")

    def __init__(self, tls: ssl.SSLSocket | ssl.SSLObject, peer: Address) -> None:
        self._tls = tls
        self._peer = peer
        self._in_a_row = 0
        self._broken = False
        self._closed = False
        self._sending = False

    # What the carriers supply.

    @abstractmethod
    def _wait_readable(self) -> Awaitable[None]:
        """Wait until OpenSSL may find more input, after giving the peer what OpenSSL has written."""

    @abstractmethod
    def _wait_writable(self) -> Awaitable[None]:
        """Wait until OpenSSL may write more."""

    @abstractmethod
    def _write(self, data: memoryview) -> int:
        """Write one record and tell how many bytes it took.

        Raises `SSLWantWriteError` when the carrier does not take the record whole; the same bytes are offered again.
        """

    @abstractmethod
    async def _flush(self) -> None:
        """Give the peer everything that OpenSSL has written; nothing to do on a socket."""

    @abstractmethod
    def _close_carrier(self) -> None:
        """Close at once; a second call does nothing."""

    @abstractmethod
    async def _half_close_and_drain(self) -> None:
        """Say that nothing more comes, and read away what the peer still sends, so that no reset eats our alert."""

    # What users call.

    @property
    def peer(self) -> Address:
        """The other end."""
        return self._peer

    @property
    def version(self) -> str | None:
        """The negotiated TLS version, such as `TLSv1.3`; None before the handshake."""
        return self._tls.version()

    @property
    def peer_certificate(self) -> bytes | None:
        """The DER of the certificate the peer presented, or None."""
        return self._tls.getpeercert(binary_form=True)

    async def do_handshake(self, gate: HandshakeGate | None = None) -> None:
        """Complete the handshake.

        Raises `TLSError`; by then the alert that tells the peer why is on the wire and the stream is closed. The caller
        bounds the time.
        """
        try:
            await self._step_handshake(gate)
        except (OSError, trio.BrokenResourceError) as error:
            self._broken = True
            await self._farewell()
            raise _as_tls_error(error) from None
        except BaseException:
            self.abort()
            raise

    async def _step_handshake(self, gate: HandshakeGate | None) -> None:
        while True:
            wait = self._wait_readable
            try:
                if gate is None:
                    self._tls.do_handshake()
                else:
                    async with gate.step:
                        self._tls.do_handshake()
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLWantWriteError:
                wait = self._wait_writable
            else:
                await self._flush()
                return
            await self._flush()
            await wait()

    async def _farewell(self) -> None:
        try:
            with trio.move_on_after(LINGER_SECONDS):
                with contextlib.suppress(OSError, trio.BrokenResourceError, trio.ClosedResourceError):
                    await self._flush()
                    await self._half_close_and_drain()
        finally:
            self._closed = True
            self._close_carrier()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Receive at least one byte, or `b""` after the peer's close_notify."""
        if self._in_a_row >= _FAIRNESS:
            self._in_a_row = 0
            await trio.lowlevel.checkpoint()  # before the read: a cancellation loses nothing
        size = max_bytes or RECEIVE_BYTES
        while True:
            self._check_open()  # also after waiting: another task may have closed or broken the stream meanwhile
            wait = self._wait_readable
            try:
                data = self._tls.read(size)
            except ssl.SSLWantReadError:
                self._in_a_row = 0
            except ssl.SSLWantWriteError:
                wait = self._wait_writable
            except ssl.SSLZeroReturnError:
                return b""
            except OSError as error:  # ssl.SSLError is one
                self._broken = True
                await self._flush_quietly()
                raise TLSBrokenError(_as_tls_error(error)) from error
            else:
                self._in_a_row += 1
                return data
            # Waiting outside the handler: a connection that idles here keeps no exception and no traceback alive.
            await wait()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send everything; a cancellation in the middle breaks the stream, because a record may be half sent."""
        self._check_open()
        if self._sending:
            raise trio.BusyResourceError("another task is sending on this TLS stream")
        self._sending = True
        try:
            await self._send_all(memoryview(data))
        except (OSError, trio.BrokenResourceError) as error:
            self._broken = True
            raise TLSBrokenError(_as_tls_error(error)) from error
        except trio.Cancelled:
            self._broken = True
            raise
        finally:
            self._sending = False

    async def _send_all(self, rest: memoryview) -> None:
        while rest:
            self._check_open()
            wait = self._wait_writable
            try:
                rest = rest[self._write(rest) :]
            except ssl.SSLWantReadError:
                wait = self._wait_readable
            except ssl.SSLWantWriteError:
                pass
            else:
                continue
            await wait()
        await self._flush()

    def send_nowait(self, data: bytes) -> int:
        """Send what the carrier takes at once; see `Stream.send_nowait`."""
        self._check_open()
        if self._sending:
            return 0
        taken = 0
        try:
            while taken < len(data):
                taken += self._write(memoryview(data)[taken:])
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            pass
        except (OSError, trio.BrokenResourceError) as error:
            self._broken = True
            raise TLSBrokenError(_as_tls_error(error)) from error
        return taken

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until a send has a chance not to wait."""
        self._check_open()
        await self._wait_writable()

    async def aclose(self) -> None:
        """Send close_notify and close; does not wait for the peer's answer."""
        if not self._closed:
            self._closed = True
            try:
                if not self._broken:
                    self._notify_close()
                    await self._flush_quietly()
            finally:
                self._close_carrier()
        await trio.lowlevel.checkpoint()

    async def aclose_after_error(self) -> None:
        """Close so that the peer can read our last words although it is still sending; bounded in time and bytes."""
        if not self._closed:
            self._notify_close()
            await self._farewell()

    def _notify_close(self) -> None:
        if self._broken:
            return
        with contextlib.suppress(ssl.SSLError, OSError, ValueError):
            self._tls.unwrap()  # usually raises: our close_notify is written, the peer's has not come

    def abort(self) -> None:
        """Drop the connection now."""
        self._broken = self._closed = True
        self._close_carrier()

    # Inside.

    def _check_open(self) -> None:
        if self._closed:
            raise trio.ClosedResourceError("this TLS stream is closed")
        if self._broken:
            raise trio.BrokenResourceError("this TLS stream is broken")

    async def _flush_quietly(self) -> None:
        with trio.move_on_after(LINGER_SECONDS):
            with contextlib.suppress(OSError, trio.BrokenResourceError, trio.ClosedResourceError):
                await self._flush()


class HandshakeGate:
    """Lets a few handshakes *compute* per turn of the event loop, however many are under way.

    A handshake step costs up to a millisecond of CPU (more with RSA keys), so two hundred that become ready together
    stop everything else for a fifth of a second (house.md section 9). Only the computing is gated, never the waiting: a
    silent or slow peer holds nothing.
    """

    def __init__(self, steps_at_a_time: int = 8) -> None:
        self.step = trio.CapacityLimiter(steps_at_a_time)


def _as_tls_error(error: OSError | trio.BrokenResourceError) -> TLSError:
    if isinstance(error, ssl.SSLError):
        return explain_ssl_error(error)
    return TLSError(TLSProblem.TRUNCATED, f"the connection broke: {getattr(error, 'strerror', None) or error}")
