//! Which members of the API's answers people see, list by list.

use super::table::{Column, Shape, column, id, text};

/// `host list`
pub const HOSTS: &[Column] = &[
    text("host", "/name"),
    text("site", "/site_name"),
    column("standing", "/standing", Shape::Standing),
    column("missing", "/missing", Shape::Count),
    column("security", "/missing_security", Shape::Count),
    column("state", "/state", Shape::Standing),
    column("seen", "/seen_at", Shape::Ago),
    text("mode", "/mode").spare(),
];

/// `host show`
pub const HOST: &[Column] = &[
    text("host", "/name"),
    id("/id"),
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
    text("digest", "/digest").spare(),
];

/// `host changes`
pub const CHANGES: &[Column] = &[
    column("when", "/observed_at", Shape::Moment),
    text("by", "/changed_by"),
    text("action", "/action"),
    text("package", "/package"),
    text("architecture", "/architecture").spare(),
    text("before", "/version_before"),
    text("after", "/version_after"),
    text("how", "/detail"),
];

/// `coverage`
pub const GAPS: &[Column] = &[
    text("kind", "/kind"),
    text("what", "/what"),
    column("hosts", "/hosts", Shape::Count),
    text("why", "/why"),
    text("next step", "/next_step"),
];

/// `coverage --host`: its sources
pub const STANZAS: &[Column] = &[
    text("source", "/uri"),
    text("suite", "/suite"),
    column("state", "/state", Shape::Standing),
    text("why", "/why"),
    text("next step", "/next_step"),
];

/// `coverage --host`: its packages
pub const PACKAGE_GAPS: &[Column] = &[
    text("package", "/name"),
    text("architecture", "/architecture").spare(),
    text("version", "/version"),
    text("why", "/why"),
    text("next step", "/next_step"),
];

/// `host findings`
pub const HOST_FINDINGS: &[Column] = &[
    column("class", "/classification", Shape::Standing),
    text("package", "/name"),
    text("installed", "/installed"),
    text("available", "/available"),
    column("state", "/state", Shape::Standing),
    text("reason", "/reason").spare(),
    text("source", "/source").spare(),
];

/// `finding list`
pub const FINDINGS: &[Column] = &[
    column("class", "/classification", Shape::Standing),
    text("source", "/source"),
    text("version", "/source_version"),
    column("hosts", "/hosts", Shape::Count),
    id("/id").spare(),
];

/// `update list`
pub const UPDATES: &[Column] = &[
    column("class", "/classification", Shape::Standing),
    text("source", "/source"),
    text("version", "/source_version"),
    column("hosts", "/hosts", Shape::Count),
    text("publisher", "/origin"),
    column("first seen", "/first_seen_at", Shape::Ago),
    id("/id").spare(),
];

/// `update show`
pub const UPDATE: &[Column] = &[
    text("source", "/source"),
    text("version", "/source_version"),
    column("class", "/classification", Shape::Standing),
    column("state", "/state", Shape::Standing),
    column("hosts", "/hosts", Shape::Count),
    text("publisher", "/origin"),
    column("first seen", "/first_seen_at", Shape::Moment),
    column("withdrawn", "/withdrawn_at", Shape::Moment),
    id("/id"),
];

/// `finding explain --csv`
pub const SENTENCES: &[Column] = &[text("sentence", "")];

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
    text("problem", "/last_outcome/detail"),
    id("/id").spare(),
];

/// `source sync`
pub const SYNCED: &[Column] = &[
    text("source", "/name"),
    text("suite", "/codename"),
    column("tried", "/last_sync_at", Shape::Ago),
    column("synced", "/last_success_at", Shape::Ago),
    text("problem", "/last_outcome/detail"),
];

/// `source show`
pub const SOURCE: &[Column] = &[
    text("source", "/name"),
    id("/id"),
    column("state", "/state", Shape::Standing),
    text("origin", "/origin"),
    text("label", "/label"),
    text("codename", "/codename"),
    text("components", "/components"),
    text("architectures", "/architectures"),
    text("addresses", "/addresses"),
    text("fetched by", "/fetched_by"),
    text("credentials", "/has_credentials"),
    text("keys", "/keys"),
    column("tried", "/last_sync_at", Shape::Ago),
    column("synced", "/last_success_at", Shape::Ago),
    text("problem", "/last_outcome/detail"),
];

/// `tenant list`
pub const TENANTS: &[Column] = &[
    text("tenant", "/name"),
    column("state", "/state", Shape::Standing),
    id("/id"),
];

/// `site list`
pub const SITES: &[Column] = &[text("site", "/name"), id("/id")];

/// `user list`
pub const USERS: &[Column] = &[
    text("user", "/name"),
    column("state", "/state", Shape::Standing),
    text("second factor", "/has_second_factor"),
    id("/id"),
];

/// `token list`
pub const TOKENS: &[Column] = &[
    text("token", "/name"),
    column("expires", "/expires_at", Shape::Ago),
    column("last used", "/used_at", Shape::Ago),
    text("may", "/permissions"),
    id("/id").spare(),
];

/// `audit list`
pub const AUDIT: &[Column] = &[
    column("when", "/at", Shape::Moment),
    text("who", "/actor_kind"),
    text("what", "/action"),
    text("of", "/noun"),
    column("which", "/noun_id", Shape::Text).spare(),
];

/// `storage show`
pub const STORAGE: &[Column] = &[
    text("what", "/cause"),
    column("takes", "/bytes", Shape::Bytes),
    column("a day", "/growth_bytes_per_day", Shape::Bytes),
];

/// `change list`
pub const CHANGES_OF_HOSTS: &[Column] = &[
    column("begun", "/created_at", Shape::Ago),
    column("state", "/state", Shape::Standing),
    text("updates", "/updates"),
    column("hosts", "/hosts", Shape::Count),
    column("verified", "/totals/succeeded", Shape::Count),
    column("failed", "/totals/failed", Shape::Count),
    text("why", "/reason").spare(),
    id("/id"),
];

/// `change show`
pub const CHANGE: &[Column] = &[
    id("/id"),
    column("state", "/state", Shape::Standing),
    text("why", "/reason"),
    text("direction", "/direction"),
    text("updates", "/updates"),
    column("hosts", "/hosts", Shape::Count),
    column("verified", "/totals/succeeded", Shape::Count),
    column("not in effect", "/totals/not_in_effect", Shape::Count),
    column("underway", "/totals/underway", Shape::Count),
    column("failed", "/totals/failed", Shape::Count),
    text("needs mode", "/needs"),
    text("reboot", "/reboot/rule"),
    column("opens", "/opens", Shape::Moment),
    column("closes", "/closes", Shape::Moment),
    column("begun", "/created_at", Shape::Moment),
    text("files", "/staging"),
    text("not had", "/staging_detail"),
    column("signatures", "/signatures/have", Shape::Count),
    column("of", "/signatures/need", Shape::Count),
    text("approval", "/approval"),
];

/// `change approvers`
pub const APPROVAL_POLICY: &[Column] = &[
    column("signatures", "/needed", Shape::Count),
    text("approvers", "/approvers"),
];

/// `deployment list`, `change show`
pub const DEPLOYMENTS: &[Column] = &[
    text("host", "/name"),
    column("state", "/shown", Shape::Standing),
    text("waits for", "/waiting/sentence"),
    text("failure", "/failure"),
    text("next step", "/next_step"),
    column("heard", "/updated_at", Shape::Ago).spare(),
    id("/id"),
];

/// `deployment show`
pub const DEPLOYMENT: &[Column] = &[
    text("host", "/name"),
    id("/id"),
    text("change", "/change"),
    column("state", "/shown", Shape::Standing),
    text("waits for", "/waiting/sentence"),
    text("failure", "/failure"),
    text("because", "/detail"),
    text("next step", "/next_step"),
    text("last line", "/last_line"),
    text("no way back", "/without_way_back"),
    column("fetched", "/took/fetched_bytes", Shape::Bytes),
    column("ordered", "/ordered_at", Shape::Moment),
    column("heard", "/updated_at", Shape::Moment),
];

/// `deployment show`: its packages
pub const DEPLOYED: &[Column] = &[
    text("package", "/name"),
    text("architecture", "/architecture"),
    text("before", "/from"),
    text("after", "/version"),
    column("size", "/size_bytes", Shape::Bytes),
];

/// `deployment back-out`: what would come back
pub const BROUGHT_BACK: &[Column] = &[
    text("package", "/name"),
    text("architecture", "/architecture"),
    text("now", "/version"),
    text("then", "/from"),
];
