"""The seven expressions of FER2013, in FER2013's own order, and how each is shown."""

from typing import Final

LABELS: Final = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
UNCERTAIN: Final = "uncertain"

# The variation selector asks for the picture: some fonts have a black and white glyph of the same name.
EMOJI: Final = {
    "angry": "😠\ufe0f",
    "disgust": "🤢\ufe0f",
    "fear": "😨\ufe0f",
    "happy": "😊\ufe0f",
    "sad": "😢\ufe0f",
    "surprise": "😮\ufe0f",
    "neutral": "😐\ufe0f",
    UNCERTAIN: "🤔\ufe0f",
}

# Okabe & Ito's palette ("Color Universal Design", 2008), which people with any of the common colour
# vision deficiencies can tell apart; uncertain is grey, so that it reads as "no statement".
COLORS: Final = {
    "angry": "#D55E00",
    "disgust": "#009E73",
    "fear": "#CC79A7",
    "happy": "#F0C419",
    "sad": "#0072B2",
    "surprise": "#56B4E9",
    "neutral": "#9AA5B1",
    UNCERTAIN: "#D5D9DE",
}

# Valence of Russell's circumplex ("A circumplex model of affect", 1980) reduced to its sign: surprise
# and neutral tell nothing about pleasantness.
VALENCE: Final = (-1.0, -1.0, -1.0, 1.0, -1.0, 0.0, 0.0)
