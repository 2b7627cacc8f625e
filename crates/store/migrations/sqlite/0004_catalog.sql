-- Packages that hosts have; sources, what they published, and which of them hosts use.

CREATE TABLE packages (
    id INTEGER NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    architecture TEXT NOT NULL,
    version TEXT NOT NULL,
    source TEXT NOT NULL,
    source_version TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    UNIQUE (name, architecture, version, source, source_version, fingerprint)
) STRICT;
CREATE INDEX packages_by_source ON packages (source, source_version);

CREATE TABLE inventory_packages (
    tenant_id BLOB NOT NULL,
    digest BLOB NOT NULL,
    packages BLOB NOT NULL,
    size INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, digest),
    FOREIGN KEY (tenant_id, digest) REFERENCES documents (tenant_id, digest)
) STRICT;

CREATE TABLE host_changes (
    tenant_id BLOB NOT NULL,
    host_id BLOB NOT NULL,
    number INTEGER NOT NULL,
    observed_at INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    action TEXT NOT NULL,
    package TEXT NOT NULL,
    architecture TEXT NOT NULL,
    version_before TEXT,
    version_after TEXT,
    changed_by TEXT NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (tenant_id, host_id, number),
    FOREIGN KEY (tenant_id, host_id) REFERENCES hosts (tenant_id, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX host_changes_by_package ON host_changes (tenant_id, package, received_at);

CREATE TABLE sources (
    owner BLOB NOT NULL,
    id BLOB NOT NULL,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    name TEXT NOT NULL,
    identity TEXT NOT NULL,
    identity_digest BLOB NOT NULL,
    addresses TEXT NOT NULL,
    components TEXT NOT NULL,
    architectures TEXT NOT NULL,
    schedule TEXT NOT NULL,
    credentials_sealed BLOB,
    next_sync_at INTEGER,
    last_sync_at INTEGER,
    last_success_at INTEGER,
    last_outcome TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (owner, id),
    UNIQUE (owner, identity_digest)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX sources_by_id ON sources (id);
CREATE INDEX sources_by_due ON sources (state, next_sync_at);

CREATE TABLE snapshots (
    owner BLOB NOT NULL,
    source_id BLOB NOT NULL,
    id BLOB NOT NULL,
    digest BLOB NOT NULL,
    release TEXT NOT NULL,
    indexes TEXT NOT NULL,
    published_at INTEGER NOT NULL,
    valid_until INTEGER,
    adopted_at INTEGER NOT NULL,
    superseded_at INTEGER NOT NULL,
    derived_at INTEGER,
    PRIMARY KEY (owner, source_id, id),
    FOREIGN KEY (owner, source_id) REFERENCES sources (owner, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX snapshots_in_time ON snapshots (owner, source_id, adopted_at);
CREATE INDEX snapshots_in_force ON snapshots (superseded_at);

CREATE TABLE channel_matches (
    tenant_id BLOB NOT NULL,
    channel_config BLOB NOT NULL,
    stanza INTEGER NOT NULL,
    source_owner BLOB NOT NULL,
    source_id BLOB NOT NULL,
    PRIMARY KEY (tenant_id, channel_config, stanza, source_owner, source_id),
    FOREIGN KEY (tenant_id, channel_config) REFERENCES documents (tenant_id, digest),
    FOREIGN KEY (source_owner, source_id) REFERENCES sources (owner, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX channel_matches_by_source ON channel_matches (source_owner, source_id);

CREATE TABLE updates (
    owner BLOB NOT NULL,
    id BLOB NOT NULL,
    origin TEXT NOT NULL,
    signing_keys TEXT NOT NULL,
    source TEXT NOT NULL,
    source_version TEXT NOT NULL,
    build TEXT NOT NULL,
    classification TEXT NOT NULL,
    state TEXT NOT NULL,
    first_seen_at INTEGER NOT NULL,
    withdrawn_at INTEGER,
    PRIMARY KEY (owner, id),
    UNIQUE (owner, source, source_version, build, origin, signing_keys)
) STRICT, WITHOUT ROWID;
CREATE INDEX updates_by_classification ON updates (owner, classification, id);
CREATE INDEX updates_by_package ON updates (owner, source, id);
CREATE INDEX updates_by_state ON updates (owner, state, id);

CREATE TABLE listings (
    owner BLOB NOT NULL,
    update_id BLOB NOT NULL,
    source_owner BLOB NOT NULL,
    source_id BLOB NOT NULL,
    component TEXT NOT NULL,
    architecture TEXT NOT NULL,
    suite TEXT NOT NULL,
    first_snapshot BLOB NOT NULL,
    listed_at INTEGER NOT NULL,
    delisted_at INTEGER NOT NULL,
    PRIMARY KEY (owner, update_id, source_owner, source_id, component, architecture, listed_at),
    FOREIGN KEY (owner, update_id) REFERENCES updates (owner, id),
    FOREIGN KEY (source_owner, source_id) REFERENCES sources (owner, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX listings_by_source ON listings (source_owner, source_id, update_id, delisted_at);
