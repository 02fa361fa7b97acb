"""Steps that several tests of the page take."""

import json
import re
from typing import Any, Final

from playwright.sync_api import Page, Route, expect

from .conftest import PASSWORD

STATS: Final = re.compile(r"/songs/[0-9a-f]+/ratings$")
RATE: Final = re.compile(r"/songs/ratings$")


def refusal(status: int, code: str, detail: str, **headers: str) -> dict[str, Any]:
    """Return the arguments of `Route.fulfill` for an error of the API."""
    return {
        "status": status,
        "headers": {"Content-Type": "application/problem+json", **headers},
        "body": json.dumps({"status": status, "code": code, "detail": detail}),
    }


EXPIRED: Final = refusal(401, "invalid_token", "The access token is invalid or has expired.")


def sign_in(page: Page, name: str = "editor") -> None:
    """Sign in by the form."""
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#songs li")).to_have_count(20)


def sign_out(page: Page) -> None:
    """Sign out."""
    page.get_by_role("button", name="Sign out").click()
    expect(page.locator("#entry")).to_be_visible()


def find(page: Page, message: str) -> None:
    """Search, and show the only song that is found; its title has the message in it."""
    page.get_by_label("Search").fill(message)
    expect(page.locator("#songs li")).to_have_count(1)
    expect(page.locator("#songs li")).to_contain_text(message.replace("etude", "Étude"))
    page.locator("#songs button").click()


def counts(page: Page) -> list[str]:
    """Return how often the song that is shown was rated 5, 4, 3, 2 and 1."""
    expect(page.locator("#distribution tr")).to_have_count(5)
    return page.locator("#distribution td:last-child").all_inner_texts()


def rate(page: Page, rating: int) -> None:
    """Click a rating of the song that is shown."""
    page.get_by_role("button", name=f"Rate it {rating} of 5").click()


def lose(route: Route) -> None:
    """Let the service do what it is asked to, and break the connection before its answer."""
    assert route.fetch().ok
    route.abort()


def cut(route: Route) -> None:
    """Let the service do what it is asked to, and cut off its answer."""
    response = route.fetch()
    route.fulfill(response=response, body=response.text()[:20])
