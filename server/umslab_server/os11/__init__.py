# SPDX-License-Identifier: Apache-2.0
"""OS 11 devices: they register and report on TCP 30001, are called on TCP 30005, and fetch files over TLS 1.2 (G1)."""
