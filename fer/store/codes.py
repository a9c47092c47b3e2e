"""Join codes that can be read out in a call, and instructor keys that cannot be guessed."""

import secrets

# Without letters and digits that are mistaken for each other when read or heard: 0 O, 1 I L, 5 S, 8 B, 2 Z, U V.
ALPHABET = "ACDEFGHJKMNPQRTWXY34679"
CODE_LENGTH = 6
KEY_GROUPS, KEY_GROUP_LENGTH = 4, 5  # 20 of 23 letters: 90 bits


def new_code() -> str:
    """Six letters, one of 148 million codes: enough not to collide; the key is what keeps a class private."""
    return "".join(secrets.choice(ALPHABET) for _ in range(CODE_LENGTH))


def new_key() -> str:
    return "-".join("".join(secrets.choice(ALPHABET) for _ in range(KEY_GROUP_LENGTH)) for _ in range(KEY_GROUPS))


def clean_code(text: str) -> str:
    """What a person typed as a code: upper case, without spaces and dashes, no longer than any code or key."""
    return "".join(c for c in text.upper() if c.isalnum())[:64]
