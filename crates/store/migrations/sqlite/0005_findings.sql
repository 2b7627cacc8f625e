-- What hosts miss, as bitmaps, now and as it was known before; what is not known of them.

CREATE TABLE finding_generations (
    tenant_id BLOB NOT NULL REFERENCES tenants (id),
    number INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    basis TEXT NOT NULL,
    fencing INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX finding_generations_by_time ON finding_generations (tenant_id, received_at);

CREATE TABLE finding_chunks (
    tenant_id BLOB NOT NULL,
    update_id BLOB NOT NULL,
    chunk INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    until_generation INTEGER NOT NULL,
    hosts INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, update_id, chunk, generation),
    FOREIGN KEY (tenant_id, generation) REFERENCES finding_generations (tenant_id, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX finding_chunks_in_force ON finding_chunks (tenant_id, until_generation, update_id, chunk);

-- Apart from their chunks: these are written once, while the end of each chunk is written later.
CREATE TABLE finding_bitmaps (
    tenant_id BLOB NOT NULL,
    update_id BLOB NOT NULL,
    chunk INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    bitmap BLOB NOT NULL,
    PRIMARY KEY (tenant_id, update_id, chunk, generation),
    FOREIGN KEY (tenant_id, update_id, chunk, generation)
        REFERENCES finding_chunks (tenant_id, update_id, chunk, generation) ON DELETE CASCADE
) STRICT;

-- How many updates hosts miss, now and before, for 256 hosts in a row: a sync changes these of very many hosts at once.
CREATE TABLE host_counts (
    tenant_id BLOB NOT NULL,
    block INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    until_generation INTEGER NOT NULL,
    counts BLOB NOT NULL,
    PRIMARY KEY (tenant_id, block, generation),
    FOREIGN KEY (tenant_id, generation) REFERENCES finding_generations (tenant_id, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE coverage (
    tenant_id BLOB NOT NULL,
    host_id BLOB NOT NULL,
    generation INTEGER NOT NULL,
    until_generation INTEGER NOT NULL,
    standing TEXT NOT NULL,
    holes TEXT NOT NULL,
    PRIMARY KEY (tenant_id, host_id, generation),
    FOREIGN KEY (tenant_id, host_id) REFERENCES hosts (tenant_id, id),
    FOREIGN KEY (tenant_id, generation) REFERENCES finding_generations (tenant_id, number)
) STRICT, WITHOUT ROWID;

-- Which content belongs to whom, and the server's own upkeep.

CREATE TABLE content_grants (
    owner BLOB NOT NULL,
    digest BLOB NOT NULL,
    reason TEXT NOT NULL,
    reference BLOB NOT NULL,
    size_bytes INTEGER NOT NULL,
    granted_at INTEGER NOT NULL,
    PRIMARY KEY (owner, digest, reason, reference)
) STRICT, WITHOUT ROWID;
CREATE INDEX content_grants_by_digest ON content_grants (digest);
CREATE INDEX content_grants_by_reference ON content_grants (owner, reason, reference);

CREATE TABLE backups (
    id BLOB NOT NULL PRIMARY KEY,
    started_at INTEGER NOT NULL,
    ended_at INTEGER,
    reason TEXT NOT NULL,
    place TEXT NOT NULL,
    outcome TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    manifest_digest BLOB
) STRICT;
CREATE INDEX backups_by_time ON backups (started_at);
