"""How often each student's picture is sent and analysed: less often while the process is late. Numbers in and out."""

import math

LEAST_PER_S = 0.2  # what every student keeps: a reading in each slot of five seconds
LATE_S = 0.05  # work that begins so much later than it could, on average, is too much of it
EASY_S = 0.03
LEAST_SHARE = 0.8  # of the rate is left after a second, however late work was: what was late in it still is in the next
STEPS = 40  # from nothing to the rate that is wanted
LEAST_FPS = 2  # of a camera: aiortc hands a picture on when the next one comes


def next_rate(rate: float, late_s: float, wanted: float) -> float:
    """The analyses per second and student for the next second; all students have the same.

    In the last one the rate was `rate`, and work began `late_s` after it could have. Lowered by the excess, down to
    LEAST_SHARE, and raised in STEPS (additive increase, multiplicative decrease; Chiu & Jain 1989).
    """
    if late_s > LATE_S:
        return max(min(LEAST_PER_S, wanted), rate * max(LEAST_SHARE, LATE_S / late_s))
    return min(wanted, rate + wanted / STEPS) if late_s < EASY_S else min(wanted, rate)


def next_fps(rate: float, wanted: float, most_fps: int) -> int:
    """The pictures a second to ask of a camera that is analysed `rate` times instead of `wanted`.

    In step with the rate: what a picture costs to receive and to decode is spent whether it is analysed or not.
    """
    return min(most_fps, max(LEAST_FPS, math.ceil(most_fps * rate / wanted)))
