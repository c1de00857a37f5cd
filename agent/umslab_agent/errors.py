# SPDX-License-Identifier: Apache-2.0
"""Errors of a device that people can do something about."""

from __future__ import annotations


class DeviceFolderError(Exception):
    """The folder is in use, or what it holds is damaged; the message says what to do."""
