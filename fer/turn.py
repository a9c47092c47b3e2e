"""ICE servers for one student: a TURN server's credentials that end by themselves."""

import base64
import hashlib
import hmac
from typing import Any

from fer.config import Settings

LIFE_S = 12 * 3600  # a long day: a connection renews its relay under the same name


def ice_servers(settings: Settings, who: str, now: float) -> tuple[dict[str, Any], ...]:
    """Those of FER_ICE_SERVERS, and that of FER_TURN_URL under a name that is random and ends LIFE_S after `now`.

    The scheme is draft-uberti-behave-turn-rest-00, coturn's `use-auth-secret`: name = end:who, password = HMAC-SHA1.
    """
    if not settings.turn_url:
        return settings.ice_servers
    name = f"{round(now) + LIFE_S}:{who}"
    digest = hmac.new(settings.turn_secret.encode(), name.encode(), hashlib.sha1).digest()
    password = base64.b64encode(digest).decode()
    return (*settings.ice_servers, {"urls": settings.turn_url, "username": name, "credential": password})
