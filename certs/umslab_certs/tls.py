# SPDX-License-Identifier: Apache-2.0
"""TLS contexts: every one that umslab uses is made here, none of them looks at the system's trust store.

Provenance: documented (T1, T2: OS 12 speaks TLS 1.3 only, OS 11 TLS 1.2, and knows its peer by the exact certificate,
G12; X3: no client certificate needed for cacerts;
X18: the port takes devices with and without a certificate; X9: expired device certificates on request). OpenSSL judges
validity by the machine's clock; `check_time=False` takes that away from it, for X9 and for simulated time.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from umslab_certs.chain import to_pem
from umslab_certs.errors import CertificateError, Fault

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cryptography.x509 import Certificate

_NO_CHECK_TIME = ssl.VerifyFlags(0x200000)  # X509_V_FLAG_NO_CHECK_TIME, which the ssl module does not name


def server_context(
    identity_file: Path,
    client_cas: Sequence[Certificate],
    *,
    minimum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    check_time: bool = True,
    tickets: int = 0,
) -> ssl.SSLContext:
    """Make the context of a TLS server that presents `identity_file` (key, certificate, intermediates in PEM).

    With `client_cas` a client certificate is asked for, not demanded, and must have been issued below one of them:
    each is an anchor by itself, so give the issuing authority alone, not the company root above it. `tickets` is how
    many TLS 1.3 session tickets a connection gets. Raises `CertificateError` when the identity cannot be loaded.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = minimum
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.num_tickets = tickets
    if client_cas:
        context.verify_mode = ssl.CERT_OPTIONAL
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        _trust(context, client_cas, check_time=check_time)
    use_identity(context, identity_file)
    return context


def blind_context() -> ssl.SSLContext:
    """Make the client context that verifies nothing, for one purpose: the first cacerts fetch of a new device (C34).

    No secret may be sent over such a connection, and nothing it delivers may be used before its pin was checked.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def pinned_context(
    roots: Sequence[Certificate], intermediates: Sequence[Certificate] = (), *, check_time: bool = True
) -> ssl.SSLContext:
    """Make the client context of a device: TLS 1.3, the host name checked, nothing trusted but `roots` (V1, V2).

    `intermediates` help to complete the chain of a server that sends too little; they are no anchors.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    _trust(context, [*roots, *intermediates], check_time=check_time)
    return context


def server_context_12(identity_file: Path) -> ssl.SSLContext:
    """Make the context of a listener for OS 11: TLS 1.2 and nothing else, no client certificate, no renegotiation.

    Raises `CertificateError` when the identity cannot be loaded.
    """
    context = _only_tls_12(ssl.PROTOCOL_TLS_SERVER)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
    use_identity(context, identity_file)
    return context


def exact_context_12(pin: Certificate, *, check_time: bool = True) -> ssl.SSLContext:
    """Make the client context that takes one certificate and no other, whatever names it has (G8, G12).

    OpenSSL refuses every other with an alert, in the handshake; whoever acts on the connection compares the whole
    certificate once more (`device_communication.is_pinned`).
    """
    context = _only_tls_12(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # the certificates of OS 11 have no name
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    _trust(context, [pin], check_time=check_time)
    return context


def blind_context_12() -> ssl.SSLContext:
    """Make the client context that verifies nothing, for one purpose: the registration of a new OS 11 device (G9).

    What the server presents there becomes the pin, when it has answered that the device is registered.
    """
    context = _only_tls_12(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def use_identity(context: ssl.SSLContext, identity_file: Path) -> None:
    """Present the key and certificate in `identity_file` on the connections that `context` makes from now on.

    Raises `CertificateError` with the path in the message: MISMATCHED or UNREADABLE (also when the key is encrypted).
    """
    try:
        context.load_cert_chain(identity_file, password="")  # without one, OpenSSL asks the terminal
    except ssl.SSLError as problem:
        if problem.reason == "KEY_VALUES_MISMATCH":
            message = f"{identity_file}: the private key does not match the certificate"
            raise CertificateError(Fault.MISMATCHED, message) from None
        message = f"{identity_file} holds no usable key and certificate: {problem.reason or 'not PEM'}"
        raise CertificateError(Fault.UNREADABLE, message) from None
    except OSError as problem:
        raise CertificateError(Fault.UNREADABLE, f"{identity_file} cannot be read: {problem.strerror}") from None


def _only_tls_12(protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


def _trust(context: ssl.SSLContext, anchors: Sequence[Certificate], *, check_time: bool) -> None:
    context.load_verify_locations(cadata=to_pem(anchors).decode("ascii"))
    if not check_time:
        context.verify_flags |= _NO_CHECK_TIME
