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

/// `host changes`
pub const CHANGES: &[Column] = &[
    column("when", "/at", Shape::Moment),
    text("package", "/package"),
    text("from", "/from"),
    text("to", "/to"),
    text("by", "/by"),
];

/// `host findings`
pub const HOST_FINDINGS: &[Column] = &[
    column("classification", "/classification", Shape::Standing),
    text("source", "/source"),
    text("installed", "/installed"),
    text("available", "/available"),
    text("packages", "/packages"),
    text("state", "/state"),
];

/// `finding list`
pub const FINDINGS: &[Column] = &[
    text("host", "/host_name"),
    column("classification", "/classification", Shape::Standing),
    text("source", "/source"),
    text("available", "/source_version"),
    text("update", "/update"),
];

/// `update list`
pub const UPDATES: &[Column] = &[
    column("classification", "/classification", Shape::Standing),
    text("source", "/source"),
    text("version", "/source_version"),
    column("hosts", "/hosts", Shape::Count),
    text("publisher", "/publisher"),
    column("first seen", "/first_seen", Shape::Ago),
    text("id", "/id"),
];

/// `update hosts`, `at-risk`
pub const CONCERNED: &[Column] = &[
    text("host", "/name"),
    text("site", "/site_name"),
    text("packages", "/packages"),
    column("standing", "/standing", Shape::Standing),
];

/// `source list`
pub const SOURCES: &[Column] = &[
    text("source", "/name"),
    text("suite", "/suite"),
    column("state", "/state", Shape::Standing),
    column("hosts", "/hosts", Shape::Count),
    column("synced", "/synced_at", Shape::Ago),
    text("problem", "/problem"),
    text("id", "/id"),
];

/// `tenant list`
pub const TENANTS: &[Column] = &[text("tenant", "/name"), column("state", "/state", Shape::Standing), text("id", "/id")];

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
    column("used", "/last_used", Shape::Ago),
    text("id", "/id"),
];

/// `audit list`
pub const AUDIT: &[Column] = &[
    column("when", "/at", Shape::Moment),
    text("who", "/actor"),
    text("what", "/action"),
    text("subject", "/subject"),
];

/// `storage show`
pub const STORAGE: &[Column] = &[
    text("what", "/cause"),
    column("takes", "/bytes", Shape::Bytes),
    column("a day", "/growth_bytes_per_day", Shape::Bytes),
];
