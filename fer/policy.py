"""Where and why the camera may be used: the rule that making a class has to pass."""

PLACES = ("In the EU or EEA", "Elsewhere")
MOOD, MEDICAL, SAFETY, RESEARCH = "To see how the class is doing", "Medical reasons", "Safety reasons", "Research"
PURPOSES = (MOOD, MEDICAL, SAFETY, RESEARCH)
ARTICLE = "Article 5(1)(f) of the AI Act, Regulation (EU) 2024/1689"
ARTICLE_URL = "https://eur-lex.europa.eu/eli/reg/2024/1689/oj"


def prohibited(place: str, purpose: str) -> bool:
    """Whether the camera is out of the question: in the EU or EEA, save for medical or safety reasons, or research."""
    return place != PLACES[1] and purpose not in (MEDICAL, SAFETY, RESEARCH)


def confirmation(place: str, purpose: str) -> str:
    """What whoever makes a class with cameras must confirm."""
    if place != PLACES[0]:
        return "I confirm that reading expressions by camera is lawful where this class is held."
    if purpose == RESEARCH:
        return "I confirm that this is scientific research that the AI Act exempts (Article 2(6)), with its approvals."
    return f"I confirm that the camera is used for {purpose.lower()}, as {ARTICLE} allows."
