# SPDX-License-Identifier: Apache-2.0
"""Keys and authorities that are dear to make, made once."""

from __future__ import annotations

import pytest

from umslab_certs.authority import Authority, create_root
from umslab_certs.csr import EnrolmentRequest, build_request, read_request
from umslab_certs.keys import KeyType, PrivateKey, generate_key
from umslab_protocol.values.unit_id import UnitId

from .pki import NOW, UNIT_ID


@pytest.fixture(scope="session")
def rsa_key() -> PrivateKey:
    """The one RSA-4096 key of the session."""
    return generate_key(KeyType.RSA4096)


@pytest.fixture(scope="session")
def device_key() -> PrivateKey:
    """The key of a device."""
    return generate_key(KeyType.P256)


@pytest.fixture(scope="session")
def root() -> Authority:
    """A root on P-256, made at NOW."""
    return create_root("umslab lab root test", KeyType.P256, now=NOW)


@pytest.fixture(scope="session")
def request_of_device(device_key: PrivateKey) -> EnrolmentRequest:
    """A good enrolment request."""
    return read_request(build_request(UnitId(UNIT_ID), device_key))
