//! Which members of the API's answers people see, list by list.

use super::table::{Column, Shape, column, text};

/// `host list`
pub const HOSTS: &[Column] = &[
    text("host", "/name"),
    text("site", "/site_name"),
    column("standing", "/standing", Shape::Standing),
    column("missing", "/missing", Shape::Count),
    column("security", "/missing_security", Shape::Count),
    column("state", "/state", Shape::Standing),
    text("mode", "/mode"),
    column("seen", "/seen_at", Shape::Ago),
];

/// `host show`
pub const HOST: &[Column] = &[
    text("host", "/name"),
    text("id", "/id"),
    text("site", "/site_name"),
    column("state", "/state", Shape::Standing),
    column("standing", "/standing", Shape::Standing),
    column("missing", "/missing", Shape::Count),
    column("security", "/missing_security", Shape::Count),
    text("system", "/facts/system/os_name"),
    text("kernel", "/facts/kernel/running"),
    text("virtualisation", "/facts/virtualisation"),
    text("mode", "/mode"),
    text("agent", "/agent_version"),
    text("tags", "/tags"),
    column("seen", "/seen_at", Shape::Ago),
    column("enrolled", "/enrolled_at", Shape::Moment),
];

/// `host packages`
pub const PACKAGES: &[Column] = &[
    text("package", "/name"),
    text("architecture", "/architecture"),
    text("version", "/version"),
    text("source", "/source"),
];

/// `host history`
pub const HISTORY: &[Column] = &[
    column("received", "/received_at", Shape::Moment),
    column("observed", "/observed_at", Shape::Moment),
    text("what", "/kind"),
    text("digest", "/digest"),
];

/// `host findings`
pub const HOST_FINDINGS: &[Column] = &[
    column("classification", "/classification", Shape::Standing),
    text("package", "/name"),
    text("source", "/source"),
    text("installed", "/installed"),
    text("available", "/available"),
    text("state", "/state"),
    text("reason", "/reason"),
];

/// `finding list`
pub const FINDINGS: &[Column] = &[
    column("classification", "/classification", Shape::Standing),
    text("source", "/source"),
    text("version", "/source_version"),
    column("hosts", "/hosts", Shape::Count),
    text("update", "/id"),
];

/// `update list`
pub const UPDATES: &[Column] = &[
    column("classification", "/classification", Shape::Standing),
    text("source", "/source"),
    text("version", "/source_version"),
    column("hosts", "/hosts", Shape::Count),
    text("publisher", "/origin"),
    column("first seen", "/first_seen_at", Shape::Ago),
    text("id", "/id"),
];

/// `update hosts`, `at-risk`
pub const CONCERNED: &[Column] = &[
    text("host", "/name"),
    text("site", "/site_name"),
    column("standing", "/standing", Shape::Standing),
    column("seen", "/seen_at", Shape::Ago),
];

/// `source list`
pub const SOURCES: &[Column] = &[
    text("source", "/name"),
    text("suite", "/codename"),
    column("state", "/state", Shape::Standing),
    column("synced", "/last_success_at", Shape::Ago),
    column("next", "/next_sync_at", Shape::Ago),
    text("problem", "/last_outcome/failure"),
    text("id", "/id"),
];

/// `source show`
pub const SOURCE: &[Column] = &[
    text("source", "/name"),
    text("id", "/id"),
    column("state", "/state", Shape::Standing),
    text("origin", "/origin"),
    text("label", "/label"),
    text("codename", "/codename"),
    text("components", "/components"),
    text("architectures", "/architectures"),
    text("addresses", "/addresses"),
    text("keys", "/keys"),
    column("tried", "/last_sync_at", Shape::Ago),
    column("synced", "/last_success_at", Shape::Ago),
    text("problem", "/last_outcome/failure"),
];

/// `tenant list`
pub const TENANTS: &[Column] = &[
    text("tenant", "/name"),
    column("state", "/state", Shape::Standing),
    text("id", "/id"),
];

/// `site list`
pub const SITES: &[Column] = &[text("site", "/name"), text("id", "/id")];

/// `user list`
pub const USERS: &[Column] = &[
    text("user", "/name"),
    column("state", "/state", Shape::Standing),
    text("second factor", "/has_second_factor"),
    text("id", "/id"),
];

/// `token list`
pub const TOKENS: &[Column] = &[
    text("token", "/name"),
    column("expires", "/expires_at", Shape::Ago),
    text("may", "/permissions"),
    text("id", "/id"),
];

/// `audit list`
pub const AUDIT: &[Column] = &[
    column("when", "/at", Shape::Moment),
    text("who", "/actor_kind"),
    text("what", "/action"),
    text("of", "/noun"),
    text("which", "/noun_id"),
];

/// `storage show`
pub const STORAGE: &[Column] = &[
    text("what", "/cause"),
    column("takes", "/bytes", Shape::Bytes),
    column("a day", "/growth_bytes_per_day", Shape::Bytes),
];
