-- How each file that hosts are given came here: from which source, vouched for by what, and what a scan said of it.

CREATE TABLE acquisitions (
    owner BYTEA NOT NULL,
    source_id BYTEA NOT NULL,
    digest BYTEA NOT NULL,
    size_bytes BIGINT NOT NULL,
    place TEXT COLLATE "C" NOT NULL,
    release_digest BYTEA NOT NULL,
    signed_by TEXT COLLATE "C" NOT NULL,
    acquired_at BIGINT NOT NULL,
    PRIMARY KEY (owner, source_id, digest),
    FOREIGN KEY (owner, source_id) REFERENCES sources (owner, id)
);
CREATE INDEX acquisitions_by_digest ON acquisitions (digest);

CREATE TABLE content_scans (
    digest BYTEA NOT NULL PRIMARY KEY,
    state TEXT COLLATE "C" NOT NULL,
    detail TEXT COLLATE "C" NOT NULL,
    engine TEXT COLLATE "C" NOT NULL,
    scanned_at BIGINT NOT NULL
);
