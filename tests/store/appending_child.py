"""A process that appends for as long as it lives: `appending_child.py DIRECTORY ROUND`.

Each acknowledged request is one line on standard output: request id, newest sequence number, its hash.
"""

import sys
from pathlib import Path

from probescout.core.ports import NewEvent, Receipt
from probescout.store.blob_names import blob_name
from probescout.store.blobs import Blobs
from probescout.store.journal import Journal


def main() -> None:
    directory, number = Path(sys.argv[1]), int(sys.argv[2])
    journal = Journal.open(directory)
    blobs = Blobs.open(directory)
    for i in range(100_000):
        request_id = f"round-{number}-request-{i}"
        n_events = 1 + i % 3
        image = blobs.put(f"image of {request_id}".encode())
        payload = {"request_id": request_id, "n_events": n_events, "image": blob_name(image.digest)}
        records = journal.append(
            [NewEvent("Observed", payload, bytes(1000)) for _ in range(n_events)],
            time=float(i),
            principal="child",
            receipts=[Receipt(request_id, "digest", request_id.encode())],
        )
        print(request_id, records[-1].seq, records[-1].hash, flush=True)


if __name__ == "__main__":
    main()
