"""Ask addresses how large their files are, without fetching them."""

from __future__ import annotations

import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage, HTTPResponse

TIMEOUT = 20.0  # seconds without a byte
PATIENCE = 60.0  # seconds for all of them together
TOLERANCE = 0.01  # a card states a size with three digits


@dataclass(frozen=True)
class Answer:
    """What an address says of its file: its size, or why it cannot be had; and what is odd about it."""

    megabytes: float | None = None
    dead: str = ""
    odd: str = ""


class _KeepMethod(urllib.request.HTTPRedirectHandler):
    """Follows a redirection with the same method; urllib would turn HEAD into GET."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        new = super().redirect_request(req, fp, code, msg, headers, newurl)
        if new is not None:
            new.method = req.get_method()
        return new


def _open(url: str, method: str, timeout: float, **headers: str) -> HTTPResponse:
    request = urllib.request.Request(url, method=method, headers={"User-Agent": "qualiclip", **headers})
    return urllib.request.build_opener(_KeepMethod).open(request, timeout=timeout)


def _size(response: HTTPResponse) -> int | None:
    """The size of the whole file that a response is about; None where it does not say."""
    total = response.headers.get("Content-Range", "").rpartition("/")[2]
    length = total if response.status == 206 else response.headers.get("Content-Length", "")
    return int(length) if length.isdigit() else None


def _is_page(headers: HTTPMessage) -> bool:
    return headers.get_content_type() == "text/html"


def ask(url: str, timeout: float = TIMEOUT) -> Answer:
    """HEAD, and a GET of the first byte: an address may answer either one alone, or both and not agree."""
    sizes, problem = {}, ""
    for method, headers in (("HEAD", {}), ("GET", {"Range": "bytes=0-0"})):
        try:
            with _open(url, method, timeout, **headers) as response:
                if _is_page(response.headers):
                    return Answer(dead="it answers with a web page, not with a file")
                sizes[method] = _size(response)
        except urllib.error.HTTPError as e:
            problem = f"HTTP {e.code} {e.reason}"
        except (OSError, HTTPException, ValueError) as e:
            problem = str(getattr(e, "reason", None) or e) or type(e).__name__
    # what it said
    if not sizes:
        return Answer(dead=problem)
    known = {s for s in sizes.values() if s is not None}
    if len(known) > 1:
        words = " and ".join(f"{s / 1e6:.6g} MB" for s in sorted(known))
        return Answer(max(known) / 1e6, odd=f"it states two sizes: {words}")
    return Answer(known.pop() / 1e6) if known else Answer(odd="it does not state a size")


def ask_all(urls: Iterable[str], timeout: float = TIMEOUT, patience: float = PATIENCE) -> dict[str, Answer]:
    """Answers of all addresses, asked side by side; what has not answered after `patience` seconds is dead.

    The threads are daemons: a server that sends a byte now and then keeps none of them from ending with the process.
    """
    answers: dict[str, Answer] = {}
    threads = {
        url: threading.Thread(target=lambda url=url: answers.setdefault(url, ask(url, timeout)), daemon=True)
        for url in dict.fromkeys(urls)
    }
    for thread in threads.values():
        thread.start()
    end = time.monotonic() + patience
    for url, thread in threads.items():
        thread.join(max(0.0, end - time.monotonic()))
        answers.setdefault(url, Answer(dead=f"no answer within {patience:g} s"))
    return dict(answers)


def compared(answer: Answer, megabytes: float | None) -> Answer:
    """The answer, odd where its size is not the one that a card states."""
    if answer.megabytes and megabytes and abs(answer.megabytes - megabytes) > max(TOLERANCE * megabytes, 0.01):
        return Answer(answer.megabytes, odd=f"the card says {megabytes:g} MB")
    return answer
