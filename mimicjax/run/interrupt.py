"""Ctrl-C and schedulers' signals while training: the first lets the run save itself, a second Ctrl-C ends the process."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

ENDING = (signal.SIGINT, signal.SIGTERM)  # the second of them ends the process
SIGNALS = (*ENDING, signal.SIGUSR1)  # schedulers send SIGUSR1 a while before they take the machine away
CODE = 130  # exit code, as shells give it to what Ctrl-C ended
SHOW_CURSOR = "\x1b[?25h"  # the live display hides it


class Interrupt:
    """`asked` is true from the first Ctrl-C (or SIGTERM, SIGUSR1) on; a second Ctrl-C or SIGTERM ends the process.

    Python handles signals between its own instructions, so not before a compilation or a chunk is over; and unwinding
    while XLA's threads still call the native engine crashes. A thread that reads the numbers of the signals as they come
    (signal.set_wakeup_fd) ends the process instead: nothing half-written stays, as files are renamed when whole.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.asked, self.say = False, say
        self.old: dict[int, Any] = {}
        self.ends: tuple[int, int] | None = None

    def _handle(self, number: int, frame: Any) -> None:
        if not self.asked:
            self.asked = True
            self.say("stopping: finishing this iteration and saving (Ctrl-C again to stop at once)")

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is not threading.main_thread():
            return self  # nobody presses Ctrl-C there
        self.ends = os.pipe()
        os.set_blocking(self.ends[1], False)
        self.before = signal.set_wakeup_fd(self.ends[1], warn_on_full_buffer=False)
        for number in SIGNALS:
            self.old[number] = signal.signal(number, self._handle)
        threading.Thread(target=_watch, args=(self.ends[0],), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.ends is None:
            return
        signal.set_wakeup_fd(self.before)
        for number, handler in self.old.items():
            signal.signal(number, handler)
        os.close(self.ends[1])  # the thread reads the end of the file, and closes its own


def _watch(end: int) -> None:
    """Ends the process at the second ENDING signal whose number is read from `end`."""
    seen = 0
    while seen < 2:
        numbers = os.read(end, 64)
        if not numbers:
            os.close(end)
            return
        seen += sum(number in ENDING for number in numbers)
    if sys.stdout.isatty():
        os.write(1, SHOW_CURSOR.encode())
    os.write(2, b"\nmimicjax.train: stopped at once; the run is as its last checkpoint has it\n")
    os._exit(CODE)
