# SPDX-License-Identifier: Apache-2.0
"""Structured logs on standard error: readable lines, or one JSON object a line with `--log-json`.

Whatever a peer sent is data: control characters are escaped in both forms. Keys whose name says that they hold a secret
are masked, as a second line of defence; nothing should log them at all.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

import structlog

from umslab.printable import printable

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

_SECRETS = ("secret", "password", "auth_key", "authorization", "private")


def configure(*, as_json: bool, level: str = "info") -> None:
    """Set up logging for this process."""
    processors: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        mask_secrets,
    ]
    if as_json:
        processors += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        processors.append(escape)
        processors.append(
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback, pad_event_to=0
            )
        )
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def mask_secrets(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Replace values whose key says that they are secret."""
    del logger, method
    for key in event:
        if any(word in key.lower() for word in _SECRETS):
            event[key] = "***"
    return event


def escape(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Make every text harmless for a terminal."""
    del logger, method
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = printable(value)
    return event
