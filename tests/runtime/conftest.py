# SPDX-License-Identifier: Apache-2.0
"""The authorities, made once, and the carriers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .carriers import CARRIERS, Carrier
from .pki import Pki, make_pki

if TYPE_CHECKING:
    import ssl


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """One server, one device and their authorities."""
    return make_pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(params=sorted(CARRIERS))
def carrier(request: pytest.FixtureRequest) -> Carrier:
    """Loopback sockets, and then the memory network."""
    return CARRIERS[request.param]()


@pytest.fixture(scope="session")
def contexts(pki: Pki) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's and a device's context that get on well."""
    return pki.server_context(), pki.client_context(pki.device)
