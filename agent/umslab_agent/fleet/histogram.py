# SPDX-License-Identifier: Apache-2.0
"""How long things took: an HDR histogram of microseconds to an hour, three significant digits, merged without loss.

The only module that touches the library `hdrhistogram`, which has no types and decodes with C what it is given. The
text form is that of all HDR histograms (version 2: base64 of zlib of ZigZag LEB128 counts), so other tools read it.
What is read from a file is decoded here, with limits, and never by the library.
"""

from __future__ import annotations

import base64
import binascii
import math
import struct
import zlib
from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Self

from hdrh.histogram import HdrHistogram

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LOWEST_MICROSECONDS = 1
HIGHEST_MICROSECONDS = 3_600_000_000
"""An hour; what takes longer counts as this."""
DIGITS = 3
MOST_COUNT = 2**53 - 1
"""Of values in one histogram: more would be rounded in the JSON of others."""
MAX_TEXT = 256 * 1024
"""Characters of one histogram as text; a full one has fewer."""

_OUTER = struct.Struct(">II")  # cookie, length of what follows
_INNER = struct.Struct(">IIIIQQd")  # cookie, length, offset, digits, lowest, highest, conversion
_OUTER_COOKIE = 0x1C849314
_INNER_COOKIE = 0x1C849313
_MOST_VARINT_BYTES = 9


class HistogramError(ValueError):
    """A text is no histogram of this kind."""


class Histogram:
    """Durations in seconds, kept as microseconds. About 190 KiB, however many are recorded."""

    __slots__ = ("_counts", "_record")

    def __init__(self) -> None:
        # The library's attributes are not typed; everything that leaves this class is.
        self._counts: Any = HdrHistogram(LOWEST_MICROSECONDS, HIGHEST_MICROSECONDS, DIGITS)
        self._record: Any = self._counts.record_value

    @classmethod
    def of(cls, values: Iterable[float]) -> Self:
        """A histogram of these seconds."""
        made = cls()
        for seconds in values:
            made.record(seconds)
        return made

    def record(self, seconds: float, count: int = 1) -> None:
        """Take a duration, `count` times; a negative one counts as 0 and one over an hour as an hour."""
        if seconds <= 0.0:
            self._record(0, count)
        elif seconds < 3600.0:
            self._record(int(seconds * 1_000_000 + 0.5), count)
        else:
            self._record(HIGHEST_MICROSECONDS, count)

    def merge(self, other: Histogram) -> None:
        """Take all that the other has, without loss."""
        self._counts.add(other._counts)

    def copy(self) -> Histogram:
        """One of its own with the same counts."""
        made = Histogram()
        made.merge(self)
        return made

    @property
    def count(self) -> int:
        """How many durations there are."""
        return int(self._counts.total_count)

    @property
    def mean(self) -> float:
        """Seconds, to the precision of the buckets; 0 when empty."""
        return self.total / self.count if self.count else 0.0

    @property
    def total(self) -> float:
        """Seconds, all durations added up, to the precision of the buckets."""
        return sum(seconds * count for seconds, count in self.items())

    @property
    def maximum(self) -> float:
        """Seconds: the upper end of the highest bucket, at most 0.1 % above the longest; 0 when empty."""
        return self.percentile(100.0)

    def percentile(self, percent: float) -> float:
        """Seconds below or at which `percent` of the durations are; 0 when empty."""
        return self.percentiles([percent])[0]

    def percentiles(self, percents: Iterable[float]) -> list[float]:
        """The same for several, in one pass."""
        if not self.count:
            return [0.0 for _ in percents]
        sums = list(accumulate(self._filled()))
        found = []
        for percent in percents:
            rank = max(1, math.ceil(self.count * min(max(percent, 0.0), 100.0) / 100 - 1e-9))
            found.append(self._upper_end(bisect_left(sums, rank)))
        return found

    def within(self, bounds: Iterable[float]) -> list[int]:
        """How many durations were at most so long, for each of these, to the precision of the buckets; in one pass."""
        sums = list(accumulate(self._filled())) or [0]
        indexes = [self._counts.get_counts_array_index(round(bound * 1_000_000)) for bound in bounds]
        return [sums[min(index, len(sums) - 1)] for index in indexes]

    def items(self) -> Iterator[tuple[float, int]]:
        """Seconds (the upper end of the bucket) and how many, for each bucket that is not empty, in order."""
        for index, count in enumerate(self._filled()):
            if count:
                yield self._upper_end(index), count

    def encode(self) -> str:
        """The text form, for JSON."""
        return bytes(self._counts.encode()).decode("ascii")

    @classmethod
    def decode(cls, text: str) -> Self:
        """Read the text form. Raises `HistogramError` for everything else, in bounded time and memory."""
        made = cls()
        total = 0
        for index, count in _read_counts(_unpack(text), made._counts.counts_len):
            total += count
            if total > MOST_COUNT:
                raise HistogramError(f"a histogram has at most {MOST_COUNT} values")
            made._record(made._counts.get_value_from_index(index), count)
        return made

    def _filled(self) -> list[int]:
        """The counters up to the last that is not 0."""
        if not self.count:
            return []
        last = self._counts.get_counts_array_index(self._counts.max_value)
        filled: list[int] = self._counts.counts[: last + 1]
        return filled

    def _upper_end(self, index: int) -> float:
        value = self._counts.get_value_from_index(index)
        microseconds: int = self._counts.get_highest_equivalent_value(value)
        return min(microseconds, HIGHEST_MICROSECONDS) / 1_000_000

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Histogram) and self._filled() == other._filled()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<Histogram of {self.count}>"


def _unpack(text: str) -> bytes:
    """The counters of a text, still packed."""
    if len(text) > MAX_TEXT:
        raise HistogramError(f"a histogram has at most {MAX_TEXT} characters")
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise HistogramError("a histogram is base64 text") from None
    if len(data) < _OUTER.size or _OUTER.unpack_from(data) != (_OUTER_COOKIE, len(data) - _OUTER.size):
        raise HistogramError("this is no HDR histogram of version 2")
    inflate = zlib.decompressobj()
    most = _INNER.size + MAX_TEXT
    try:
        body = inflate.decompress(data[_OUTER.size :], most)
    except zlib.error:
        raise HistogramError("the histogram's compressed part is damaged") from None
    if not inflate.eof or inflate.unused_data or len(body) < _INNER.size:
        raise HistogramError("the histogram is cut off, or too large")
    cookie, length, offset, *kind = _INNER.unpack_from(body)
    if (cookie, length, offset) != (_INNER_COOKIE, len(body) - _INNER.size, 0):
        raise HistogramError("this is no HDR histogram of version 2")
    if kind[:3] != [DIGITS, LOWEST_MICROSECONDS, HIGHEST_MICROSECONDS]:
        raise HistogramError("a histogram goes from 1 microsecond to 1 hour with 3 significant digits")
    return body[_INNER.size :]


def _read_counts(packed: bytes, most: int) -> Iterator[tuple[int, int]]:
    """Index and count of what is not 0: ZigZag LEB128, in which a negative number is so many zeros."""
    index = position = 0
    while position < len(packed):
        value, position = _read_number(packed, position)
        if value < 0:
            index -= value
        else:
            if value and index < most:
                yield index, value
            index += 1
        if index > most:
            raise HistogramError(f"a histogram has {most} counters at most")


def _read_number(packed: bytes, position: int) -> tuple[int, int]:
    number = 0
    for place in range(_MOST_VARINT_BYTES):
        if position >= len(packed):
            raise HistogramError("the histogram is cut off")
        byte = packed[position]
        position += 1
        if place == _MOST_VARINT_BYTES - 1:  # the ninth carries eight bits, and there is no tenth
            number |= byte << (7 * place)
            break
        number |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            break
    return (number >> 1) ^ -(number & 1), position
