"""What a person does on the page, and what the page says when something goes wrong."""

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import expect

from .conftest import HOSTILE, PASSWORD, Catalogue, Open
from .steps import EXPIRED, RATE, STATS, counts, find, rate, refusal, sign_in

pytestmark = pytest.mark.server


@pytest.mark.parametrize("catalogue", ["memory", "sqlite"], indirect=True)
def test_register_search_rate_and_sign_out(open_page: Open) -> None:
    """The histogram changes with the rating; who signed out sees the form and no song."""
    page = open_page()
    page.get_by_label("User name").fill("grace-1")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Register").click()
    expect(page.locator("#who")).to_have_text("grace-1")
    find(page, "etude 7")
    expect(page.locator("#summary")).to_have_text("Not rated yet")

    page.get_by_role("button", name="Rate it 4 of 5").click()

    expect(page.locator("#rated")).to_have_text("You rated it 4.")
    assert counts(page) == ["0", "1", "0", "0", "0"]
    page.get_by_role("button", name="Sign out").click()
    expect(page.locator("#entry")).to_be_visible()
    expect(page.locator("#catalogue")).to_be_hidden()
    expect(page.locator("#songs li")).to_have_count(0)


def test_lists_go_on_and_have_filters(open_page: Open) -> None:
    """All songs are reached by one button, and a level leaves one of them."""
    page = open_page()
    sign_in(page)

    page.get_by_role("button", name="Show more").click()

    expect(page.locator("#songs li")).to_have_count(25)
    expect(page.get_by_role("button", name="Show more")).to_be_hidden()
    page.get_by_label("Level").fill("9")
    expect(page.locator("#found")).to_have_text("1 song shown")
    expect(page.locator("#songs button")).to_contain_text("Étude 9")
    page.get_by_label("Level").fill("99")
    expect(page.locator("#found")).to_have_text("No songs found")


def test_everything_works_by_keyboard(open_page: Open) -> None:
    """From the form to a rating, without a pointer."""
    page = open_page()
    page.get_by_label("User name").focus()
    page.keyboard.type("editor")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_label("Search")).to_be_focused()
    page.keyboard.type("etude 11")
    expect(page.locator("#songs li")).to_have_count(1)
    # The filters are off during a search.
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#song")).to_be_focused()
    for _ in range(5):
        page.keyboard.press("Tab")

    page.keyboard.press("Enter")

    expect(page.locator("#rated")).to_have_text("You rated it 5.")
    expect(page.get_by_role("button", name="Rate it 5 of 5")).to_be_focused()


def test_an_expired_token_is_exchanged(open_page: Open) -> None:
    """Nobody notices: the page signs in anew with its refresh token and repeats the request."""
    page = open_page()
    sign_in(page)
    page.route(STATS, lambda route: route.fulfill(**EXPIRED), times=1)

    with page.expect_response("**/auth/refresh") as refreshed:
        find(page, "etude 12")

    assert refreshed.value.status == 200
    expect(page.locator("#summary")).to_have_text("Not rated yet")
    expect(page.locator("#problem")).to_be_empty()


def test_a_session_that_ended_leads_to_the_form(open_page: Open) -> None:
    """With the reason."""
    page = open_page()
    sign_in(page)
    ended = refusal(401, "invalid_refresh_token", "The refresh token is invalid or has expired; sign in again.")
    page.route("**/api/v1/songs/**", lambda route: route.fulfill(**EXPIRED))
    page.route("**/auth/refresh", lambda route: route.fulfill(**ended))

    page.get_by_label("Search").fill("etude")

    expect(page.locator("#problem")).to_have_text("Your session has ended. Sign in again.")
    expect(page.locator("#entry")).to_be_visible()


@pytest.mark.parametrize(
    ("refusal", "told"),
    [
        (
            refusal(429, "rate_limited", "Too many requests.", **{"Retry-After": "7"}),
            "Too many requests. Try again in 7 s.",
        ),
        (
            refusal(503, "storage_unavailable", "The storage does not respond.", **{"Retry-After": "1"}),
            "The storage does not respond. Try again in 1 s.",
        ),
        (None, "The service does not respond. Try again soon."),
    ],
    ids=["limit", "storage down", "service gone"],
)
def test_what_fails_is_told_and_can_be_repeated(open_page: Open, refusal: dict[str, Any] | None, told: str) -> None:
    """The song stays, and what failed works as soon as the service does."""
    page = open_page()
    sign_in(page)
    find(page, "etude 13")
    before = counts(page)
    page.route("**/songs/ratings", lambda route: route.fulfill(**refusal) if refusal else route.abort(), times=1)

    page.get_by_role("button", name="Rate it 2 of 5").click()

    expect(page.locator("#problem")).to_have_text(told)
    page.get_by_role("button", name="Rate it 2 of 5").click()
    expect(page.locator("#rated")).to_have_text("You rated it 2.")
    expect(page.locator("#problem")).to_be_empty()
    assert int(counts(page)[3]) == int(before[3]) + 1


def test_wrong_input_is_told(open_page: Open) -> None:
    """A wrong password, and every fault of a registration."""
    page = open_page()
    page.get_by_label("User name").fill("editor")
    page.get_by_label("Password").fill("not the password")
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#problem")).to_have_text("The username or the password is wrong.")

    page.get_by_label("User name").fill("?")
    page.get_by_label("Password").fill("short")
    page.get_by_role("button", name="Register").click()

    expect(page.locator("#problem")).to_contain_text("username:")
    expect(page.locator("#problem")).to_contain_text("password:")


def test_text_is_never_markup(open_page: Open) -> None:
    """A title that would be a script is shown as it is."""
    page = open_page()
    sign_in(page)

    find(page, "onerror")

    expect(page.locator("#song-title")).to_have_text(HOSTILE)
    assert page.title() == "Songs"
    assert page.locator("img").count() == 0


def test_the_address_of_a_demo_signs_in_and_leaves_nothing(open_page: Open, catalogue: Catalogue) -> None:
    """What is behind the # is gone from the address, and no token is in the browser's storage."""
    page = open_page()
    page.goto("about:blank")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    page.goto(f"{catalogue.address}/#user=editor&password={PASSWORD.replace(' ', '%20')}")

    expect(page.locator("#who")).to_have_text("editor")
    assert page.url == f"{catalogue.address}/"
    stored = "() => [localStorage.length, sessionStorage.length, document.cookie, history.length]"
    assert page.evaluate(stored)[:3] == [0, 0, ""]
    assert asked
    assert not [url for url in asked if not url.startswith(catalogue.address) or "horse" in url.partition("#")[0]]


def test_a_link_signs_nobody_in_elsewhere(open_page: Open, catalogue: Catalogue) -> None:
    """On a service that is no demo of this machine it fills the form in: whoever made the link gets no ratings."""
    page = open_page()
    address = catalogue.address.replace("127.0.0.1", "songs.example")
    link = f"{address}/#user=editor&password={PASSWORD.replace(' ', '%20')}"
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    page.goto(link)

    expect(page.get_by_label("Password")).to_have_value(PASSWORD)
    assert (page.url, page.get_by_label("User name").input_value()) == (f"{address}/", "editor")
    sign_in(page, "admin")
    page.goto(link)
    expect(page.locator("#who")).to_have_text("admin")
    assert [url for url in asked if "/auth/" in url] == [f"{address}/api/v1/auth/login"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1_200])
def test_everyone_can_use_it(open_page: Open, scheme: str, width: int) -> None:
    """Axe finds nothing, on a phone and on a screen, and nothing is wider than the screen."""
    page = open_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    at_the_form = Axe().run(page)
    sign_in(page)
    find(page, "onerror")
    counts(page)

    results = [at_the_form, Axe().run(page)]

    assert [each.generate_report() for each in results if each.violations_count] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_what_fails_is_in_view_and_so_is_all_of_a_song(open_page: Open) -> None:
    """On a phone the song is far below the top; on a low screen it is higher than the screen. A fault is told once."""
    page = open_page(viewport={"width": 360, "height": 640})
    sign_in(page)
    page.locator("#songs button").last.click()
    counts(page)
    page.route(RATE, lambda route: route.abort(), times=1)

    rate(page, 1)

    expect(page.locator("#problem")).to_have_text("The service does not respond. Try again soon.")
    expect(page.locator("#problem")).to_be_in_viewport(ratio=1)
    page.set_viewport_size({"width": 1_280, "height": 400})
    page.locator("#song").evaluate("(song) => { scrollTo(0, 300); song.scrollTo(0, song.scrollHeight); }")
    expect(page.locator("#distribution tr").last).to_be_in_viewport(ratio=1)
    page.get_by_label("Level").fill("1.5")
    expect(page.locator("#problem")).to_have_text("level: must be an integer of at most 9 digits.")
