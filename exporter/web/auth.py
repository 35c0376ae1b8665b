"""Who may ask, and how often: rate limit, the names in client certificates, basic authentication."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import bcrypt

MOST_WAITING = 16  # password checks: each takes a twentieth of a second and more
MOST_REMEMBERED = 128
BCRYPT_BYTES = 72  # what bcrypt looks at; the rest of a password does not matter to it


class TooManyChecks(Exception):
    """More passwords wait to be checked than can be checked soon."""


class Passwords:
    """Checks passwords against bcrypt hashes, one at a time, off the event loop.

    An unknown user costs what a known one does. What was right is remembered, as a digest, so a scrape does not pay
    for bcrypt; what was wrong is not, so that nobody can push others out by guessing.
    """

    def __init__(self) -> None:
        self._right: dict[bytes, None] = {}
        self._waiting = 0
        self._thread = ThreadPoolExecutor(1, "bcrypt")

    async def right(self, users: Mapping[str, str], authorization: str) -> bool:
        """Whether an Authorization header names one of `users` and the password. Raises TooManyChecks."""
        try:
            scheme, _, encoded = authorization.partition(" ")
            name, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
            user = name.decode()
        except (binascii.Error, ValueError):
            return False
        if scheme.lower() != "basic" or not colon:
            return False
        known = user in users
        hashed = (users[user] if known else next(iter(users.values()))).encode()
        key = hashlib.sha256(b"\0".join((hashlib.sha256(name).digest(), hashed, password))).digest()
        if key in self._right:
            return True
        if self._waiting >= MOST_WAITING:
            raise TooManyChecks
        self._waiting += 1
        try:
            matches = await asyncio.get_running_loop().run_in_executor(self._thread, _matches, password, hashed)
        finally:
            self._waiting -= 1
        if not (matches and known):
            return False
        while len(self._right) >= MOST_REMEMBERED:
            del self._right[next(iter(self._right))]
        self._right[key] = None
        return True

    def close(self) -> None:
        """Ends the thread."""
        self._thread.shutdown(cancel_futures=True)


def _matches(password: bytes, hashed: bytes) -> bool:
    try:
        return bcrypt.checkpw(password[:BCRYPT_BYTES], hashed)
    except ValueError:  # a NUL byte
        return False
