# SPDX-License-Identifier: Apache-2.0
"""Explicit limits of a listening side, with their units; every one is configurable, documented and tested."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Count = Annotated[int, Meta(ge=1, le=1_000_000)]
Bytes = Annotated[int, Meta(ge=256, le=64 * 1024 * 1024)]


class Limits(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Deadlines in seconds, sizes in bytes, counts."""

    handshake_seconds: Seconds = 10.0
    """From accept to the end of the TLS handshake."""
    header_seconds: Seconds = 10.0
    """From the first byte of a request to the end of its headers; then 408."""
    body_seconds: Seconds = 20.0
    """From the end of the headers to the end of the body; then 408."""
    idle_seconds: Seconds = 60.0
    """Between two requests on one connection; then it is closed."""
    write_seconds: Seconds = 20.0
    """For a peer to take what it is sent."""
    header_bytes: Bytes = 16 * 1024
    """Request line and headers; then 431."""
    body_bytes: Bytes = 64 * 1024
    """Request body; then 413."""
    connections: Count = 19_500
    """Open connections; the next ones get 503. Never more than the process has descriptors for."""
    handshakes: Count = 1_024
    """TLS handshakes under way; further connections wait in the listen backlog."""
    handshake_steps: Count = 8
    """Handshake computations per turn of the event loop."""
    requests_per_connection: Count = 1_000
    """Then the connection is closed, as a kindness to load balancers."""
