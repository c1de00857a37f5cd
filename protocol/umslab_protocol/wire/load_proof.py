# SPDX-License-Identifier: Apache-2.0
"""The proof that a server is an umslab whose operator started it to be put under load.

Provenance: SIMULATED (NP32), and no imitation of anything of IGEL's: a real UMS has no such path, so that it can never
give the proof. Who asks sends a nonce; the server answers with a signature by the key of its TLS certificate over 84
bytes:

    20 bytes   "umslab load proof 1" and a line feed: nothing else that this key signs begins so
    32 bytes   the nonce: an old answer is worth nothing
    32 bytes   SHA-256 of the DER of the TLS certificate of this very connection: the answer of another server, passed
               on by somebody, is worth nothing

RSA keys sign with PKCS #1 v1.5 and SHA-512, EC keys with ECDSA and the hash as long as their curve.
"""

from __future__ import annotations

import re
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from umslab_protocol.errors import InvalidValueError
from umslab_protocol.wire.json_body import read_json

CONTENT_TYPE = "application/json"
MAX_BYTES = 4_096
NONCE_BYTES = 32
_DIGEST_BYTES = 32
_PURPOSE = b"umslab load proof 1\n"
_NONCE = re.compile(r"[0-9a-f]{64}", re.ASCII)


class ProofRequest(Struct, frozen=True, kw_only=True):
    """Who asks, to the server."""

    nonce: str
    """64 hexadecimal digits in lower case."""


class ProofAnswer(Struct, frozen=True, kw_only=True):
    """The server to who asks."""

    signature: Annotated[bytes, Meta(max_length=1_024)]
    """Base64 in JSON."""


def statement(nonce: bytes, certificate_digest: bytes) -> bytes:
    """Return what is signed. Raises `InvalidValueError` for a nonce or a digest of another length."""
    if len(nonce) != NONCE_BYTES or len(certificate_digest) != _DIGEST_BYTES:
        raise InvalidValueError("a load proof has a nonce of 32 bytes and a SHA-256")
    return _PURPOSE + nonce + certificate_digest


def write_request(nonce: bytes) -> bytes:
    """Write the question."""
    return msgspec.json.encode(ProofRequest(nonce=nonce.hex()))


def read_request(body: bytes) -> bytes:
    """Return the nonce of a question; raises `InvalidValueError`."""
    text = read_json(body, ProofRequest, max_bytes=MAX_BYTES, what="load proof").nonce
    if not _NONCE.fullmatch(text):
        raise InvalidValueError("the nonce of a load proof has 64 hexadecimal digits in lower case")
    return bytes.fromhex(text)


def write_answer(signature: bytes) -> bytes:
    """Write the answer."""
    return msgspec.json.encode(ProofAnswer(signature=signature))


def read_answer(body: bytes) -> bytes:
    """Return the signature of an answer; raises `InvalidValueError`."""
    return read_json(body, ProofAnswer, max_bytes=MAX_BYTES, what="load proof").signature
