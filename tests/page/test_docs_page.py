"""The documentation page: signing in, and trying a call."""

import pytest
from playwright.sync_api import expect

from .conftest import PASSWORD, Open
from .steps import refusal

pytestmark = pytest.mark.server


@pytest.mark.parametrize("address", ["docs", "api/v1/docs"], ids=["root", "versioned"])
def test_who_signed_in_can_try_calls(open_page: Open, address: str) -> None:
    """Without pasting a token; before, the call is refused."""
    page = open_page()
    page.goto(page.url + address)
    page.get_by_role("textbox", name="User name").fill("editor")
    page.get_by_role("textbox", name="Password").fill("not the password")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.locator("#entered")).to_have_text("The username or the password is wrong.")

    page.get_by_role("textbox", name="Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.locator("#entered")).to_have_text("Signed in as editor")
    page.locator("#operations-accounts-get_own_account .opblock-summary-control").click()
    page.locator("#operations-accounts-get_own_account .execute").click()

    expect(
        page.locator("#operations-accounts-get_own_account .live-responses-table .response-col_status").last
    ).to_have_text("200")


def test_an_operation_has_an_address(open_page: Open) -> None:
    """A link to it opens it."""
    page = open_page()

    page.goto(page.url + "docs#/ratings/rate_song")

    expect(page.locator("#operations-ratings-rate_song .opblock-body")).to_be_visible()


def test_a_sign_in_that_is_refused_says_why(open_page: Open) -> None:
    """With the wait, and without the HTML of a proxy."""
    page = open_page()
    page.goto(page.url + "docs")
    page.get_by_role("textbox", name="User name").fill("editor")
    page.get_by_role("textbox", name="Password").fill(PASSWORD)
    limited = refusal(429, "rate_limited", "Too many requests.", **{"Retry-After": "7"})
    page.route("**/auth/login", lambda route: route.fulfill(**limited), times=1)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.locator("#entered")).to_have_text("Too many requests. Try again in 7 s.")
    page.route("**/auth/login", lambda route: route.fulfill(status=502, body="<h1>Bad gateway</h1>"), times=1)

    page.get_by_role("button", name="Sign in", exact=True).click()

    expect(page.locator("#entered")).to_have_text("The service answered 502.")
