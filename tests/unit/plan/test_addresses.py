"""Sizes of files by their addresses, asked of a real server that is dead, slow or lies."""

from __future__ import annotations

import time

import pytest

from qualiclip.bench.plan.addresses import Answer, ask, ask_all, compared
from tests.support.http_server import Loopback, serving

BODY = b"x" * 3_000_000


@pytest.fixture
def server():
    with serving() as s:
        s.files = {"set.zip": BODY}
        yield s
        s.slow.clear()


def test_the_size_is_known_without_fetching(server: Loopback):
    assert ask(f"{server.base}/set.zip") == Answer(3.0)
    assert server.sent <= 1


def test_a_server_without_ranges_is_asked_for_no_more_than_it_sends_before_we_leave(server: Loopback):
    server.ranges = False
    assert ask(f"{server.base}/set.zip") == Answer(3.0)


def test_a_server_that_does_not_know_head_tells_by_the_first_byte(server: Loopback):
    server.head = False
    assert ask(f"{server.base}/set.zip") == Answer(3.0)
    assert server.sent == 1


def test_a_file_that_is_gone_is_dead(server: Loopback):
    assert "404" in ask(f"{server.base}/gone.zip").dead


def test_a_host_that_is_gone_is_dead(server: Loopback):
    base = server.base
    server.server_close()
    assert ask(f"{base}/set.zip", timeout=1).dead


def test_a_server_that_states_two_sizes_is_named(server: Loopback):
    server.head_longer = 1_000_000
    assert ask(f"{server.base}/set.zip").odd == "it states two sizes: 3 MB and 4 MB"


def test_a_web_page_in_place_of_a_file_is_dead(server: Loopback):
    server.head = False
    server.pages = {"set.zip"}
    assert "web page" in ask(f"{server.base}/set.zip").dead


def test_a_size_that_the_card_does_not_state_is_odd():
    assert compared(Answer(3.0), 3.01) == Answer(3.0)
    assert compared(Answer(3.0), 4.0).odd == "the card says 4 MB"
    assert compared(Answer(3.0), None) == Answer(3.0)


def test_a_slow_server_holds_up_nobody_else(server: Loopback):
    """It sends a byte now and then, so that no timeout of a socket ends it."""
    server.files["slow.zip"] = BODY
    server.slow = {"slow.zip"}
    start = time.monotonic()
    urls = [f"{server.base}/{name}" for name in ("slow.zip", "set.zip", "gone.zip")]
    answers = ask_all(urls, timeout=1, patience=0.5)
    assert time.monotonic() - start < 3
    assert answers[urls[0]].dead == "no answer within 0.5 s"
    assert answers[urls[1]] == Answer(3.0) and "404" in answers[urls[2]].dead
