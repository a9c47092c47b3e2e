"""Journals of people whom an OpenID provider vouches for, in real Chromium and with a real provider on loopback."""

import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest

from fer.oidc import AWAY, BACK, OUT, REFUSED, SENTENCES

pytest.importorskip("playwright")
from playwright.sync_api import Browser, Page, expect

from tests import browser as b
from tests import oidc
from tests.test_journal_browser import go

pytestmark = b.MARKS

PEOPLE = {
    "ada": {"sub": "1001", "name": " Ada  Lovelace", "email": "ada@school.example"},
    "bob": {"sub": "1002", "name": "Bob"},
}


@pytest.fixture(scope="module")
def provider() -> Iterator[oidc.Provider]:
    with oidc.running(PEOPLE) as running:
        yield running


@pytest.fixture(scope="module")
def app(provider: oidc.Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[b.App]:
    folder = tmp_path_factory.mktemp("oidc")
    secrets = folder / "secrets.toml"
    secrets.write_text(oidc.secrets_file(provider))
    with b.running_app(folder, STREAMLIT_SECRETS_FILES=str(secrets)) as running:
        provider.redirect_uri = f"{running.url}/oauth2callback"
        yield running


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with b.playwright() as started:
        browser = b.launch(started)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser, app: b.App) -> Iterator[Page]:
    """The journal, as who is not signed in sees it."""
    opened = b.new_page(chromium)
    opened.goto(f"{app.url}/journal")
    yield opened
    opened.context.close()


def to_provider(page: Page) -> None:
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="The provider")).to_be_visible()


def sign_in(page: Page, login: str, press: str = oidc.ALLOW) -> None:
    to_provider(page)
    page.get_by_label(oidc.FIELD).fill(login)
    page.get_by_role("button", name=press).click()


def sign_out(page: Page) -> None:
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_text(SENTENCES[OUT])).to_be_visible()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()


def expect_journal_of(page: Page, name: str) -> None:
    expect(page.get_by_role("heading", name=f"The journal of {name}", exact=True)).to_be_visible()


def names_of_cookies(page: Page) -> set[str]:
    return {cookie["name"] for cookie in page.context.cookies()}


def test_two_people_at_one_computer_have_a_journal_each(
    page: Page, app: b.App, provider: oidc.Provider, tmp_path: Path
) -> None:
    sign_in(page, "ada")
    expect_journal_of(page, "Ada Lovelace")
    expect(page).to_have_url(f"{app.url}/journal")
    page.get_by_test_id("stButtonGroup").get_by_text("Upload", exact=True).click()
    cv2.imwrite(str(tmp_path / "face.png"), b.face())
    page.locator("input[type=file]").set_input_files(tmp_path / "face.png")
    expect(page.get_by_text(re.compile("^Read as"))).to_be_visible()
    expect(page.get_by_text("Keep the picture")).to_have_count(0)
    page.get_by_label("Note").fill("Only Ada reads this")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved as")).to_be_visible()
    page.reload()
    expect_journal_of(page, "Ada Lovelace")

    # Out is out: here, at the provider, and after the page is loaded anew.
    sign_out(page)
    assert provider.signed_out == ["1001"]
    assert not {name for name in names_of_cookies(page) if name.startswith("_streamlit_user")}
    page.goto(f"{app.url}/journal")
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()

    sign_in(page, "bob")
    expect_journal_of(page, "Bob")
    go(page, "Timeline")
    expect(page.get_by_text("There is no entry yet")).to_be_visible()
    sign_out(page)

    sign_in(page, "ada")
    expect_journal_of(page, "Ada Lovelace")
    go(page, "Timeline")
    expect(page.get_by_text("Only Ada reads this")).to_be_visible()

    # Her journal ends as others do, and she is signed out of it.
    go(page, "Data")
    page.get_by_label("To delete everything").fill("Ada Lovelace")
    page.get_by_role("button", name="Delete my journal").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    sign_in(page, "ada")
    go(page, "Timeline")
    expect(page.get_by_text("There is no entry yet")).to_be_visible()


@pytest.mark.parametrize(("login", "press"), [("ada", oidc.REFUSE), ("a stranger", oidc.ALLOW)])
def test_who_is_refused_is_told_so_and_can_try_again(page: Page, login: str, press: str) -> None:
    sign_in(page, login, press)
    expect(page.get_by_text(SENTENCES[REFUSED])).to_be_visible()
    sign_in(page, "bob")
    expect_journal_of(page, "Bob")
    expect(page.get_by_text(SENTENCES[REFUSED])).to_have_count(0)


def test_a_token_that_somebody_else_has_signed_opens_nothing(page: Page, provider: oidc.Provider) -> None:
    provider.impostor = oidc.new_key()
    sign_in(page, "ada")
    expect(page.get_by_text(SENTENCES[BACK])).to_be_visible()
    provider.impostor = None
    sign_in(page, "ada")
    expect_journal_of(page, "Ada Lovelace")


def test_while_the_provider_is_away_that_is_said_and_the_rest_works(
    page: Page, app: b.App, provider: oidc.Provider
) -> None:
    with provider.away():
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_text(SENTENCES[AWAY])).to_be_visible()
        page.goto(app.url)
        expect(page.get_by_role("heading", name="How is the class doing?")).to_be_visible()
        page.goto(f"{app.url}/journal")
    sign_in(page, "bob")
    expect_journal_of(page, "Bob")
    with provider.away():  # then signing out is the app's affair alone
        sign_out(page)
    assert not {name for name in names_of_cookies(page) if name.startswith("_streamlit_user")}
