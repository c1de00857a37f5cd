# SPDX-License-Identifier: Apache-2.0
"""TLS contexts that many devices share: one for each set of pins and key type (house.md section 9).

A context of its own costs each device 25 KiB; a shared one gets the device's certificate loaded immediately before the
connection is wrapped. Across key types OpenSSL keeps one slot each and would present the wrong device's certificate, so
a context never sees two key types.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from umslab_certs.chain import fingerprint
from umslab_certs.tls import blind_context, pinned_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

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
        if key not in self._made:
            self._made[key] = pinned_context(roots, intermediates, check_time=self._check_time)
            if len(self._made) > MOST_CONTEXTS:
                self._made.popitem(last=False)  # open connections keep theirs
        self._made.move_to_end(key)
        return self._made[key]
