# SPDX-License-Identifier: Apache-2.0
"""TLS contexts that many devices share: one for each set of pins and key type, or for each pin of OS 11.

A context of its own costs each device 25 KiB; a shared one gets the device's certificate loaded immediately before the
connection is wrapped. Across key types OpenSSL keeps one slot each and would present the wrong device's certificate, so
a context never sees two key types.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from umslab_certs.chain import fingerprint
from umslab_certs.tls import (
    blind_context,
    blind_context_12,
    exact_context_12,
    pinned_context,
    server_context_12,
    use_identity,
)

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from cryptography.x509 import Certificate

    from umslab_certs.keys import KeyType


MOST_CONTEXTS = 64


class TlsContexts:
    """Makes contexts once and gives them out; of those for pinned servers it keeps the `MOST_CONTEXTS` used last."""

    def __init__(self, *, check_time: bool = True) -> None:
        """`check_time` off leaves dates to the caller, for virtual time."""
        self._check_time = check_time
        self._blind: ssl.SSLContext | None = None
        self._made: OrderedDict[object, ssl.SSLContext] = OrderedDict()

    def blind(self) -> ssl.SSLContext:
        """For the one first fetch of cacerts."""
        if self._blind is None:
            self._blind = blind_context()
        return self._blind

    def pinned(
        self, roots: Sequence[Certificate], intermediates: Sequence[Certificate], key_type: KeyType | None
    ) -> ssl.SSLContext:
        """For connections to a pinned server; `key_type` is that of the identity to be loaded, None for none."""
        key = (key_type, tuple(fingerprint(certificate) for certificate in (*roots, *intermediates)))
        return self._kept(key, lambda: pinned_context(roots, intermediates, check_time=self._check_time))

    # OS 11.

    def registering(self) -> ssl.SSLContext:
        """For the one connection on which an OS 11 device registers (G9)."""
        return self._kept("registering", blind_context_12)

    def exact(self, pin: Certificate) -> ssl.SSLContext:
        """For connections to the server whose very certificate this is (G12)."""
        return self._kept(("exact", fingerprint(pin)), lambda: exact_context_12(pin, check_time=self._check_time))

    def answering(self, key_type: KeyType, identity_file: Path) -> ssl.SSLContext:
        """For the next connection that an OS 11 device accepts, with its key and certificate loaded (G10).

        Raises `CertificateError` when they cannot be.
        """
        context = self._kept(("answering", key_type), lambda: server_context_12(identity_file))
        use_identity(context, identity_file)
        return context

    def _kept(self, key: object, make: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
        if key not in self._made:
            self._made[key] = make()
            if len(self._made) > MOST_CONTEXTS:
                self._made.popitem(last=False)  # open connections keep theirs
        self._made.move_to_end(key)
        return self._made[key]
