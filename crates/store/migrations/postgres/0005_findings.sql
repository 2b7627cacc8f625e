-- What hosts miss, as bitmaps, now and as it was known before; what is not known of them.

CREATE TABLE finding_generations (
    tenant_id BYTEA NOT NULL REFERENCES tenants (id),
    number BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    basis TEXT COLLATE "C" NOT NULL,
    fencing BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, number)
);
CREATE INDEX finding_generations_by_time ON finding_generations (tenant_id, received_at);

CREATE TABLE finding_chunks (
    tenant_id BYTEA NOT NULL,
    update_id BYTEA NOT NULL,
    chunk BIGINT NOT NULL,
    generation BIGINT NOT NULL,
    until_generation BIGINT NOT NULL,
    hosts BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, update_id, chunk, generation),
    FOREIGN KEY (tenant_id, generation) REFERENCES finding_generations (tenant_id, number)
);
CREATE INDEX finding_chunks_in_force ON finding_chunks (tenant_id, until_generation, update_id, chunk);

-- Apart from their chunks: these are written once, while the end of each chunk is written later.
CREATE TABLE finding_bitmaps (
    tenant_id BYTEA NOT NULL,
    update_id BYTEA NOT NULL,
    chunk BIGINT NOT NULL,
    generation BIGINT NOT NULL,
    bitmap BYTEA NOT NULL,
    PRIMARY KEY (tenant_id, update_id, chunk, generation),
    FOREIGN KEY (tenant_id, update_id, chunk, generation)
        REFERENCES finding_chunks (tenant_id, update_id, chunk, generation) ON DELETE CASCADE
);

-- How many updates hosts miss, now and before, for 256 hosts in a row: a sync changes these of very many hosts at once.
CREATE TABLE host_counts (
    tenant_id BYTEA NOT NULL,
    block BIGINT NOT NULL,
    generation BIGINT NOT NULL,
    until_generation BIGINT NOT NULL,
    counts BYTEA NOT NULL,
    PRIMARY KEY (tenant_id, block, generation),
    FOREIGN KEY (tenant_id, generation) REFERENCES finding_generations (tenant_id, number)
);

CREATE TABLE coverage (
    tenant_id BYTEA NOT NULL,
    host_id BYTEA NOT NULL,
    generation BIGINT NOT NULL,
    until_generation BIGINT NOT NULL,
    standing TEXT COLLATE "C" NOT NULL,
    holes TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, host_id, generation),
    FOREIGN KEY (tenant_id, host_id) REFERENCES hosts (tenant_id, id),
    FOREIGN KEY (tenant_id, generation) REFERENCES finding_generations (tenant_id, number)
);

-- Which content belongs to whom, and the server's own upkeep.

CREATE TABLE content_grants (
    owner BYTEA NOT NULL,
    digest BYTEA NOT NULL,
    reason TEXT COLLATE "C" NOT NULL,
    reference BYTEA NOT NULL,
    size_bytes BIGINT NOT NULL,
    granted_at BIGINT NOT NULL,
    PRIMARY KEY (owner, digest, reason, reference)
);
CREATE INDEX content_grants_by_digest ON content_grants (digest);
CREATE INDEX content_grants_by_reference ON content_grants (owner, reason, reference);

CREATE TABLE backups (
    id BYTEA NOT NULL PRIMARY KEY,
    started_at BIGINT NOT NULL,
    ended_at BIGINT,
    reason TEXT COLLATE "C" NOT NULL,
    place TEXT COLLATE "C" NOT NULL,
    outcome TEXT COLLATE "C" NOT NULL,
    size_bytes BIGINT NOT NULL,
    manifest_digest BYTEA
);
CREATE INDEX backups_by_time ON backups (started_at);
