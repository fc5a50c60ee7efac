"""Produce items in a second thread, ahead of the loop that consumes them.

    with ReadAhead(documents(), limit=20_000_000, weight=lambda d: len(d.text)) as ahead:
        for document in ahead:
            embed(document)

What the items are does not matter here. `limit` bounds the memory of those that wait.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class ReadAhead(Generic[T]):
    """Iterates over `items`, which another thread takes from their iterator.

    The thread pauses while the items that wait weigh `limit` or more together. An exception of the
    iterator is raised in the loop, after the items before it. Leaving the `with` block stops the
    thread at its next item.
    """

    def __init__(self, items: Iterator[T], *, limit: int, weight: Callable[[T], int]) -> None:
        self._items = items
        self._limit = limit
        self._weight = weight
        self._queue: queue.SimpleQueue[T | BaseException | None] = queue.SimpleQueue()
        self._room = threading.Condition()
        self._waiting = 0
        self._stopped = False
        self._thread = threading.Thread(target=self._fill, name="read-ahead", daemon=True)

    def __enter__(self) -> ReadAhead[T]:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._room:
            self._stopped = True
            self._room.notify_all()
        self._thread.join()

    def __iter__(self) -> Iterator[T]:
        while (item := self._queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            with self._room:
                self._waiting -= self._weight(item)
                self._room.notify_all()
            yield item

    def _fill(self) -> None:
        try:
            for item in self._items:
                with self._room:
                    self._room.wait_for(lambda: self._stopped or self._waiting < self._limit)
                    if self._stopped:
                        return
                    self._waiting += self._weight(item)
                self._queue.put(item)
            self._queue.put(None)
        except BaseException as error:
            self._queue.put(error)
