"""Answers that come late, out of order, twice or never: the page shows and counts what its user did, and once."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import APIResponse, Page, Route, expect

from .conftest import PASSWORD, Catalogue, Open
from .steps import EXPIRED, RATE, STATS, counts, cut, find, lose, rate, refusal, sign_in, sign_out

pytestmark = pytest.mark.server


def _hold(page: Page, url: str | re.Pattern[str]) -> list[Route]:
    """Return what becomes the next request for `url`, which waits for the test."""
    held: list[Route] = []
    # Without `times`: the browser would let go of all that is held once no route is left.
    page.route(url, lambda route: route.fallback() if held else held.append(route))
    return held


def _hold_answer(page: Page, url: str | re.Pattern[str]) -> list[tuple[Route, APIResponse]]:
    """Return what becomes the next request for `url` and what it was answered, which waits for the test."""
    taken: list[Route] = []
    done: list[tuple[Route, APIResponse]] = []

    def hold(route: Route) -> None:
        if taken:
            route.fallback()
        else:
            taken.append(route)
            done.append((route, route.fetch()))

    page.route(url, hold)
    return done


def _until(page: Page, condition: Callable[[], object]) -> None:
    """Wait for what a route of the test does."""
    for _ in range(600):
        if condition():
            return
        page.wait_for_timeout(100)
    pytest.fail("what the test holds did not come")


@pytest.mark.parametrize("late", ["refresh", "refusal"])
def test_no_answer_crosses_over_to_another_user(open_page: Open, late: str) -> None:
    """Who signs in after somebody else keeps their own session, and rates nothing for the other."""
    page = open_page()
    sign_in(page)
    find(page, "etude 11")
    before = counts(page)
    held, done = [], []
    if late == "refresh":
        page.route(RATE, lambda route: route.fulfill(**EXPIRED), times=1)
        done = _hold_answer(page, "**/auth/refresh")
    else:
        held = _hold(page, RATE)
    with page.expect_request("**/auth/refresh" if late == "refresh" else RATE):
        rate(page, 3)
    _until(page, lambda: done or held)
    sign_out(page)
    sign_in(page, "admin")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(f"{request.method} {request.url.rpartition('/')[2]}"))

    for route, response in done:
        route.fulfill(response=response)
    for route in held:
        route.fulfill(**EXPIRED)

    find(page, "etude 11")
    assert counts(page) == before
    assert [each for each in asked if not each.startswith("GET")] == []
    with page.expect_response("**/users/me") as mine:
        page.evaluate("document.getElementById('sign-out').click()")
        sign_in(page, "admin")
    assert mine.value.json()["username"] == "admin"


def test_who_signed_out_stays_out(open_page: Open) -> None:
    """Two clicks sign in once, no second answer signs in again, and a search that was typed is not made."""
    page = open_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.get_by_label("User name").fill("editor")
    page.get_by_label("Password").fill(PASSWORD)

    page.get_by_role("button", name="Sign in").dblclick()

    expect(page.locator("#songs li")).to_have_count(20)
    assert len([url for url in asked if url.endswith("/auth/login")]) == 1
    page.clock.install()
    page.get_by_label("Search").fill("etude")
    sign_out(page)
    page.clock.run_for(1_000)
    expect(page.locator("#problem")).to_be_empty()
    assert [url for url in asked if "search" in url] == []


def test_nothing_of_a_user_is_left_for_the_next(open_page: Open) -> None:
    """Before the next user's list is there, nothing of the former's is; a sign-out that fails is told."""
    page = open_page()
    sign_in(page)
    page.route("**/auth/logout", lambda route: route.abort(), times=1)
    sign_out(page)
    expect(page.locator("#problem")).to_contain_text("may keep your session")
    held = _hold(page, "**/songs?*")
    page.get_by_label("User name").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)

    with page.expect_request("**/songs?*"):
        page.get_by_role("button", name="Sign in").click()

    expect(page.locator("#who")).to_have_text("admin")
    expect(page.locator("#found")).to_be_empty()
    expect(page.locator("#more")).to_be_hidden()
    held[0].continue_()
    expect(page.locator("#songs li")).to_have_count(20)


def test_one_exchange_serves_all_requests(open_page: Open) -> None:
    """Also one that was refused after it."""
    page = open_page()
    sign_in(page)
    find(page, "etude 12")
    counts(page)
    first = _hold(page, RATE)
    with page.expect_request(RATE):
        rate(page, 1)
    second = _hold(page, RATE)
    with page.expect_request(RATE):
        rate(page, 2)
    exchanges: list[str] = []
    page.on("request", lambda request: exchanges.extend([request.url] * request.url.endswith("/auth/refresh")))

    first[0].fulfill(**EXPIRED)
    expect(page.locator("#rated")).to_have_text("You rated it 1.")
    second[0].fulfill(**EXPIRED)

    expect(page.locator("#rated")).to_have_text("You rated it 2.")
    assert len(exchanges) == 1


@pytest.mark.parametrize("fail", [lose, cut])
def test_a_rating_whose_answer_is_lost_counts_once(open_page: Open, fail: Callable[[Route], None]) -> None:
    """It is sent again with its key, whatever was rated in between."""
    page = open_page()
    sign_in(page)
    find(page, "etude 14")
    before = counts(page)
    page.route(RATE, fail, times=1)
    rate(page, 3)
    expect(page.locator("#problem")).to_have_text("The service does not respond. Try again soon.")
    find(page, "etude 15")
    rate(page, 3)
    expect(page.locator("#rated")).to_have_text("You rated it 3.")

    find(page, "etude 14")
    rate(page, 3)

    expect(page.locator("#rated")).to_have_text("You rated it 3.")
    assert int(counts(page)[2]) == int(before[2]) + 1


def test_a_double_click_and_a_held_key_rate_once(open_page: Open) -> None:
    """However fast the answer is."""
    page = open_page()
    sign_in(page)
    find(page, "etude 16")
    counts(page)
    button = page.get_by_role("button", name="Rate it 5 of 5")

    button.click()
    expect(page.locator("#rated")).to_have_text("You rated it 5.")
    button.dispatch_event("click", {"detail": 2})  # the second one of a double click
    rate(page, 4)
    expect(page.locator("#rated")).to_have_text("You rated it 4.")
    for _ in range(3):
        page.keyboard.down("Enter")
    page.keyboard.up("Enter")
    expect(page.locator("#summary")).to_contain_text("3 ratings")
    rate(page, 1)

    expect(page.locator("#rated")).to_have_text("You rated it 1.")
    assert counts(page) == ["1", "2", "0", "0", "1"]


def test_late_statistics_and_answers_change_nothing_newer(open_page: Open) -> None:
    """Statistics from before a rating do not replace those after it, and an answer does not move the focus."""
    page = open_page()
    sign_in(page)
    done = _hold_answer(page, STATS)
    with page.expect_request(STATS):
        find(page, "etude 17")
    _until(page, lambda: done)
    held = _hold(page, RATE)
    with page.expect_request(RATE):
        rate(page, 2)
    page.get_by_label("Search").focus()

    held[0].continue_()
    expect(page.locator("#rated")).to_have_text("You rated it 2.")
    with page.expect_event("requestfinished", lambda request: STATS.search(request.url) is not None):
        done[0][0].fulfill(response=done[0][1])

    assert counts(page) == ["0", "0", "0", "1", "0"]
    expect(page.get_by_label("Search")).to_be_focused()


def test_a_search_that_fails_shows_nothing_older_and_is_repeated_by_enter(open_page: Open) -> None:
    """A list of what was asked for before would be taken for its result."""
    page = open_page()
    sign_in(page)
    down = refusal(503, "storage_unavailable", "The storage does not respond.", **{"Retry-After": "1"})
    page.route("**/songs/search*", lambda route: route.fulfill(**down), times=1)
    page.get_by_label("Search").fill("etude 18")
    expect(page.locator("#problem")).to_have_text("The storage does not respond. Try again in 1 s.")
    expect(page.locator("#songs li")).to_have_count(0)
    expect(page.locator("#more")).to_be_hidden()

    page.get_by_label("Search").press("Enter")

    expect(page.locator("#songs li")).to_have_count(1)
    expect(page.locator("#problem")).to_be_empty()


def test_an_address_of_a_demo_signs_in_where_the_page_is_open(open_page: Open, catalogue: Catalogue) -> None:
    """The browser does not load the page again for it; the password is gone from the address all the same."""
    page = open_page()
    sign_in(page, "admin")

    page.goto(f"{catalogue.address}/#user=editor&password={PASSWORD.replace(' ', '%20')}")

    expect(page.locator("#who")).to_have_text("editor")
    assert page.url == f"{catalogue.address}/"
