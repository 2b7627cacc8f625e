-- People and programs: who may log in, what they may do, by which tokens hosts enrol.

CREATE TABLE users (
    id BLOB NOT NULL PRIMARY KEY,
    owner BLOB NOT NULL,
    name TEXT NOT NULL UNIQUE,
    display_name TEXT NOT NULL,
    state TEXT NOT NULL,
    password_hash TEXT,
    totp_sealed BLOB,
    totp_last_step INTEGER,
    failures INTEGER NOT NULL,
    last_failure_at INTEGER,
    created_at INTEGER NOT NULL,
    version INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX users_by_owner ON users (owner, name, id);

CREATE TABLE roles (
    owner BLOB NOT NULL,
    id BLOB NOT NULL,
    name TEXT NOT NULL,
    permissions TEXT NOT NULL,
    is_built_in INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (owner, id),
    UNIQUE (owner, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE role_grants (
    id BLOB NOT NULL PRIMARY KEY,
    owner BLOB NOT NULL,
    user_id BLOB NOT NULL REFERENCES users (id),
    role_owner BLOB NOT NULL,
    role_id BLOB NOT NULL,
    site_id BLOB,
    granted_by BLOB,
    granted_at INTEGER NOT NULL,
    FOREIGN KEY (role_owner, role_id) REFERENCES roles (owner, id),
    FOREIGN KEY (owner, site_id) REFERENCES sites (tenant_id, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX role_grants_by_user ON role_grants (user_id);
CREATE INDEX role_grants_by_owner ON role_grants (owner, id);
CREATE INDEX role_grants_by_role ON role_grants (role_owner, role_id);

CREATE TABLE sessions (
    secret_hash BLOB NOT NULL PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    user_id BLOB NOT NULL REFERENCES users (id),
    created_at INTEGER NOT NULL,
    used_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    second_factor_at INTEGER,
    address TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_end ON sessions (expires_at);

CREATE TABLE tokens (
    id BLOB NOT NULL PRIMARY KEY,
    owner BLOB NOT NULL,
    secret_hash BLOB NOT NULL UNIQUE,
    name TEXT NOT NULL,
    made_by BLOB REFERENCES users (id),
    permissions TEXT NOT NULL,
    site_id BLOB,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    used_at INTEGER,
    revoked_at INTEGER,
    version INTEGER NOT NULL,
    FOREIGN KEY (owner, site_id) REFERENCES sites (tenant_id, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX tokens_by_owner ON tokens (owner, name, id);

CREATE TABLE login_links (
    secret_hash BLOB NOT NULL PRIMARY KEY,
    user_id BLOB REFERENCES users (id),
    made_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE enrolment_tokens (
    tenant_id BLOB NOT NULL,
    id BLOB NOT NULL,
    secret_hash BLOB NOT NULL UNIQUE,
    site_id BLOB NOT NULL,
    name TEXT NOT NULL,
    admits TEXT NOT NULL,
    uses_left INTEGER NOT NULL,
    made_by BLOB,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER,
    version INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, site_id) REFERENCES sites (tenant_id, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE enrolment_token_uses (
    tenant_id BLOB NOT NULL,
    token_id BLOB NOT NULL,
    request BLOB NOT NULL,
    host_id BLOB NOT NULL,
    used_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, token_id, request),
    FOREIGN KEY (tenant_id, token_id) REFERENCES enrolment_tokens (tenant_id, id),
    FOREIGN KEY (tenant_id, host_id) REFERENCES hosts (tenant_id, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE idempotency_keys (
    owner BLOB NOT NULL,
    principal BLOB NOT NULL,
    name TEXT NOT NULL,
    request_digest BLOB NOT NULL,
    status INTEGER NOT NULL,
    answer BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (owner, principal, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

-- Records: what was done to the server and its tenants, chained by a sealer; personal data stand apart and can be erased.

CREATE TABLE audit_records (
    owner BLOB NOT NULL,
    id BLOB NOT NULL,
    at INTEGER NOT NULL,
    actor_kind TEXT NOT NULL,
    actor_id BLOB,
    action TEXT NOT NULL,
    noun TEXT NOT NULL,
    noun_id BLOB,
    body TEXT NOT NULL,
    personal_hash BLOB,
    number INTEGER,
    chain_hash BLOB,
    sealed_at INTEGER,
    PRIMARY KEY (owner, id),
    UNIQUE (owner, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX audit_records_unsealed ON audit_records (owner, id) WHERE number IS NULL;
CREATE INDEX audit_records_by_noun ON audit_records (owner, noun, noun_id, id);

CREATE TABLE audit_personal (
    owner BLOB NOT NULL,
    record_id BLOB NOT NULL,
    salt BLOB NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (owner, record_id),
    FOREIGN KEY (owner, record_id) REFERENCES audit_records (owner, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit_checkpoints (
    number INTEGER NOT NULL PRIMARY KEY,
    at INTEGER NOT NULL,
    heads TEXT NOT NULL,
    key_id BLOB NOT NULL,
    signature BLOB NOT NULL
) STRICT;
