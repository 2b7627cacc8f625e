-- What people approved, and what becomes of it on each host. What is wanted and what is seen never share a column.

CREATE TABLE approval_policies (
    tenant_id BYTEA NOT NULL PRIMARY KEY REFERENCES tenants (id),
    approvers TEXT COLLATE "C" NOT NULL,
    needed BIGINT NOT NULL,
    version BIGINT NOT NULL
);

-- Counts what was decided about a tenant's changes: a plan is carried out only while the number is the one it was made for.
CREATE TABLE plan_generations (
    tenant_id BYTEA NOT NULL PRIMARY KEY REFERENCES tenants (id),
    number BIGINT NOT NULL
);

CREATE TABLE changes (
    tenant_id BYTEA NOT NULL REFERENCES tenants (id),
    id BYTEA NOT NULL,
    reason TEXT COLLATE "C" NOT NULL,
    approval BYTEA NOT NULL,
    approved BYTEA NOT NULL,
    needed BIGINT NOT NULL,
    opens BIGINT NOT NULL,
    closes BIGINT NOT NULL,
    at_once BIGINT NOT NULL,
    made_by BYTEA,
    created_at BIGINT NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    staging TEXT COLLATE "C" NOT NULL,
    staging_detail TEXT COLLATE "C" NOT NULL,
    finished_at BIGINT,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX changes_unfinished ON changes (tenant_id, id) WHERE finished_at IS NULL;

CREATE TABLE change_signatures (
    tenant_id BYTEA NOT NULL,
    change_id BYTEA NOT NULL,
    key_id BYTEA NOT NULL,
    signature BYTEA NOT NULL,
    signed_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, change_id, key_id),
    FOREIGN KEY (tenant_id, change_id) REFERENCES changes (tenant_id, id)
);

-- What many hosts would take alike, by the digest of its text.
CREATE TABLE transactions (
    tenant_id BYTEA NOT NULL REFERENCES tenants (id),
    digest BYTEA NOT NULL,
    body TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, digest)
);

CREATE TABLE deployments (
    tenant_id BYTEA NOT NULL,
    id BYTEA NOT NULL,
    change_id BYTEA NOT NULL,
    host_id BYTEA NOT NULL,
    intent TEXT COLLATE "C" NOT NULL,
    order_number BIGINT,
    version BIGINT NOT NULL,
    need TEXT COLLATE "C" NOT NULL,
    need_detail TEXT COLLATE "C" NOT NULL,
    transaction_digest BYTEA,
    inventory BYTEA,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, change_id, host_id),
    FOREIGN KEY (tenant_id, change_id) REFERENCES changes (tenant_id, id),
    FOREIGN KEY (tenant_id, host_id) REFERENCES hosts (tenant_id, id),
    FOREIGN KEY (tenant_id, transaction_digest) REFERENCES transactions (tenant_id, digest)
);
CREATE INDEX deployments_by_host ON deployments (tenant_id, host_id);
CREATE INDEX deployments_by_transaction ON deployments (tenant_id, transaction_digest);

CREATE TABLE orders (
    tenant_id BYTEA NOT NULL,
    number BIGINT NOT NULL,
    deployment_id BYTEA NOT NULL,
    host_id BYTEA NOT NULL,
    digest BYTEA NOT NULL,
    bundle BYTEA NOT NULL,
    bundle_bytes BIGINT NOT NULL,
    made_at BIGINT NOT NULL,
    withdrawn_at BIGINT,
    may_begin_until BIGINT,
    stage TEXT COLLATE "C" NOT NULL,
    failure TEXT COLLATE "C",
    since BIGINT,
    detail TEXT COLLATE "C" NOT NULL,
    last_line TEXT COLLATE "C" NOT NULL,
    output BYTEA,
    fetch_millis BIGINT NOT NULL,
    install_millis BIGINT NOT NULL,
    fetched_bytes BIGINT NOT NULL,
    reported_at BIGINT,
    ended_at BIGINT,
    PRIMARY KEY (tenant_id, number),
    FOREIGN KEY (tenant_id, deployment_id) REFERENCES deployments (tenant_id, id)
);
CREATE UNIQUE INDEX orders_by_digest ON orders (tenant_id, digest);
CREATE INDEX orders_by_deployment ON orders (tenant_id, deployment_id, number);
CREATE INDEX orders_by_output ON orders (tenant_id, output) WHERE output IS NOT NULL;
CREATE INDEX orders_open ON orders (tenant_id, host_id) WHERE ended_at IS NULL;

CREATE TABLE order_stages (
    tenant_id BYTEA NOT NULL,
    number BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    stage TEXT COLLATE "C" NOT NULL,
    since BIGINT NOT NULL,
    detail TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, number, received_at, stage),
    FOREIGN KEY (tenant_id, number) REFERENCES orders (tenant_id, number)
);
