-- People and programs: who may log in, what they may do, by which tokens hosts enrol.

CREATE TABLE users (
    id BYTEA NOT NULL PRIMARY KEY,
    owner BYTEA NOT NULL,
    name TEXT COLLATE "C" NOT NULL UNIQUE,
    display_name TEXT COLLATE "C" NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    password_hash TEXT COLLATE "C",
    totp_sealed BYTEA,
    totp_last_step BIGINT,
    failures BIGINT NOT NULL,
    last_failure_at BIGINT,
    created_at BIGINT NOT NULL,
    version BIGINT NOT NULL
);
CREATE INDEX users_by_owner ON users (owner, name, id);

CREATE TABLE roles (
    owner BYTEA NOT NULL,
    id BYTEA NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    permissions TEXT COLLATE "C" NOT NULL,
    is_built_in BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (owner, id),
    UNIQUE (owner, name)
);

CREATE TABLE role_grants (
    id BYTEA NOT NULL PRIMARY KEY,
    owner BYTEA NOT NULL,
    user_id BYTEA NOT NULL REFERENCES users (id),
    role_owner BYTEA NOT NULL,
    role_id BYTEA NOT NULL,
    site_id BYTEA,
    granted_by BYTEA,
    granted_at BIGINT NOT NULL,
    FOREIGN KEY (role_owner, role_id) REFERENCES roles (owner, id),
    FOREIGN KEY (owner, site_id) REFERENCES sites (tenant_id, id)
);
CREATE INDEX role_grants_by_user ON role_grants (user_id);
CREATE INDEX role_grants_by_owner ON role_grants (owner, id);
CREATE INDEX role_grants_by_role ON role_grants (role_owner, role_id);

CREATE TABLE sessions (
    secret_hash BYTEA NOT NULL PRIMARY KEY,
    id BYTEA NOT NULL UNIQUE,
    user_id BYTEA NOT NULL REFERENCES users (id),
    created_at BIGINT NOT NULL,
    used_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    second_factor_at BIGINT,
    address TEXT COLLATE "C" NOT NULL
);
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_end ON sessions (expires_at);

CREATE TABLE tokens (
    id BYTEA NOT NULL PRIMARY KEY,
    owner BYTEA NOT NULL,
    secret_hash BYTEA NOT NULL UNIQUE,
    name TEXT COLLATE "C" NOT NULL,
    made_by BYTEA REFERENCES users (id),
    permissions TEXT COLLATE "C" NOT NULL,
    site_id BYTEA,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    used_at BIGINT,
    revoked_at BIGINT,
    version BIGINT NOT NULL,
    FOREIGN KEY (owner, site_id) REFERENCES sites (tenant_id, id)
);
CREATE INDEX tokens_by_owner ON tokens (owner, name, id);

CREATE TABLE login_links (
    secret_hash BYTEA NOT NULL PRIMARY KEY,
    user_id BYTEA REFERENCES users (id),
    made_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT
);

CREATE TABLE enrolment_tokens (
    tenant_id BYTEA NOT NULL,
    id BYTEA NOT NULL,
    secret_hash BYTEA NOT NULL UNIQUE,
    site_id BYTEA NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    admits TEXT COLLATE "C" NOT NULL,
    uses_left BIGINT NOT NULL,
    made_by BYTEA,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    revoked_at BIGINT,
    version BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, site_id) REFERENCES sites (tenant_id, id)
);

CREATE TABLE enrolment_token_uses (
    tenant_id BYTEA NOT NULL,
    token_id BYTEA NOT NULL,
    request BYTEA NOT NULL,
    host_id BYTEA NOT NULL,
    used_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, token_id, request),
    FOREIGN KEY (tenant_id, token_id) REFERENCES enrolment_tokens (tenant_id, id),
    FOREIGN KEY (tenant_id, host_id) REFERENCES hosts (tenant_id, id)
);

CREATE TABLE idempotency_keys (
    owner BYTEA NOT NULL,
    principal BYTEA NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    request_digest BYTEA NOT NULL,
    status BIGINT NOT NULL,
    answer BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (owner, principal, name)
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

-- Records: what was done to the server and its tenants, chained by a sealer; personal data stand apart and can be erased.

CREATE TABLE audit_records (
    owner BYTEA NOT NULL,
    id BYTEA NOT NULL,
    at BIGINT NOT NULL,
    actor_kind TEXT COLLATE "C" NOT NULL,
    actor_id BYTEA,
    action TEXT COLLATE "C" NOT NULL,
    noun TEXT COLLATE "C" NOT NULL,
    noun_id BYTEA,
    body TEXT COLLATE "C" NOT NULL,
    personal_hash BYTEA,
    number BIGINT,
    chain_hash BYTEA,
    sealed_at BIGINT,
    PRIMARY KEY (owner, id),
    UNIQUE (owner, number)
);
CREATE INDEX audit_records_unsealed ON audit_records (owner, id) WHERE number IS NULL;
CREATE INDEX audit_records_by_noun ON audit_records (owner, noun, noun_id, id);

CREATE TABLE audit_personal (
    owner BYTEA NOT NULL,
    record_id BYTEA NOT NULL,
    salt BYTEA NOT NULL,
    data TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (owner, record_id),
    FOREIGN KEY (owner, record_id) REFERENCES audit_records (owner, id)
);

CREATE TABLE audit_checkpoints (
    number BIGINT NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL,
    heads TEXT COLLATE "C" NOT NULL,
    key_id BYTEA NOT NULL,
    signature BYTEA NOT NULL
);
