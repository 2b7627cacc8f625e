//! One call of each function that takes a scope, on what the world's tenant has.

use super::Seen;
use super::world::{
    CHANNELS, INVENTORY, KEY_FILE, UNUSED, World, a_change, a_chunk, a_deployment, a_grant, a_need, a_record,
    a_report, a_rollout_change, a_token, an_enrolment_token, an_order, change_id, covered, deployment_id,
    enrolment_token_id, grant_id, had, key_id, machine, record_id, request, role_id, snapshot_id, token_id,
    validity,
};
use crate::catalog::{a_source, source_id, update_key};
use crate::engines::{at, digest, host_id, new_host, site_id};
use crate::packages::a_document;
use crate::people::user_id;
use domain::assess::fleet::{ChunkNo, Counts, HostNo, PackageId};
use domain::id::{ChangeId, KeyId, RoleId, SiteId, UserId};
use store::audit::RecordFilter;
use store::channel_match::ChannelMatch;
use store::content_grant::GrantReason;
use store::deployment::Intent;
use store::document::DocumentKind;
use store::enrolment_token::Spent;
use store::host::{CountsBlock, HostEdit, HostFilter, HostMode, HostStanding, HostState, Observed, Standing};
use store::order::OrderStage;
use store::rollout_change::{ChangeSignature, ChangeStaging, ChangeState};
use store::source::SourceState;
use store::update::UpdateFilter;
use store::user::{UserEdit, UserState};
use store::{
    Change, Error, Scope, Tx, acquisition, agent_chain, agent_key, audit, channel_match, content_grant,
    coverage, deployment, document, enrolment_token, finding, host, host_change, host_document,
    inventory_package, liveness, order, role, rollout_change, site, snapshot, source, tenant, token, update,
    user,
};

type Run = fn(&mut Tx, &Scope, &World) -> Result<Seen, Error>;

/// A call.
pub struct Call {
    /// `module::function`.
    pub name: &'static str,
    /// Calls it, on what the world's tenant has.
    pub run: Run,
}

/// Whether what came back shows anything of the tenant.
trait Show {
    fn seen(&self) -> Seen;
}

fn something(is: bool) -> Seen {
    if is { Seen::Something } else { Seen::Nothing }
}

impl<T> Show for Option<T> {
    fn seen(&self) -> Seen {
        something(self.is_some())
    }
}
impl<T> Show for Vec<T> {
    fn seen(&self) -> Seen {
        something(!self.is_empty())
    }
}
impl<Row, Key> Show for store::Page<Row, Key> {
    fn seen(&self) -> Seen {
        something(!self.rows.is_empty())
    }
}
impl<T> Show for Change<T> {
    fn seen(&self) -> Seen {
        something(!matches!(self, Self::Absent))
    }
}
impl Show for bool {
    fn seen(&self) -> Seen {
        something(*self)
    }
}
impl Show for u64 {
    fn seen(&self) -> Seen {
        something(*self > 0)
    }
}
impl Show for Spent {
    fn seen(&self) -> Seen {
        something(*self != Self::Refused)
    }
}
/// Nothing comes back: what counts is what changed.
impl Show for () {
    fn seen(&self) -> Seen {
        Seen::Added
    }
}

macro_rules! calls {
    (|$tx:ident, $scope:ident, $world:ident| $($name:literal => $call:expr;)*) => {
        vec![$(Call {
            name: $name,
            run: {
                fn run($tx: &mut Tx, $scope: &Scope, $world: &World) -> Result<Seen, Error> {
                    // Not every call needs the world.
                    let _ = $world;
                    Ok(Show::seen(&$call?))
                }
                run
            },
        }),*]
    };
}

fn any() -> HostFilter {
    HostFilter::default()
}

fn edit() -> UserEdit {
    UserEdit {
        display_name: "X".into(),
        state: UserState::Disabled,
        password_hash: None,
        totp_sealed: None,
    }
}

/// All of them.
pub fn all() -> Vec<Call> {
    let mut all = of_hosts();
    all.extend(of_documents());
    all.extend(of_people());
    all.extend(of_catalog());
    all.extend(of_rollout());
    all.extend(of_findings());
    all
}

fn of_hosts() -> Vec<Call> {
    calls! { |tx, scope, world|
        "tenant::get" => tenant::get(tx, scope).map(|found| found.filter(|tenant| tenant.id == world.scope.tenant()));
        "site::create" => site::create(tx, scope, SiteId([66; 16]), "another", at(0)).map(drop);
        "site::get" => site::get(tx, scope, site_id(1));
        "site::by_name" => site::by_name(tx, scope, "main")
            .map(|found| found.filter(|site| site.id == site_id(1)));
        "site::page" => site::page(tx, scope, None, 10)
            .map(|page| page.rows.into_iter().filter(|site| site.id == site_id(1)).collect::<Vec<_>>());
        "site::rename" => site::rename(tx, scope, site_id(1), 1, "new");
        "site::remove" => site::remove(tx, scope, site_id(1), 99);
        "host::create" => host::create(tx, scope, &new_host(50, site_id(1), "new"), at(0)).map(drop);
        "host::get" => host::get(tx, scope, host_id(1));
        "host::by_no" => host::by_no(tx, scope, HostNo(0));
        "host::by_machine" => host::by_machine(tx, scope, machine());
        "host::edit" => host::edit(tx, scope, host_id(1), 2, &HostEdit { name: "x".into(), site: site_id(1) });
        "host::set_state" => host::set_state(tx, scope, host_id(1), 2, HostState::Retired, at(9));
        "host::set_tags" => host::set_tags(tx, scope, host_id(1), 2, &["x".to_owned()]);
        "host::page" => host::page(tx, scope, &any(), None, 10);
        "host::count" => host::count(tx, scope, &any());
        "host::tags" => host::tags(tx, scope, &[host_id(1)]);
        "host::note_observed" => {
            host::note_observed(tx, scope, host_id(1), &Observed { mode: HostMode::Full, agent_version: "9".into() })
        };
        "host::set_standings" => {
            let standing = Standing {
                host_no: HostNo(0),
                standing: HostStanding::UpdatesMissing,
            };
            host::set_standings(tx, scope, &world.fence, &[standing], at(9))
        };
        "host::set_counts" => {
            let counts = Counts { missing: 9, security: 9 };
            let blocks = [(CountsBlock::of(HostNo(0)), vec![counts])];
            host::set_counts(tx, scope, &world.fence, &world.generation, &blocks)
        };
        "host::count_then" => {
            let own = world.scope;
            let mut hosts: Vec<_> = host::get(tx, &own, host_id(1))?.into_iter().collect();
            host::count_then(tx, scope, &mut hosts, 2)?;
            Ok::<u64, Error>(hosts.iter().map(|host| u64::from(host.missing)).sum::<u64>())
        };
        "host::forget_counts_before" => host::forget_counts_before(tx, scope, 2, 10);
        "host::fleet" => {
            let mut hosts = Vec::new();
            host::fleet(tx, scope, |host| {
                hosts.push(host);
                Ok(())
            })
            .map(|()| hosts)
        };
        "host::fleet_of" => host::fleet_of(tx, scope, &[host_id(1)]);
        "agent_key::of_host" => agent_key::of_host(tx, scope, host_id(1));
        "agent_key::add" => agent_key::add(
            tx, scope, host_id(1), domain::id::KeyId([77; 16]), [7; 32], validity()
        );
        "agent_key::renew" => agent_key::renew(tx, scope, key_id(), validity());
        "agent_key::revoke" => agent_key::revoke(tx, scope, key_id(), "moved", at(9));
        "agent_key::revoke_all" => agent_key::revoke_all(tx, scope, host_id(1), "moved", at(9));
        "agent_chain::get" => agent_chain::get(tx, scope, host_id(1));
        "agent_chain::forget" => agent_chain::forget(tx, scope, host_id(1));
        "liveness::get" => liveness::get(tx, scope, host_id(1));
        "liveness::of_hosts" => liveness::of_hosts(tx, scope, &[host_id(1)]);
        "liveness::overdue" => liveness::overdue(tx, scope, at(1_000), 10);
        "host_change::note" => host_change::note(tx, scope, host_id(1), &[a_change()]);
        "host_change::page" => host_change::page(tx, scope, host_id(1), None, 10);
        "host_change::forget_before" => host_change::forget_before(tx, scope, at(1_000), 10);
    }
}

fn of_documents() -> Vec<Call> {
    calls! { |tx, scope, world|
        "document::put" => document::put(tx, scope, &a_document(200, DocumentKind::Facts), at(0)).map(drop);
        "document::get" => document::get(tx, scope, digest(INVENTORY));
        "document::known" => document::known(tx, scope, &[digest(INVENTORY)]);
        "document::sweep" => document::sweep(tx, scope, at(1_000), 10).map(|(gone, _)| gone);
        "host_document::note" => host_document::note(tx, scope, &had(UNUSED, DocumentKind::Facts, 9));
        "host_document::note_uses" => {
            host_document::note_uses(tx, scope, digest(CHANNELS), &[digest(KEY_FILE), digest(UNUSED)])
        };
        "host_document::as_of" => host_document::as_of(tx, scope, host_id(1), DocumentKind::Inventory, at(9));
        "host_document::all_as_of" => host_document::all_as_of(tx, scope, DocumentKind::Inventory, at(9));
        "host_document::history" => {
            host_document::history(tx, scope, host_id(1), DocumentKind::Inventory, None, 10)
        };
        "host_document::forget_before" => host_document::forget_before(tx, scope, at(9), 10);
        "inventory_package::put" => {
            inventory_package::put(tx, scope, digest(UNUSED), &[PackageId(4)].into_iter().collect())
        };
        "inventory_package::get_many" => inventory_package::get_many(tx, scope, &[digest(INVENTORY)]);
        "inventory_package::sweep" => inventory_package::sweep(tx, scope, 10);
    }
}

fn of_people() -> Vec<Call> {
    calls! { |tx, scope, world|
        "user::create_own" => user::create_own(tx, scope, UserId([44; 16]), "bob", "Bob", at(0));
        "user::get" => user::get(tx, scope, user_id(1));
        "user::page" => user::page(tx, scope, None, 10)
            .map(|page| page.rows.into_iter().filter(|user| user.id == user_id(1)).collect::<Vec<_>>());
        "user::edit_own" => user::edit_own(tx, scope, user_id(1), 1, &edit());
        "role::create" => role::create(tx, scope, RoleId([45; 16]), "mine", "[]", at(0));
        "role::all" => role::all(tx, scope)
            .map(|roles| roles.into_iter().filter(|role| role.id == role_id()).collect::<Vec<_>>());
        "role::get" => role::get(tx, scope, role_id());
        "role::edit" => role::edit(tx, scope, role_id(), 1, "new", "[]");
        "role::grant" => role::grant(tx, scope, &a_grant(9), at(0));
        "role::grants" => role::grants(tx, scope);
        "role::take_back" => role::take_back(tx, scope, grant_id(1));
        "token::create" => token::create(tx, scope, &a_token(9), at(0));
        "token::get" => token::get(tx, scope, token_id());
        "token::page" => token::page(tx, scope, None, 10);
        "token::revoke" => token::revoke(tx, scope, token_id(), 1, at(9));
        "enrolment_token::create" => enrolment_token::create(tx, scope, &an_enrolment_token(9), at(0));
        "enrolment_token::spend" => {
            enrolment_token::spend(tx, scope, enrolment_token_id(), request(9), host_id(2), at(9))
        };
        "enrolment_token::spent_before" => {
            enrolment_token::spent_before(tx, scope, enrolment_token_id(), request(1))
        };
        "enrolment_token::get" => enrolment_token::get(tx, scope, enrolment_token_id());
        "enrolment_token::page" => enrolment_token::page(tx, scope, None, 10);
        "enrolment_token::admitted" => enrolment_token::admitted(tx, scope, enrolment_token_id());
        "enrolment_token::revoke" => enrolment_token::revoke(tx, scope, enrolment_token_id(), 1, at(9));
        "audit::write" => audit::write(tx, scope, &a_record(9), at(0));
        "audit::page" => audit::page(tx, scope, &RecordFilter::default(), None, 10)
            .map(|page| page.rows.into_iter().filter(|record| record.id == record_id(1)).collect::<Vec<_>>());
        "audit::chain" => audit::chain(tx, scope, 0, 10);
        "audit::personal" => audit::personal(tx, scope, record_id(1));
        "audit::erase_personal" => audit::erase_personal(tx, scope, record_id(1));
    }
}

fn of_catalog() -> Vec<Call> {
    calls! { |tx, scope, world|
        "source::create" => source::create(tx, scope, &a_source(9, SourceState::Proposed), at(0)).map(drop);
        "source::get" => source::get(tx, scope, source_id(1));
        "source::all" => source::all(tx, scope, None)
            .map(|all| all.into_iter().filter(|source| source.id == source_id(1)).collect::<Vec<_>>());
        "source::edit" => source::edit(tx, scope, source_id(1), 1, &a_source(1, SourceState::Paused).edit);
        "source::ask_for_sync" => source::ask_for_sync(tx, scope, source_id(1), at(9));
        "snapshot::of_source" => snapshot::of_source(tx, scope, source_id(1), None, 10);
        "snapshot::get" => snapshot::get(tx, scope, source_id(1), snapshot_id());
        "snapshot::as_of" => snapshot::as_of(tx, scope, at(9));
        "channel_match::set" => {
            let found = ChannelMatch { stanza: 7, owner: world.scope.owner(), source: source_id(1) };
            channel_match::set(tx, scope, digest(CHANNELS), &[found])
        };
        "channel_match::of" => channel_match::of(tx, scope, digest(CHANNELS));
        "channel_match::in_use" => channel_match::in_use(tx, scope);
        "update::get" => update::get(tx, scope, update_key(1));
        "update::get_many" => update::get_many(tx, scope, &[update_key(1)]);
        "update::page" => update::page(tx, scope, &UpdateFilter::default(), None, 10);
        "update::listings" => update::listings(tx, scope, update_key(1));
        "update::by_identity" => {
            let (_, identity, _) = crate::catalog::an_update(1, store::update::UpdateClass::Security);
            update::by_identity(tx, scope, &identity)
        };
        "content_grant::is_granted" => content_grant::is_granted(tx, scope, digest(40));
        "content_grant::served_for" => {
            content_grant::served_for(tx, scope, GrantReason::Snapshot, snapshot_id().0)
        };
        "acquisition::of_digest" => acquisition::of_digest(tx, scope, digest(40));
    }
}

fn of_rollout() -> Vec<Call> {
    calls! { |tx, scope, world|
        "rollout_change::create" => {
            rollout_change::create(tx, scope, &a_rollout_change(ChangeId([46; 16])), at(0)).map(drop)
        };
        "rollout_change::get" => rollout_change::get(tx, scope, change_id());
        "rollout_change::page" => rollout_change::page(tx, scope, None, 10)
            .map(|page| page.rows.into_iter().filter(|change| change.id == change_id()).collect::<Vec<_>>());
        "rollout_change::unfinished" => rollout_change::unfinished(tx, scope)
            .map(|all| all.into_iter().filter(|change| change.id == change_id()).collect::<Vec<_>>());
        "rollout_change::set_state" => {
            rollout_change::set_state(tx, scope, change_id(), 1, ChangeState::Stopped)
        };
        "rollout_change::note_staging" => {
            rollout_change::note_staging(tx, scope, change_id(), ChangeStaging::Done, "")
        };
        "rollout_change::note_staged" => {
            rollout_change::note_staging(tx, scope, change_id(), ChangeStaging::Asked, "")?;
            rollout_change::note_staged(tx, scope, change_id(), ChangeStaging::Done, "")
        };
        "rollout_change::note_finished" => {
            rollout_change::note_finished(tx, scope, change_id(), Some(at(9)))
        };
        "rollout_change::sign" => {
            let other = ChangeSignature { key: KeyId([88; 16]), signature: [2; 64] };
            rollout_change::sign(tx, scope, change_id(), &other, at(9))
        };
        "rollout_change::signatures" => rollout_change::signatures(tx, scope, change_id());
        "rollout_change::generation" => rollout_change::generation(tx, scope);
        "rollout_change::hold_generation" => rollout_change::hold_generation(tx, scope, 1);
        "rollout_change::policy" => rollout_change::policy(tx, scope);
        "rollout_change::set_policy" => rollout_change::set_policy(tx, scope, 1, "[]", 2);
        "deployment::create" => deployment::create(tx, scope, change_id(), &[a_deployment(2)]);
        "deployment::put_transaction" => deployment::put_transaction(tx, scope, digest(52), "{}", at(0));
        "deployment::transactions" => deployment::transactions(tx, scope, &[digest(51)]);
        "deployment::get" => deployment::get(tx, scope, deployment_id(1));
        "deployment::of_change" => deployment::of_change(tx, scope, change_id(), None, 10);
        "deployment::scope_of" => deployment::scope_of(tx, scope, change_id());
        "deployment::wanted_transactions" => deployment::wanted_transactions(tx, scope, change_id());
        "deployment::work_list" => deployment::work_list(tx, scope, &[OrderStage::Failed], None, 10);
        "deployment::counts" => deployment::counts(tx, scope, change_id());
        "deployment::members" => deployment::members(tx, scope, change_id());
        "deployment::hosts" => deployment::hosts(tx, scope)
            .map(|hosts| hosts.into_iter().filter(|host| host.id == host_id(1)).collect::<Vec<_>>());
        "deployment::decide" => {
            deployment::decide(tx, scope, deployment_id(1), 2, Intent::Cancelled, None)
        };
        "deployment::note_need" => deployment::note_need(tx, scope, deployment_id(1), &a_need());
        "order::create" => order::create(tx, scope, &an_order(9), at(0));
        "order::get_many" => order::get_many(tx, scope, &[1]);
        "order::by_digest" => order::by_digest(tx, scope, digest(61));
        "order::of_deployment" => order::of_deployment(tx, scope, deployment_id(1));
        "order::open_of_host" => order::open_of_host(tx, scope, host_id(1));
        "order::withdraw" => order::withdraw(tx, scope, 2, at(9));
        "order::permit" => order::permit(tx, scope, 2, at(9));
        "order::note" => order::note(tx, scope, 2, &a_report(OrderStage::Taken), None, at(9));
        "order::stages" => order::stages(tx, scope, 1);
        // After those that look at it.
        "rollout_change::next_generation" => rollout_change::next_generation(tx, scope);
    }
}

fn of_findings() -> Vec<Call> {
    calls! { |tx, scope, world|
        "finding::generation" => finding::generation(tx, scope, None);
        "finding::hosts" => finding::hosts(tx, scope, update_key(1), 2).map(|hosts| hosts.len());
        "finding::counts" => finding::counts(tx, scope, &[update_key(1)], 2).map(|counts| counts.len() as u64);
        "finding::of_chunk" => finding::of_chunk(tx, scope, ChunkNo(0), 2);
        "finding::each" => {
            let mut chunks = Vec::new();
            finding::each(tx, scope, 2, |chunk| {
                chunks.push(chunk);
                Ok(())
            })
            .map(|()| chunks)
        };
        "finding::forget_before" => finding::forget_before(tx, scope, at(9), 10);
        "coverage::of_hosts" => coverage::of_hosts(tx, scope, &[host_id(1)], 2).map(|found| found.len() as u64);
        "coverage::standings" => coverage::standings(tx, scope, 2);
        "coverage::forget_before" => coverage::forget_before(tx, scope, 2, 10);
        "finding::write" => finding::write(tx, scope, &world.fence, &world.generation, &[a_chunk([5])]);
        "coverage::write" => coverage::write(tx, scope, &world.fence, &world.generation, &[covered("[3]")]);
        // Last, so that the calls above find no generation of the foreign tenant.
        "finding::begin" => finding::begin(tx, scope, &world.fence, "{}", at(9)).map(drop);
    }
}
