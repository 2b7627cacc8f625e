-- Packages that hosts have; sources, what they published, and which of them hosts use.

CREATE TABLE packages (
    id BIGINT NOT NULL PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL,
    architecture TEXT COLLATE "C" NOT NULL,
    version TEXT COLLATE "C" NOT NULL,
    source TEXT COLLATE "C" NOT NULL,
    source_version TEXT COLLATE "C" NOT NULL,
    fingerprint BYTEA NOT NULL,
    UNIQUE (name, architecture, version, source, source_version, fingerprint)
);
CREATE INDEX packages_by_source ON packages (source, source_version);

CREATE TABLE inventory_packages (
    tenant_id BYTEA NOT NULL,
    digest BYTEA NOT NULL,
    packages BYTEA NOT NULL,
    size BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, digest),
    FOREIGN KEY (tenant_id, digest) REFERENCES documents (tenant_id, digest)
);

CREATE TABLE host_changes (
    tenant_id BYTEA NOT NULL,
    host_id BYTEA NOT NULL,
    number BIGINT NOT NULL,
    observed_at BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    action TEXT COLLATE "C" NOT NULL,
    package TEXT COLLATE "C" NOT NULL,
    architecture TEXT COLLATE "C" NOT NULL,
    version_before TEXT COLLATE "C",
    version_after TEXT COLLATE "C",
    changed_by TEXT COLLATE "C" NOT NULL,
    detail TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, host_id, number),
    FOREIGN KEY (tenant_id, host_id) REFERENCES hosts (tenant_id, id)
);
CREATE INDEX host_changes_by_package ON host_changes (tenant_id, package, received_at);

CREATE TABLE sources (
    owner BYTEA NOT NULL,
    id BYTEA NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    identity TEXT COLLATE "C" NOT NULL,
    identity_digest BYTEA NOT NULL,
    addresses TEXT COLLATE "C" NOT NULL,
    components TEXT COLLATE "C" NOT NULL,
    architectures TEXT COLLATE "C" NOT NULL,
    schedule TEXT COLLATE "C" NOT NULL,
    credentials_sealed BYTEA,
    next_sync_at BIGINT,
    last_sync_at BIGINT,
    last_success_at BIGINT,
    last_outcome TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (owner, id),
    UNIQUE (owner, identity_digest)
);
CREATE UNIQUE INDEX sources_by_id ON sources (id);
CREATE INDEX sources_by_due ON sources (state, next_sync_at);

CREATE TABLE snapshots (
    owner BYTEA NOT NULL,
    source_id BYTEA NOT NULL,
    id BYTEA NOT NULL,
    digest BYTEA NOT NULL,
    release TEXT COLLATE "C" NOT NULL,
    indexes TEXT COLLATE "C" NOT NULL,
    published_at BIGINT NOT NULL,
    valid_until BIGINT,
    adopted_at BIGINT NOT NULL,
    superseded_at BIGINT NOT NULL,
    derived_at BIGINT,
    PRIMARY KEY (owner, source_id, id),
    FOREIGN KEY (owner, source_id) REFERENCES sources (owner, id)
);
CREATE INDEX snapshots_in_time ON snapshots (owner, source_id, adopted_at);
CREATE INDEX snapshots_in_force ON snapshots (superseded_at);

CREATE TABLE channel_matches (
    tenant_id BYTEA NOT NULL,
    channel_config BYTEA NOT NULL,
    stanza BIGINT NOT NULL,
    source_owner BYTEA NOT NULL,
    source_id BYTEA NOT NULL,
    PRIMARY KEY (tenant_id, channel_config, stanza, source_owner, source_id),
    FOREIGN KEY (tenant_id, channel_config) REFERENCES documents (tenant_id, digest),
    FOREIGN KEY (source_owner, source_id) REFERENCES sources (owner, id)
);
CREATE INDEX channel_matches_by_source ON channel_matches (source_owner, source_id);

CREATE TABLE updates (
    owner BYTEA NOT NULL,
    id BYTEA NOT NULL,
    origin TEXT COLLATE "C" NOT NULL,
    signing_keys TEXT COLLATE "C" NOT NULL,
    source TEXT COLLATE "C" NOT NULL,
    source_version TEXT COLLATE "C" NOT NULL,
    build TEXT COLLATE "C" NOT NULL,
    classification TEXT COLLATE "C" NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    first_seen_at BIGINT NOT NULL,
    withdrawn_at BIGINT,
    PRIMARY KEY (owner, id),
    UNIQUE (owner, source, source_version, build, origin, signing_keys)
);
CREATE INDEX updates_by_classification ON updates (owner, classification, id);
CREATE INDEX updates_by_package ON updates (owner, source, id);
CREATE INDEX updates_by_state ON updates (owner, state, id);

CREATE TABLE listings (
    owner BYTEA NOT NULL,
    update_id BYTEA NOT NULL,
    source_owner BYTEA NOT NULL,
    source_id BYTEA NOT NULL,
    component TEXT COLLATE "C" NOT NULL,
    architecture TEXT COLLATE "C" NOT NULL,
    suite TEXT COLLATE "C" NOT NULL,
    first_snapshot BYTEA NOT NULL,
    listed_at BIGINT NOT NULL,
    delisted_at BIGINT NOT NULL,
    PRIMARY KEY (owner, update_id, source_owner, source_id, component, architecture, listed_at),
    FOREIGN KEY (owner, update_id) REFERENCES updates (owner, id),
    FOREIGN KEY (source_owner, source_id) REFERENCES sources (owner, id)
);
CREATE INDEX listings_by_source ON listings (source_owner, source_id, update_id, delisted_at);
