"""Where and why cameras may be used: every pair of answers, and what is to be confirmed."""

from itertools import product

import pytest

from fer import policy
from fer.policy import ARTICLE, MEDICAL, MOOD, PLACES, PURPOSES, RESEARCH, SAFETY

EU, ELSEWHERE = PLACES
ALLOWED = [pair for pair in product(PLACES, PURPOSES) if pair != (EU, MOOD)]


def test_every_answer_is_asked_for_and_differs() -> None:
    assert len({*PLACES, *PURPOSES}) == len(PLACES) + len(PURPOSES) == 6
    assert "EU" in EU and "EEA" in EU


@pytest.mark.parametrize(
    ("place", "purpose", "prohibited"),
    [
        (EU, MOOD, True),
        (EU, MEDICAL, False),
        (EU, SAFETY, False),
        (EU, RESEARCH, False),
        (ELSEWHERE, MOOD, False),
        (ELSEWHERE, MEDICAL, False),
        (ELSEWHERE, SAFETY, False),
        (ELSEWHERE, RESEARCH, False),
    ],
)
def test_only_the_mood_of_a_class_in_the_eu_is_out_of_the_question(place: str, purpose: str, prohibited: bool) -> None:
    assert policy.prohibited(place, purpose) is prohibited


@pytest.mark.parametrize(("purpose", "word"), [(MEDICAL, "medical reasons"), (SAFETY, "safety reasons")])
def test_in_the_eu_the_purpose_is_confirmed_with_the_article_that_allows_it(purpose: str, word: str) -> None:
    sentence = policy.confirmation(EU, purpose)
    assert word in sentence and ARTICLE in sentence
    assert "5(1)(f)" in sentence and "2024/1689" in sentence


def test_in_the_eu_research_is_confirmed_with_the_exemption_and_not_with_the_article_of_the_reasons() -> None:
    sentence = policy.confirmation(EU, RESEARCH)
    assert "scientific research" in sentence and "Article 2(6)" in sentence and "approvals" in sentence
    assert ARTICLE not in sentence


@pytest.mark.parametrize("purpose", PURPOSES)
@pytest.mark.parametrize("place", [ELSEWHERE, ""])
def test_elsewhere_and_before_a_place_is_chosen_the_law_of_the_place_is_confirmed(place: str, purpose: str) -> None:
    sentence = policy.confirmation(place, purpose)
    assert "lawful where this class is held" in sentence and "AI Act" not in sentence


@pytest.mark.parametrize(("place", "purpose"), ALLOWED)
def test_whoever_confirms_says_so_in_one_sentence(place: str, purpose: str) -> None:
    sentence = policy.confirmation(place, purpose)
    assert sentence.startswith("I confirm that ") and sentence.endswith(".")
    assert sentence.count(". ") == 0


def test_no_two_reasons_in_the_eu_are_confirmed_with_the_same_words() -> None:
    assert len({policy.confirmation(EU, purpose) for purpose in (MEDICAL, SAFETY, RESEARCH)}) == 3


def test_the_article_is_linked_to_the_official_journal() -> None:
    assert policy.ARTICLE_URL.startswith("https://eur-lex.europa.eu/") and "2024/1689" in policy.ARTICLE_URL
