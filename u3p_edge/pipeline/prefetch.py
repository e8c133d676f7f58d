"""Work that is begun before its result is needed, and work that is done while the next begins."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def prefetch(
    pool: ThreadPoolExecutor, work: Callable[[Item], Result], items: Iterable[Item], ahead: int
) -> Iterator[tuple[Item, Future[Result]]]:
    """Yield each item with the future of its work, in order, while the work of up to `ahead` further items is under way."""
    begun: deque[tuple[Item, Future[Result]]] = deque()
    for item in items:
        begun.append((item, pool.submit(work, item)))
        if len(begun) > ahead:
            yield begun.popleft()
    yield from begun


@contextlib.contextmanager
def write_behind(most: int) -> Iterator[Callable[[Callable[[], None]], None]]:
    """Give a function that has a file written in a thread, in order. It waits while more than `most` are not written.

    All are written where the block ends well. What writing raises is raised by a later call, or there.
    """
    waiting: deque[Future[None]] = deque()
    with ThreadPoolExecutor(1) as pool:

        def submit(write: Callable[[], None]) -> None:
            waiting.append(pool.submit(write))
            while len(waiting) > most:
                waiting.popleft().result()

        yield submit
        while waiting:
            waiting.popleft().result()
