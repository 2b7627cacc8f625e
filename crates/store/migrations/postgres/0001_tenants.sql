-- Tenants and their sites; the server's own settings, lives and leases.

CREATE TABLE tenants (
    id BYTEA NOT NULL PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL UNIQUE,
    state TEXT COLLATE "C" NOT NULL,
    next_host_no BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    version BIGINT NOT NULL
);

CREATE TABLE sites (
    tenant_id BYTEA NOT NULL REFERENCES tenants (id),
    id BYTEA NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, name)
);

CREATE TABLE server_settings (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value TEXT COLLATE "C" NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL
);

CREATE TABLE epochs (
    number BIGINT NOT NULL PRIMARY KEY,
    id BYTEA NOT NULL UNIQUE,
    started_at BIGINT NOT NULL,
    reason TEXT COLLATE "C" NOT NULL,
    order_floor BIGINT NOT NULL
);

CREATE TABLE leases (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    holder BYTEA NOT NULL,
    fencing BIGINT NOT NULL,
    until BIGINT NOT NULL,
    used_at BIGINT NOT NULL
);
