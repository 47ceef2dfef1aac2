"""Writes data/events.tfevents: a file of TensorBoard's own writer, which test/cli/tensorboard.test.ts writes again byte by byte.

    python make_events.py --read RUN     compares the event files that `ditc train` wrote into RUN with RUN/metrics.jsonl; it writes nothing
"""

import json
import math
import sys
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

DATA = Path(__file__).parent / "data"


def events():
    yield Event(wall_time=1.5e9, file_version="brain.Event:2")
    yield Event(wall_time=1500000000.25, step=301, session_log=SessionLog(status=SessionLog.START))
    scalars = {"loss": 0.1, "mse by timestep/1 of 8": 3.0e-12, "lr": 1e-4, "größe": -7.5}
    yield Event(wall_time=1500000001.125, step=70000,
                summary=Summary(value=[Summary.Value(tag=tag, simple_value=x) for tag, x in scalars.items()]))  # fmt: skip
    png = (DATA / "pictures" / "grey.png").read_bytes()
    image = Summary.Image(height=int.from_bytes(png[20:24], "big"), width=int.from_bytes(png[16:20], "big"),
                          colorspace=1, encoded_image_string=png)  # fmt: skip
    yield Event(wall_time=1500000002.0, step=2**31, summary=Summary(value=[Summary.Value(tag="samples", image=image)]))


def write():
    with open(DATA / "events.tfevents", "wb") as file:
        writer = RecordWriter(file)
        for event in events():
            writer.write(event.SerializeToString(deterministic=True))


def read(run):
    """Whether TensorBoard shows what metrics.jsonl has, every number of every step once."""
    board = EventAccumulator(str(run), size_guidance={"scalars": 0, "images": 0}).Reload()
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for name in ("loss", "mse", "lr"):
        shown = [(event.step, event.value) for event in board.Scalars(name)]
        want = [(record["step"], record[name]) for record in records]
        assert len(shown) == len(want), (name, len(shown), len(want))
        for (step, value), (at, number) in zip(shown, want):
            assert step == at and math.isclose(value, number, rel_tol=1e-6), (name, step, value, at, number)
    pictures = [event.step for event in board.Images("samples")] if "samples" in board.Tags()["images"] else []
    print(f"{len(records)} records, tags {board.Tags()['scalars']}, samples at {pictures}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--read"]:
        read(Path(sys.argv[2]))
    else:
        write()
