# SPDX-License-Identifier: Apache-2.0
"""Reports on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from umslab.printable import printable
from umslab_agent.fleet.report import MAX_REPORT_BYTES, ReportError, decode_report
from umslab_certs.errors import CertificateError
from umslab_certs.files import read_limited, write_private

if TYPE_CHECKING:
    from pathlib import Path

    from umslab_agent.fleet.report import RunReport


def read_report(file: Path) -> RunReport:
    """Read a report. Raises `ReportError` with the name of the file."""
    try:
        return decode_report(read_limited(file, MAX_REPORT_BYTES))
    except CertificateError as error:
        raise ReportError(error.message) from None
    except ReportError as error:
        raise ReportError(f"{file}: {printable(str(error))}") from None


def write_output(file: Path, data: bytes) -> None:
    """Write a file of a report, as a whole or not at all. Raises `ReportError` with its name."""
    try:
        write_private(file, data)
    except OSError as error:
        raise ReportError(f"{file} cannot be written: {error.strerror or error}") from None
