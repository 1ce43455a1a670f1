"""The append-only journal, content-addressed blobs and disposable snapshots of a campaign."""
