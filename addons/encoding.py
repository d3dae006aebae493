"""Content encodings: gzip, deflate, br and zstd, whole and piece by piece, never more than a limit comes out."""

from __future__ import annotations

import zlib
from typing import Protocol

import brotli
import zstandard

from translators.model import BadRequest


class Decompressor(Protocol):
    def feed(self, data: bytes) -> bytes:
        """What the bytes so far unpack to. Raises `ValueError` where they are not of this encoding."""
        ...


class _Zlib:
    """gzip and deflate; deflate comes with and without the zlib header."""

    def __init__(self, gzip: bool, limit: int) -> None:
        self._gzip, self._limit = gzip, limit
        self._inner = zlib.decompressobj(31) if gzip else None

    def feed(self, data: bytes) -> bytes:
        if not data:
            return b""
        if self._inner is None:
            raw = data[0] & 0x0F != 8 or (len(data) > 1 and (data[0] * 256 + data[1]) % 31)
            self._inner = zlib.decompressobj(-15 if raw else 15)
        try:
            out = self._inner.decompress(data, self._limit + 1)
            while self._inner.eof and self._inner.unused_data and self._gzip and len(out) <= self._limit:
                rest, self._inner = self._inner.unused_data, zlib.decompressobj(31)
                out += self._inner.decompress(rest, self._limit + 1)  # several members in a row
        except zlib.error as error:
            raise ValueError(str(error)) from None
        self._limit = _count(self._limit, len(out))
        return out


class _Brotli:
    def __init__(self, limit: int) -> None:
        self._inner, self._limit = brotli.Decompressor(), limit

    def feed(self, data: bytes) -> bytes:
        if not data:
            return b""
        try:
            out = self._inner.process(data, output_buffer_limit=self._limit + 1)
        except brotli.error as error:
            raise ValueError(str(error) or "not brotli") from None
        self._limit = _count(self._limit, len(out))
        return out


class _Zstd:
    """The size that a frame declares is not believed: the output is taken in pieces."""

    PIECE = 1 << 10  # zstd packs up to 32 KB into one byte

    def __init__(self, limit: int) -> None:
        self._inner, self._limit = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj(), limit

    def feed(self, data: bytes) -> bytes:
        out = []
        try:
            for start in range(0, len(data), self.PIECE):
                piece = self._inner.decompress(data[start : start + self.PIECE])
                out.append(piece)
                self._limit = _count(self._limit, len(piece))
        except zstandard.ZstdError as error:
            raise ValueError(str(error)) from None
        return b"".join(out)


class TooLarge(Exception):
    """More would come out than the limit allows."""


def _count(limit: int, size: int) -> int:
    if size > limit:
        raise TooLarge
    return limit - size


def decompressor(encoding: str, limit: int) -> Decompressor | None:
    """One encoding's decompressor; None for `identity`. Raises `ValueError` for an unknown one."""
    match encoding.strip().lower():
        case "" | "identity":
            return None
        case "gzip" | "x-gzip":
            return _Zlib(True, limit)
        case "deflate":
            return _Zlib(False, limit)
        case "br":
            return _Brotli(limit)
        case "zstd":
            return _Zstd(limit)
        case other:
            raise ValueError(f"content-encoding {other!r} is not known")


def decode_request(body: bytes, encodings: str, limit: int) -> bytes:
    """A request body without its encodings, the last applied first. Raises `BadRequest` 400, 413 or 415."""
    for name in reversed(encodings.split(",")):
        try:
            inner = decompressor(name, limit)
        except ValueError as error:
            raise BadRequest(str(error), "content-encoding", status=415) from None
        if inner is None:
            continue
        try:
            body = inner.feed(body)
        except TooLarge:
            raise too_large(limit) from None
        except ValueError as error:
            raise BadRequest(f"the body is not {name.strip()}: {error}", "content-encoding") from None
    if len(body) > limit:
        raise too_large(limit)
    return body


def too_large(limit: int) -> BadRequest:
    return BadRequest(f"the request body is larger than {limit} bytes", status=413, kind="too_large")
