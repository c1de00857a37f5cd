# SPDX-License-Identifier: Apache-2.0
"""The answer to EST's csrattrs: what a device's request should look like.

Provenance: standard (RFC 7030 section 4.5.2 and RFC 8951 section 3.5: a CsrAttrs; RFC 9908 section 3.4: the template
for a whole request inside it); what the vendor's server answers is unknown (X5, X14). The template says: a subject of
one common name, whose value the client fills in (its unit ID), any kind of key, no extensions. Clients that do not know
the template ignore it.
"""

from __future__ import annotations

from umslab_certs import der

TEMPLATE_OID = "1.2.840.113549.1.9.16.2.61"  # id-aa-certificationRequestInfoTemplate
_COMMON_NAME_OID = "2.5.4.3"

_V1 = der.encode(der.INTEGER, b"\x00")
_FILLED_IN_BY_CLIENT = der.encode(der.SEQUENCE, der.encode_oid(_COMMON_NAME_OID))  # SingleAttributeTemplate, no value
_SUBJECT = der.encode(der.SEQUENCE, der.encode(der.SET, _FILLED_IN_BY_CLIENT))
_NO_ATTRIBUTES = der.encode(der.CONTEXT_1)
_TEMPLATE = der.encode(der.SEQUENCE, _V1, _SUBJECT, _NO_ATTRIBUTES)  # no subjectPKInfo: any key

CSR_ATTRIBUTES: bytes = der.encode(
    der.SEQUENCE, der.encode(der.SEQUENCE, der.encode_oid(TEMPLATE_OID), der.encode(der.SET, _TEMPLATE))
)
"""The DER body of the csrattrs answer, before the transfer encoding."""
