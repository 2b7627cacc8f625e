-- Hosts: who they are, what they last said, and what they said before.

CREATE TABLE hosts (
    tenant_id BLOB NOT NULL REFERENCES tenants (id),
    id BLOB NOT NULL,
    host_no INTEGER NOT NULL,
    name TEXT NOT NULL,
    site_id BLOB NOT NULL,
    state TEXT NOT NULL,
    mode TEXT NOT NULL,
    agent_version TEXT NOT NULL,
    machine BLOB,
    inventory BLOB,
    channel_config BLOB,
    facts BLOB,
    standing TEXT NOT NULL,
    moved_from BLOB,
    copy_of BLOB,
    enrolled_at INTEGER NOT NULL,
    retired_at INTEGER,
    version INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, host_no),
    FOREIGN KEY (tenant_id, site_id) REFERENCES sites (tenant_id, id)
) STRICT, WITHOUT ROWID;
-- What a list asks of every host stands at the end of each index, so that its page is found without looking at rows.
CREATE INDEX hosts_by_name ON hosts (tenant_id, name, id, state, host_no);
CREATE INDEX hosts_by_site ON hosts (tenant_id, site_id, name, id, state, host_no);
CREATE INDEX hosts_by_state ON hosts (tenant_id, state, name, id, host_no);
CREATE INDEX hosts_by_standing ON hosts (tenant_id, standing, name, id, state, host_no);
CREATE INDEX hosts_by_mode ON hosts (tenant_id, mode, name, id, state, host_no);
CREATE INDEX hosts_by_machine ON hosts (tenant_id, machine) WHERE machine IS NOT NULL;
CREATE INDEX hosts_by_inventory ON hosts (tenant_id, inventory) WHERE inventory IS NOT NULL;

CREATE TABLE host_tags (
    tenant_id BLOB NOT NULL,
    tag TEXT NOT NULL,
    name TEXT NOT NULL,
    host_id BLOB NOT NULL,
    PRIMARY KEY (tenant_id, tag, name, host_id),
    FOREIGN KEY (tenant_id, host_id) REFERENCES hosts (tenant_id, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX host_tags_by_host ON host_tags (tenant_id, host_id, tag);

CREATE TABLE agent_keys (
    key_id BLOB NOT NULL PRIMARY KEY,
    tenant_id BLOB NOT NULL,
    host_id BLOB NOT NULL,
    public_key BLOB NOT NULL,
    certificate_not_after INTEGER NOT NULL,
    issued_at INTEGER NOT NULL,
    revoked_at INTEGER,
    revoked_because TEXT,
    FOREIGN KEY (tenant_id, host_id) REFERENCES hosts (tenant_id, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX agent_keys_by_host ON agent_keys (tenant_id, host_id);

CREATE TABLE agent_chains (
    tenant_id BLOB NOT NULL,
    host_id BLOB NOT NULL,
    issued INTEGER NOT NULL,
    state TEXT NOT NULL,
    advanced_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, host_id),
    FOREIGN KEY (tenant_id, host_id) REFERENCES hosts (tenant_id, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE liveness (
    tenant_id BLOB NOT NULL,
    host_id BLOB NOT NULL,
    seen_at INTEGER NOT NULL,
    next_expected_at INTEGER NOT NULL,
    address TEXT NOT NULL,
    boot_id BLOB,
    measures TEXT NOT NULL,
    PRIMARY KEY (tenant_id, host_id),
    FOREIGN KEY (tenant_id, host_id) REFERENCES hosts (tenant_id, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX liveness_by_due ON liveness (tenant_id, next_expected_at, host_id);

CREATE TABLE documents (
    tenant_id BLOB NOT NULL REFERENCES tenants (id),
    digest BLOB NOT NULL,
    kind TEXT NOT NULL,
    encoding TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    bytes BLOB NOT NULL,
    received_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, digest)
) STRICT;

CREATE TABLE host_documents (
    tenant_id BLOB NOT NULL,
    host_id BLOB NOT NULL,
    kind TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    digest BLOB NOT NULL,
    observed_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, host_id, kind, received_at, digest),
    FOREIGN KEY (tenant_id, host_id) REFERENCES hosts (tenant_id, id),
    FOREIGN KEY (tenant_id, digest) REFERENCES documents (tenant_id, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX host_documents_by_digest ON host_documents (tenant_id, digest);

CREATE TABLE document_uses (
    tenant_id BLOB NOT NULL,
    used_by BLOB NOT NULL,
    digest BLOB NOT NULL,
    PRIMARY KEY (tenant_id, used_by, digest),
    FOREIGN KEY (tenant_id, used_by) REFERENCES documents (tenant_id, digest),
    FOREIGN KEY (tenant_id, digest) REFERENCES documents (tenant_id, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX document_uses_by_digest ON document_uses (tenant_id, digest);
