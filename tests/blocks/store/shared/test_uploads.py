"""Uploads in the background, of which those that nobody takes wait for a later run."""

from __future__ import annotations

import threading

from stepwell.blocks.store.shared import uploads
from stepwell.blocks.store.shared.uploads import Uploads
from stepwell.errors import DatastoreException


def unanswered() -> str:
    raise DatastoreException("It can't be written", {"reason": "no answer"}, "Wait.") from TimeoutError()


def test_what_is_under_way_is_waited_for_while_the_datastore_answers(monkeypatch):
    monkeypatch.setattr(uploads, "SLOW_SECONDS", 0.01)
    goes_on = threading.Event()
    sent = Uploads()
    sent.submit("a", lambda: "" if goes_on.wait(60) else None)
    assert sent.finish(lambda: goes_on.set() or "").shared == 1


def test_what_is_under_way_is_left_once_the_datastore_is_silent(monkeypatch):
    monkeypatch.setattr(uploads, "SLOW_SECONDS", 0.01)
    goes_on = threading.Event()
    sent = Uploads()
    sent.submit("a", lambda: "" if goes_on.wait(60) else None)
    report = sent.finish(lambda: "it is silent")
    goes_on.set()
    assert (report.shared, report.reason) == (0, "it is silent")


def test_what_was_waited_for_in_vain_is_tried_once_and_again_when_it_is_submitted_again():
    tried: list[str] = []
    sent = Uploads()

    def send() -> str:
        tried.append("")
        return unanswered() if len(tried) == 1 else ""

    sent.submit("a", send)
    sent._going["a"].exception()
    assert len(tried) == 1
    sent.submit("a", send)
    report = sent.finish()
    sent.submit("b", send)
    assert (len(tried), report.shared, sent.finish().shared) == (3, 1, 1)
