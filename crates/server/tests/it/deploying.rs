//! What approved updates take on hosts, the files for it, and who is given them.

mod acquire;
mod ahead;

mod resolve;
mod serving;

use crate::catalog::Fleet;
use domain::catalog::update::{Publisher, UpdateId};
use domain::host::inventory::{InstalledPackage, multi_arch};
use domain::id::{ChangeId, DeploymentId, HostId, NodeId};
use domain::order::Direction;
use domain::version::deb::split_rebuild;
use jiff::SignedDuration;
use server::catalog::acquire::{Acquired, acquire};
use server::catalog::resolve::{NeededFile, Resolved, Unresolved, resolve};
use store::content_grant::{self, ContentGrant, GrantReason};
use store::lease::{self, Fence};
use store::{Whole, deployment, rollout_change};
use testkit::archive::package::Package;
use testkit::keys::SigningKey;

/// An archive that was adopted and synced, and one host of it.
struct Shop {
    fleet: Fleet,
    host: HostId,
}

impl Shop {
    /// A host with these packages, of an archive that publishes those.
    async fn new(installed: &[Package], published: &[Package]) -> Self {
        let fleet = Fleet::new().await;
        fleet.publish(published);
        let host = fleet.host(10, &[]).await;
        fleet.world.pass(SignedDuration::from_secs(1));
        fleet.report_inventory(host, inventory(installed)).await;
        fleet.run("assess").await;
        fleet.adopt().await;
        fleet.run("sync").await;
        fleet.run("assess").await;
        Self { fleet, host }
    }

    /// The archive publishes something else, and the server learns of it.
    async fn publish(&self, packages: &[Package]) {
        self.fleet.world.pass(SignedDuration::from_hours(1));
        self.fleet.publish(packages);
        self.fleet.ask_for_sync().await;
        self.fleet.run("sync").await;
        self.fleet.run("assess").await;
    }

    /// The host has these packages now.
    async fn report(&self, packages: &[Package]) {
        self.fleet.world.pass(SignedDuration::from_secs(1));
        self.fleet.report_inventory(self.host, inventory(packages)).await;
    }

    /// The update that a package of the archive belongs to.
    fn update(&self, source: &str, version: &str) -> UpdateId {
        update_of(self.fleet.key(), source, version)
    }

    async fn resolve(&self, updates: &[UpdateId], direction: Direction) -> Result<Resolved, Unresolved> {
        let world = &self.fleet.world;
        resolve(&world.context, &world.scope(), self.host, updates, direction).await
    }

    async fn forward(&self, updates: &[UpdateId]) -> Result<Resolved, Unresolved> {
        self.resolve(updates, Direction::Forward).await
    }

    /// Acquires under a lease of its own.
    async fn acquire(&self, files: &[NeededFile]) -> Acquired {
        let fence = self.fence().await;
        acquire(&self.fleet.world.context, &fence, files).await
    }

    async fn fence(&self) -> Fence {
        let world = &self.fleet.world;
        let (now, node) = (world.now(), NodeId([9; 16]));
        let until = now + SignedDuration::from_mins(30);
        let taken = world
            .context
            .db
            .write(move |tx| lease::take(tx, &Whole::server(), "stage", node, now, until));
        taken.await.expect("the database answers").expect("it is free")
    }

    /// A change with a deployment on this host, for which these files were granted.
    async fn granted(&self, number: u8, host: HostId, files: &[NeededFile]) -> DeploymentId {
        let world = &self.fleet.world;
        let (change, deployment) = (ChangeId([number; 16]), DeploymentId([number + 100; 16]));
        let (scope, now) = (world.scope(), world.now());
        let grants: Vec<ContentGrant> = files
            .iter()
            .map(|file| ContentGrant {
                owner: scope.owner(),
                digest: file.sha256,
                reason: GrantReason::PackageFile,
                reference: change.0,
                size_bytes: file.size_bytes,
            })
            .collect();
        let new = rollout_change::NewChange {
            id: change,
            reason: "test".to_owned(),
            approval: vec![number],
            approved: content::sha256(&[number]),
            needed: 0,
            opens: now,
            closes: now + SignedDuration::from_hours(24),
            at_once: 1,
            made_by: None,
        };
        let need = deployment::Need {
            kind: deployment::NeedKind::Nothing,
            detail: String::new(),
            transaction: None,
            inventory: None,
        };
        let deployments = [deployment::NewDeployment {
            id: deployment,
            host,
            need,
        }];
        let made = world.context.db.write(move |tx| {
            rollout_change::create(tx, &scope, &new, now)?;
            deployment::create(tx, &scope, change, &deployments)?;
            content_grant::give(tx, &Whole::server(), &grants, now)
        });
        made.await.expect("a change with its deployment");
        deployment
    }
}

fn update_of(key: &SigningKey, source: &str, version: &str) -> UpdateId {
    UpdateId {
        publisher: Publisher {
            origin: "World".to_owned(),
            keys: vec![key.fingerprint().to_ascii_uppercase()],
        },
        source: source.to_owned(),
        source_version: split_rebuild(version).0.to_owned(),
        build: split_rebuild(version).1.to_owned(),
    }
}

/// Packages as dpkg has them once they are installed.
fn inventory(packages: &[Package]) -> Vec<InstalledPackage> {
    let mut installed: Vec<InstalledPackage> = packages.iter().map(installed).collect();
    installed.sort_by(|one, other| (&one.name, &one.architecture).cmp(&(&other.name, &other.architecture)));
    installed
}

fn installed(package: &Package) -> InstalledPackage {
    let text = package.status_stanza("install ok installed");
    let field = |name: &str| {
        let lines = text.lines();
        let mut values = lines.filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        values.next()
    };
    let source = field("Source").unwrap_or(package.name());
    let mut installed = crate::assess::installed(package.name(), package.version());
    installed.architecture = package.architecture().into();
    installed.source = source.into();
    installed.fingerprint.multi_arch = multi_arch(
        package.architecture().as_bytes(),
        field("Multi-Arch").map(str::as_bytes),
    );
    installed
}
