"""The writing thread, when the model fails."""

import queue

import pytest

from components.served.request import TextRequest
from components.server import writing


class FakeText:
    def __init__(self, request):
        self.request = request
        self.done = False
        self.tokens = 0

    def take(self):
        return "x"


class FakeEngine:
    """Writes a token a turn; fails when a prompt says so."""

    def __init__(self, model):
        self.texts = []
        self.waiting = 0

    @property
    def active(self):
        return len(self.texts)

    def warm_up(self):
        pass

    def add(self, request, carry):
        if request.prompt == "no text":
            raise ValueError("cannot be read")
        self.texts.append(FakeText(request))
        return self.texts[-1]

    def cancel(self, text):
        self.texts.remove(text)

    def turn(self):
        texts = list(self.texts)
        if any(text.request.prompt == "broken" for text in texts):
            raise RuntimeError("the graph failed")
        for text in texts:
            text.tokens += 1
            if text.tokens == text.request.max_length:
                text.done = True
                self.texts.remove(text)
        return texts


@pytest.fixture
def thread(monkeypatch):
    monkeypatch.setattr(writing, "Engine", FakeEngine)
    thread = writing.WritingThread(None)
    thread.start()
    yield thread
    thread.close()


def submit(thread, prompt, length=2):
    news = queue.SimpleQueue()
    job = thread.submit(TextRequest(prompt, length), None, lambda *told: news.put(told))
    return job, news


def test_whoever_waits_is_told_each_turn(thread):
    _, news = submit(thread, "a", 3)

    told = [news.get(timeout=60) for _ in range(3)]

    assert [(piece, error) for _, piece, error in told] == [("x", None)] * 3
    assert told[-1][0].done
    assert thread.tokens == 3


def test_failure_is_told_to_all_and_the_next_text_is_written(thread):
    _, mate = submit(thread, "a", 10**9)
    assert mate.get(timeout=60)[2] is None

    _, news = submit(thread, "broken")

    assert isinstance(news.get(timeout=60)[2], RuntimeError)
    while (told := mate.get(timeout=60))[2] is None:
        pass
    assert isinstance(told[2], RuntimeError)
    assert thread.active == 0
    assert submit(thread, "b", 1)[1].get(timeout=60)[0].done


def test_text_that_cannot_begin_is_its_own_failure(thread):
    _, news = submit(thread, "no text")

    assert isinstance(news.get(timeout=60)[2], ValueError)
    assert submit(thread, "b", 1)[1].get(timeout=60)[0].done


def test_cancelled_text_is_dropped(thread):
    job, news = submit(thread, "a", 10**9)
    news.get(timeout=60)

    job.cancel()

    assert submit(thread, "b", 1)[1].get(timeout=60)[0].done
    assert thread.active == 0


def test_closing_waits_for_the_texts(monkeypatch):
    monkeypatch.setattr(writing, "Engine", FakeEngine)
    thread = writing.WritingThread(None)
    thread.start()
    _, news = submit(thread, "a", 1000)

    thread.close()

    told = [news.get_nowait() for _ in range(1000)]
    assert told[-1][0].done
