"""Basic authentication."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import bcrypt

MAX_WAITING = 16  # password checks; each takes 50 ms or more
MAX_REMEMBERED = 128  # correct passwords
BCRYPT_BYTES = 72  # bcrypt ignores the rest of a password


class TooManyPasswords(Exception):
    """MAX_WAITING passwords are waiting to be checked."""


class Passwords:
    """Check passwords against bcrypt hashes, one at a time, in a thread beside the event loop.

    Unknown users take as long as known ones. Correct passwords are remembered, as digests, so that scrapes do not pay
    for bcrypt; wrong ones are not, so that guessing evicts nobody.
    """

    def __init__(self) -> None:
        self._correct: dict[bytes, None] = {}
        self._waiting = 0
        self._thread = ThreadPoolExecutor(1, "bcrypt")

    async def check(self, users: Mapping[str, str], authorization: str) -> bool:
        """Return True if an Authorization header has one of `users` and the password. Raise TooManyPasswords."""
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
        if key in self._correct:
            return True
        if self._waiting >= MAX_WAITING:
            raise TooManyPasswords
        self._waiting += 1
        try:
            matches = await asyncio.get_running_loop().run_in_executor(self._thread, _matches, password, hashed)
        finally:
            self._waiting -= 1
        if not (matches and known):
            return False
        while len(self._correct) >= MAX_REMEMBERED:
            del self._correct[next(iter(self._correct))]
        self._correct[key] = None
        return True

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(cancel_futures=True)


def _matches(password: bytes, hashed: bytes) -> bool:
    try:
        return bcrypt.checkpw(password[:BCRYPT_BYTES], hashed)
    except ValueError:  # a NUL byte
        return False
