# SPDX-License-Identifier: Apache-2.0
"""Certificates on the way: the certs-only PKCS#7 in which EST answers cacerts, simpleenroll and simplereenroll.

Provenance: standard (RFC 5652 section 5, a SignedData without content and signers; RFC 7030 sections 4.1.3 and 4.2.3).
The armour around it is the business of `umslab_protocol.wire.transfer`. CertificateSet is a SET OF, which strict DER
sorts. Like OpenSSL, this module keeps the order it is given (a reader that prints the set shows the chain in order) and
takes any order: cryptography's own reader falls back to BER with a warning for an unsorted set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding

from umslab_certs import der
from umslab_certs.chain import MAX_CERTIFICATES, parse_certificate
from umslab_certs.errors import CertificateError, Fault, reading

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryptography.x509 import Certificate

MAX_PKCS7_BYTES = 256 * 1024

_DATA = der.encode_oid("1.2.840.113549.1.7.1")
_SIGNED_DATA = der.encode_oid("1.2.840.113549.1.7.2")
_VERSION_1 = der.encode(der.INTEGER, b"\x01")


def encode_certs_only(certificates: Iterable[Certificate]) -> bytes:
    """Write the certificates, in the order given, as a DER ContentInfo with a degenerate SignedData."""
    signed_data = der.encode(
        der.SEQUENCE,
        _VERSION_1,
        der.encode(der.SET),  # digestAlgorithms
        der.encode(der.SEQUENCE, _DATA),  # encapContentInfo
        der.encode(der.CONTEXT_0, *(certificate.public_bytes(Encoding.DER) for certificate in certificates)),
        der.encode(der.SET),  # signerInfos
    )
    return der.encode(der.SEQUENCE, _SIGNED_DATA, der.encode(der.CONTEXT_0, signed_data))


def decode_certificates(data: bytes) -> list[Certificate]:
    """Read the certificates out of a DER PKCS#7 SignedData, in the order they stand there; signatures are not judged.

    At most 256 KiB and 32 certificates. Raises `CertificateError`: TOO_LARGE, or UNREADABLE, also without certificates.
    """
    what = "the PKCS#7 data"
    if len(data) > MAX_PKCS7_BYTES:
        raise CertificateError(Fault.TOO_LARGE, f"{what} is larger than {MAX_PKCS7_BYTES} bytes")
    with reading(what):
        certificates = [element.whole for element in _certificate_set(data) if element.tag == der.SEQUENCE]
    if not certificates:
        raise CertificateError(Fault.UNREADABLE, f"{what} holds no certificates")
    if len(certificates) > MAX_CERTIFICATES:
        raise CertificateError(Fault.TOO_LARGE, f"{what} holds more than {MAX_CERTIFICATES} certificates")
    return [parse_certificate(whole, f"a certificate in {what}") for whole in certificates]


def _certificate_set(data: bytes) -> list[der.Element]:
    outer = list(der.decode(data))
    if len(outer) != 1 or outer[0].tag != der.SEQUENCE:
        raise ValueError("it is not one DER SEQUENCE")
    content_info = list(der.decode(outer[0].content))
    if [element.tag for element in content_info] != [der.OBJECT_IDENTIFIER, der.CONTEXT_0]:
        raise ValueError("it is not a ContentInfo")
    if content_info[0].whole != _SIGNED_DATA:
        raise ValueError("its content is not SignedData")
    signed_data = next(der.decode(content_info[1].content), None)
    if signed_data is None or signed_data.tag != der.SEQUENCE:
        raise ValueError("its SignedData is not a SEQUENCE")
    certificates = (element for element in der.decode(signed_data.content) if element.tag == der.CONTEXT_0)
    return [certificate for part in certificates for certificate in der.decode(part.content)]
