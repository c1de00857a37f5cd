# SPDX-License-Identifier: Apache-2.0
"""URL paths on the web port, and on the file transfer port of OS 11.

Provenance: documented (E1, E2, E4, E5, E7, E10, E11); the alias at the root is RFC 7030's own well-known place, offered
for EST clients that cannot be told another one.
"""

from __future__ import annotations

DEVICE_CONNECTOR = "/device-connector/device"  # E1
EST = f"{DEVICE_CONNECTOR}/.well-known/est"  # E4
EST_ALIAS = "/.well-known/est"  # RFC 7030 section 3.2.2
WS_CONNECT = f"{DEVICE_CONNECTOR}/ws-connect"  # E2
FILES = f"{DEVICE_CONNECTOR}/files"  # ours (FU2 says HTTPS, not where); below it the SHA-256 of the content
FILE_TRANSFER = "/ums_filetransfer"  # E7: OS 11; below it the SHA-256 of the content (ours)
REGISTRATION_TOKEN = f"{DEVICE_CONNECTOR}/registration-token"  # SIMULATED (A6, NP12)
LOAD_PROOF = "/umslab/load-proof"  # SIMULATED, of no product: see wire/load_proof.py
CHECK_STATUS = "/ums/check-status"  # E10
INFO = "/info"  # E11
