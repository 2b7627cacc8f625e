-- What people approved, and what becomes of it on each host. What is wanted and what is seen never share a column.

CREATE TABLE approval_policies (
    tenant_id BLOB NOT NULL PRIMARY KEY REFERENCES tenants (id),
    approvers TEXT NOT NULL,
    needed INTEGER NOT NULL,
    version INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Counts what was decided about a tenant's changes: a plan is carried out only while the number is the one it was made for.
CREATE TABLE plan_generations (
    tenant_id BLOB NOT NULL PRIMARY KEY REFERENCES tenants (id),
    number INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE changes (
    tenant_id BLOB NOT NULL REFERENCES tenants (id),
    id BLOB NOT NULL,
    reason TEXT NOT NULL,
    approval BLOB NOT NULL,
    approved BLOB NOT NULL,
    needed INTEGER NOT NULL,
    opens INTEGER NOT NULL,
    closes INTEGER NOT NULL,
    at_once INTEGER NOT NULL,
    made_by BLOB,
    created_at INTEGER NOT NULL,
    state TEXT NOT NULL,
    version INTEGER NOT NULL,
    staging TEXT NOT NULL,
    staging_detail TEXT NOT NULL,
    finished_at INTEGER,
    PRIMARY KEY (tenant_id, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX changes_unfinished ON changes (tenant_id, id) WHERE finished_at IS NULL;

CREATE TABLE change_signatures (
    tenant_id BLOB NOT NULL,
    change_id BLOB NOT NULL,
    key_id BLOB NOT NULL,
    signature BLOB NOT NULL,
    signed_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, change_id, key_id),
    FOREIGN KEY (tenant_id, change_id) REFERENCES changes (tenant_id, id)
) STRICT, WITHOUT ROWID;

-- What many hosts would take alike, by the digest of its text.
CREATE TABLE transactions (
    tenant_id BLOB NOT NULL REFERENCES tenants (id),
    digest BLOB NOT NULL,
    body TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, digest)
) STRICT;

CREATE TABLE deployments (
    tenant_id BLOB NOT NULL,
    id BLOB NOT NULL,
    change_id BLOB NOT NULL,
    host_id BLOB NOT NULL,
    intent TEXT NOT NULL,
    order_number INTEGER,
    version INTEGER NOT NULL,
    need TEXT NOT NULL,
    need_detail TEXT NOT NULL,
    transaction_digest BLOB,
    inventory BLOB,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, change_id, host_id),
    FOREIGN KEY (tenant_id, change_id) REFERENCES changes (tenant_id, id),
    FOREIGN KEY (tenant_id, host_id) REFERENCES hosts (tenant_id, id),
    FOREIGN KEY (tenant_id, transaction_digest) REFERENCES transactions (tenant_id, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX deployments_by_host ON deployments (tenant_id, host_id);
CREATE INDEX deployments_by_transaction ON deployments (tenant_id, transaction_digest);

CREATE TABLE orders (
    tenant_id BLOB NOT NULL,
    number INTEGER NOT NULL,
    deployment_id BLOB NOT NULL,
    host_id BLOB NOT NULL,
    digest BLOB NOT NULL,
    bundle BLOB NOT NULL,
    bundle_bytes INTEGER NOT NULL,
    made_at INTEGER NOT NULL,
    withdrawn_at INTEGER,
    may_begin_until INTEGER,
    stage TEXT NOT NULL,
    failure TEXT,
    since INTEGER,
    detail TEXT NOT NULL,
    last_line TEXT NOT NULL,
    output BLOB,
    fetch_millis INTEGER NOT NULL,
    install_millis INTEGER NOT NULL,
    fetched_bytes INTEGER NOT NULL,
    reported_at INTEGER,
    ended_at INTEGER,
    PRIMARY KEY (tenant_id, number),
    FOREIGN KEY (tenant_id, deployment_id) REFERENCES deployments (tenant_id, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX orders_by_digest ON orders (tenant_id, digest);
CREATE INDEX orders_by_deployment ON orders (tenant_id, deployment_id, number);
CREATE INDEX orders_by_output ON orders (tenant_id, output) WHERE output IS NOT NULL;
CREATE INDEX orders_open ON orders (tenant_id, host_id) WHERE ended_at IS NULL;

CREATE TABLE order_stages (
    tenant_id BLOB NOT NULL,
    number INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    stage TEXT NOT NULL,
    since INTEGER NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (tenant_id, number, received_at, stage),
    FOREIGN KEY (tenant_id, number) REFERENCES orders (tenant_id, number)
) STRICT, WITHOUT ROWID;
