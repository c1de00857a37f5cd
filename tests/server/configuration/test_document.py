# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.configuration.document."""

from __future__ import annotations

import hashlib
import json

import pytest

from umslab_protocol.wire.messages import decode_message, encode_message
from umslab_protocol.wire.orders import MAX_DOCUMENT_BYTES, MAX_PARAMETERS, AppOrder, FileOrder
from umslab_server.configuration.document import (
    MAX_APPS,
    MAX_FILES,
    DocumentCache,
    DocumentTooLargeError,
    make_document,
)

ONE, TWO = AppOrder(name="a", version="1"), AppOrder(name="b", version="2")
FILE = FileOrder(name="f.png", sha256="0" * 64, size=3)


def test_digest_is_of_the_canonical_json() -> None:
    """Order of parameters, apps and files does not matter; any value does."""
    document = make_document({"y": "2", "x": "1"}, [TWO, ONE], [FILE])
    canonical = {
        "apps": [{"name": "a", "version": "1"}, {"name": "b", "version": "2"}],
        "files": [{"name": "f.png", "sha256": "0" * 64, "size": 3}],
        "settings": {"x": "1", "y": "2"},
    }
    text = json.dumps(canonical, separators=(",", ":"))

    assert hashlib.sha256(text.encode()).hexdigest() == document.digest
    assert make_document({"x": "1", "y": "2"}, [ONE, TWO], [FILE]).digest == document.digest
    assert make_document({"x": "1", "y": "3"}, [ONE, TWO], [FILE]).digest != document.digest


@pytest.mark.parametrize("written", [True, False])
def test_message(*, written: bool) -> None:
    """Both ways of writing it are the same message."""
    document = make_document({"x": "1"}, [ONE], [FILE])
    message = document.message(7, version=3, re=5, written=written)
    read = decode_message(encode_message(message))

    assert read == document.message(7, version=3, re=5, written=False)
    assert len(encode_message(message)) <= document.size


def test_too_large() -> None:
    """What does not fit into one message, or would not be read, is refused with a sentence."""
    value = "x" * 4000
    fits = make_document({f"p{number:02}": value for number in range(50)}, [], [])

    assert fits.size <= MAX_DOCUMENT_BYTES
    with pytest.raises(DocumentTooLargeError, match="more than the 204800 of one message"):
        make_document({f"p{number:02}": value for number in range(52)}, [], [])
    with pytest.raises(DocumentTooLargeError, match="2001 parameters"):
        make_document({f"p{number}": "" for number in range(MAX_PARAMETERS + 1)}, [], [])
    with pytest.raises(DocumentTooLargeError, match="201 apps"):
        make_document({}, [AppOrder(name=f"{number}", version="1") for number in range(MAX_APPS + 1)], [])
    with pytest.raises(DocumentTooLargeError, match="201 files"):
        make_document({}, [], [FileOrder(name=f"{number}", sha256="0" * 64, size=1) for number in range(MAX_FILES + 1)])


def test_cache_is_bounded() -> None:
    """The ones not needed for longest go; the newest stays, however large."""
    documents = [make_document({"x": f"{number}" * 100}, [], []) for number in range(3)]
    cache = DocumentCache(most_bytes=2 * documents[0].size)
    for document in documents[:2]:
        cache.put(document)
        cache.put(document)
    cache.get(documents[0].digest)
    cache.put(documents[2])

    assert [True, False, True] == [cache.get(document.digest) is document for document in documents]
    assert len(cache) == 2
    small = DocumentCache(most_bytes=1)
    small.put(documents[0])
    assert small.get(documents[0].digest) is documents[0]
