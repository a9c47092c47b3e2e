"""Pictures sealed with a passphrase: whoever has the database, but not the passphrase, has no picture."""

import argon2
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fer.errors import JournalError

SALT_BYTES, KEY_BYTES, NONCE_BYTES = 16, 32, 12


def key(passphrase: str, salt: bytes) -> bytes:
    """The key that belongs to a passphrase, by argon2id (RFC 9106, second recommended set: 64 MiB).  # 32 bytes"""
    return argon2.low_level.hash_secret_raw(
        passphrase.encode(),
        salt,
        time_cost=3,
        memory_cost=65536,
        parallelism=4,
        hash_len=KEY_BYTES,
        type=argon2.Type.ID,
    )


def seal(content: bytes, key: bytes, nonce: bytes, owner: str) -> bytes:
    """AES-256-GCM; `nonce` must be new each time. What is sealed for one `owner` opens for no other."""
    return nonce + AESGCM(key).encrypt(nonce, content, owner.encode())


def unseal(sealed: bytes, key: bytes, owner: str) -> bytes:
    """Raises JournalError where this is not what was sealed for `owner` with this key."""
    try:
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], owner.encode())
    except (InvalidTag, ValueError) as error:
        raise JournalError("This picture is damaged, or was sealed with another passphrase.") from error


def reseal(sealed: bytes, key: bytes, new_key: bytes, nonce: bytes, owner: str) -> bytes:
    """What was sealed with `key`, sealed with `new_key`; what does not open is damaged, and stays as it is."""
    try:
        return seal(unseal(sealed, key, owner), new_key, nonce, owner)
    except JournalError:
        return sealed
