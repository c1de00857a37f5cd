# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_certs.csrattrs."""

from __future__ import annotations

from umslab_certs import der
from umslab_certs.csrattrs import CSR_ATTRIBUTES

from .pki import openssl


def test_structure_in_the_eyes_of_openssl() -> None:
    """One attribute, the RFC 9908 template: version 0, a subject of one common name without a value, no attributes."""
    lines = openssl("asn1parse", "-inform", "DER", "-i", given=CSR_ATTRIBUTES).splitlines()

    assert [line.partition("cons:")[2] or line.partition("prim:")[2] for line in lines] == [
        " SEQUENCE          ",
        "  SEQUENCE          ",
        "   OBJECT            :1.2.840.113549.1.9.16.2.61",
        "   SET               ",
        "    SEQUENCE          ",
        "     INTEGER           :00",
        "     SEQUENCE          ",
        "      SET               ",
        "       SEQUENCE          ",
        "        OBJECT            :commonName",
        "     cont [ 1 ]        ",
    ]


def test_it_is_a_csrattrs() -> None:
    """RFC 7030: a SEQUENCE whose members are object identifiers or attributes."""
    [outer] = der.decode(CSR_ATTRIBUTES)
    members = list(der.decode(outer.content))

    assert {member.tag for member in members} <= {der.SEQUENCE, der.OBJECT_IDENTIFIER}
    for member in members:
        assert [part.tag for part in der.decode(member.content)] == [der.OBJECT_IDENTIFIER, der.SET]
