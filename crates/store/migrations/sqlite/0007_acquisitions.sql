-- How each file that hosts are given came here: from which source, vouched for by what, and what a scan said of it.

CREATE TABLE acquisitions (
    owner BLOB NOT NULL,
    source_id BLOB NOT NULL,
    digest BLOB NOT NULL,
    size_bytes INTEGER NOT NULL,
    place TEXT NOT NULL,
    release_digest BLOB NOT NULL,
    signed_by TEXT NOT NULL,
    acquired_at INTEGER NOT NULL,
    PRIMARY KEY (owner, source_id, digest),
    FOREIGN KEY (owner, source_id) REFERENCES sources (owner, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX acquisitions_by_digest ON acquisitions (digest);

CREATE TABLE content_scans (
    digest BLOB NOT NULL PRIMARY KEY,
    state TEXT NOT NULL,
    detail TEXT NOT NULL,
    engine TEXT NOT NULL,
    scanned_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
