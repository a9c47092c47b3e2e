import pytest

from fer import vault
from fer.errors import JournalError

KEY, NONCE = bytes(range(32)), bytes(12)


def test_what_is_sealed_opens_with_the_same_key_for_the_same_owner():
    sealed = vault.seal(b"a face", KEY, NONCE, "1/a")
    assert b"a face" not in sealed
    assert vault.unseal(sealed, KEY, "1/a") == b"a face"


@pytest.mark.parametrize(
    "sealed, key, owner",
    [
        (vault.seal(b"a face", KEY, NONCE, "1/a"), bytes(32), "1/a"),
        (vault.seal(b"a face", KEY, NONCE, "1/a"), KEY, "2/a"),
        (vault.seal(b"a face", KEY, NONCE, "1/a")[:-1] + b"x", KEY, "1/a"),
        (b"", KEY, "1/a"),
        (b"short", KEY, "1/a"),
    ],
    ids=["another key", "another owner", "a changed byte", "nothing", "a stump"],
)
def test_nothing_else_opens(sealed: bytes, key: bytes, owner: str):
    with pytest.raises(JournalError, match="damaged, or was sealed with another passphrase"):
        vault.unseal(sealed, key, owner)


def test_a_key_depends_on_passphrase_and_salt_alone():
    key = vault.key("correct horse", b"s" * 16)
    assert len(key) == vault.KEY_BYTES and key == vault.key("correct horse", b"s" * 16)
    assert len({key, vault.key("correct horse", b"t" * 16), vault.key("correct house", b"s" * 16)}) == 3


def test_what_is_sealed_anew_opens_with_the_new_key_alone():
    again = vault.reseal(vault.seal(b"a face", KEY, NONCE, "1/a"), KEY, bytes(32), b"n" * 12, "1/a")
    assert vault.unseal(again, bytes(32), "1/a") == b"a face"
    with pytest.raises(JournalError):
        vault.unseal(again, KEY, "1/a")


def test_what_is_damaged_stays_as_it_is_when_it_is_sealed_anew():
    assert vault.reseal(b"damaged", KEY, bytes(32), NONCE, "1/a") == b"damaged"
