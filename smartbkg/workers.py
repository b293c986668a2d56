"""Work on several processes: results in the order of the tasks, however long each takes.

Processes are spawned, not forked: what a library keeps in threads or locks is not carried over.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from typing import Final, TypeVar

from smartbkg.errors import WorkerLost

Task = TypeVar("Task")
Result = TypeVar("Result")

# Tasks made ahead of the reader by each worker, so that none waits while a file is written.
TASKS_AHEAD: Final = 2


def in_order(
    function: Callable[[Task], Result], tasks: Iterable[Task], workers: int, what: str = "its task"
) -> Iterator[Result]:
    """`function` of each task, made in several processes; only a few tasks and results are held at any time.

    Raises:
        WorkerLost: a process was killed; `what` names the task in the message.
    """
    pool = ProcessPoolExecutor(workers, get_context("spawn"), start_worker)
    waiting: deque[Future[Result]] = deque()
    try:
        for task in tasks:
            waiting.append(pool.submit(function, task))
            if len(waiting) > workers * TASKS_AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise WorkerLost(what) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def start_worker() -> None:
    """What a worker process does first: leave Ctrl-C to its parent, and end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then ends the pool
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A parent that was killed cannot end its workers, and they would wait for tasks for ever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
