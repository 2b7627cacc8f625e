-- Hosts: who they are, what they last said, and what they said before.

CREATE TABLE hosts (
    tenant_id BYTEA NOT NULL REFERENCES tenants (id),
    id BYTEA NOT NULL,
    host_no BIGINT NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    site_id BYTEA NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    mode TEXT COLLATE "C" NOT NULL,
    agent_version TEXT COLLATE "C" NOT NULL,
    machine BYTEA,
    inventory BYTEA,
    channel_config BYTEA,
    facts BYTEA,
    standing TEXT COLLATE "C" NOT NULL,
    moved_from BYTEA,
    copy_of BYTEA,
    enrolled_at BIGINT NOT NULL,
    retired_at BIGINT,
    version BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, host_no),
    FOREIGN KEY (tenant_id, site_id) REFERENCES sites (tenant_id, id)
);
-- What a list asks of every host stands at the end of each index, so that its page is found without looking at rows.
CREATE INDEX hosts_by_name ON hosts (tenant_id, name, id, state, host_no);
CREATE INDEX hosts_by_site ON hosts (tenant_id, site_id, name, id, state, host_no);
CREATE INDEX hosts_by_state ON hosts (tenant_id, state, name, id, host_no);
CREATE INDEX hosts_by_standing ON hosts (tenant_id, standing, name, id, state, host_no);
CREATE INDEX hosts_by_mode ON hosts (tenant_id, mode, name, id, state, host_no);
CREATE INDEX hosts_by_machine ON hosts (tenant_id, machine) WHERE machine IS NOT NULL;
CREATE INDEX hosts_by_inventory ON hosts (tenant_id, inventory) WHERE inventory IS NOT NULL;

CREATE TABLE host_tags (
    tenant_id BYTEA NOT NULL,
    tag TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    host_id BYTEA NOT NULL,
    PRIMARY KEY (tenant_id, tag, name, host_id),
    FOREIGN KEY (tenant_id, host_id) REFERENCES hosts (tenant_id, id)
);
CREATE INDEX host_tags_by_host ON host_tags (tenant_id, host_id, tag);

CREATE TABLE agent_keys (
    key_id BYTEA NOT NULL PRIMARY KEY,
    tenant_id BYTEA NOT NULL,
    host_id BYTEA NOT NULL,
    public_key BYTEA NOT NULL,
    certificate_not_after BIGINT NOT NULL,
    issued_at BIGINT NOT NULL,
    revoked_at BIGINT,
    revoked_because TEXT COLLATE "C",
    FOREIGN KEY (tenant_id, host_id) REFERENCES hosts (tenant_id, id)
);
CREATE INDEX agent_keys_by_host ON agent_keys (tenant_id, host_id);

CREATE TABLE agent_chains (
    tenant_id BYTEA NOT NULL,
    host_id BYTEA NOT NULL,
    issued BIGINT NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    advanced_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, host_id),
    FOREIGN KEY (tenant_id, host_id) REFERENCES hosts (tenant_id, id)
);

CREATE TABLE liveness (
    tenant_id BYTEA NOT NULL,
    host_id BYTEA NOT NULL,
    seen_at BIGINT NOT NULL,
    next_expected_at BIGINT NOT NULL,
    address TEXT COLLATE "C" NOT NULL,
    boot_id BYTEA,
    measures TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, host_id),
    FOREIGN KEY (tenant_id, host_id) REFERENCES hosts (tenant_id, id)
);

CREATE INDEX liveness_by_due ON liveness (tenant_id, next_expected_at, host_id);

CREATE TABLE documents (
    tenant_id BYTEA NOT NULL REFERENCES tenants (id),
    digest BYTEA NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    encoding TEXT COLLATE "C" NOT NULL,
    size_bytes BIGINT NOT NULL,
    bytes BYTEA NOT NULL,
    received_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, digest)
);

-- They are packed already where that helps: trying again costs time with each of them.
ALTER TABLE documents ALTER COLUMN bytes SET STORAGE EXTERNAL;

CREATE TABLE host_documents (
    tenant_id BYTEA NOT NULL,
    host_id BYTEA NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    received_at BIGINT NOT NULL,
    digest BYTEA NOT NULL,
    observed_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, host_id, kind, received_at, digest),
    FOREIGN KEY (tenant_id, host_id) REFERENCES hosts (tenant_id, id),
    FOREIGN KEY (tenant_id, digest) REFERENCES documents (tenant_id, digest)
);
CREATE INDEX host_documents_by_digest ON host_documents (tenant_id, digest);

CREATE TABLE document_uses (
    tenant_id BYTEA NOT NULL,
    used_by BYTEA NOT NULL,
    digest BYTEA NOT NULL,
    PRIMARY KEY (tenant_id, used_by, digest),
    FOREIGN KEY (tenant_id, used_by) REFERENCES documents (tenant_id, digest),
    FOREIGN KEY (tenant_id, digest) REFERENCES documents (tenant_id, digest)
);
CREATE INDEX document_uses_by_digest ON document_uses (tenant_id, digest);
