# SPDX-License-Identifier: Apache-2.0
"""Everything that can go wrong in the protocol storey.

    ProtocolError
    ├── LocalProtocolError    we broke the rules: a bug here, never the peer's doing
    ├── RemoteProtocolError   the peer broke the rules: the only thing a peer can cause
    └── InvalidValueError     a text is not the noun it claims to be (also a ValueError)

Parsers of values and of transfer encodings raise `InvalidValueError`; readers of a peer's messages and answers raise
`RemoteProtocolError`. Conversation machines raise neither for what they receive: they answer it, or close.
"""

from __future__ import annotations


class ProtocolError(Exception):
    """Base of the tree; never raised itself."""


class LocalProtocolError(ProtocolError):
    """This side asked for something the protocol does not allow now."""


class RemoteProtocolError(ProtocolError):
    """The peer sent something the protocol does not allow.

    `code` is a short machine-readable reason such as `message-too-big`; the text is for people.
    """

    def __init__(self, reason: str, *, code: str = "protocol-error") -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


class InvalidValueError(ProtocolError, ValueError):
    """A text or byte string is not what its name says; the message tells what would be."""
