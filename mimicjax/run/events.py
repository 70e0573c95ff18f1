"""TensorBoard's event file, written at once by the thread that has the row: nothing is left to say later, or after the end.

tensorboardX knows the format; its own writer has a thread, a queue in shared memory and a last flush at exit, each of which
can fail where a training should go on.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Mapping
from pathlib import Path

from mimicjax import files


class Events:
    """An event file of its own in `folder`. purge: TensorBoard hides what older files there say from that step on."""

    def __init__(self, folder: Path, purge: int | None) -> None:
        from tensorboardX.proto.event_pb2 import Event, SessionLog  # pyright: ignore[reportAttributeAccessIssue]

        begun = time.time()
        self.path = folder / f"events.out.tfevents.{int(begun)}.{socket.gethostname()}.{os.getpid()}"
        self._waiting = [Event(wall_time=begun, file_version="brain.Event:2")]
        if purge is not None:
            start = SessionLog(status=SessionLog.START)
            self._waiting.append(Event(wall_time=begun, step=purge, session_log=start))

    def write(self, values: Mapping[str, float], step: int) -> None:
        """Scalars by tag, at a step. Raises OSError, and then the file is what it was before."""
        from tensorboardX.proto.event_pb2 import Event  # pyright: ignore[reportAttributeAccessIssue]
        from tensorboardX.proto.summary_pb2 import Summary  # pyright: ignore[reportAttributeAccessIssue]

        scalars = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        new = Event(wall_time=time.time(), step=step, summary=Summary(value=scalars))
        files.append(self.path, b"".join(map(_record, (*self._waiting, new))))
        self._waiting = []


def _record(event) -> bytes:
    """Length and content, each with its checksum, as TensorFlow's record files have them."""
    from tensorboardX.record_writer import masked_crc32c

    data = event.SerializeToString()
    head = struct.pack("<Q", len(data))
    return head + struct.pack("<I", masked_crc32c(head)) + data + struct.pack("<I", masked_crc32c(data))
