"""Work that is begun before its result is needed."""

from __future__ import annotations

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
