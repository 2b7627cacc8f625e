//! A data directory with files that one deployment was granted, and a ticket for them.

use anyhow::Result;
use content::Expected;
use domain::digest::Sha256Digest;
use domain::id::{ChangeId, DeploymentId, HostId, SiteId, TenantId};
use jiff::SignedDuration;
use rustls_pki_types::CertificateDer;
use server::agents::content_ticket;
use server::start::{Ports, Server};
use std::path::{Path, PathBuf};
use store::content_grant::{self, ContentGrant, GrantReason};
use store::host::{HostMode, HostState, NewHost};
use store::{Scope, Whole, deployment, host, rollout_change, site, tenant};

/// Files that can be asked for.
pub struct Shelf {
    pub root: CertificateDer<'static>,
    pub ticket: String,
    pub files: Vec<Served>,
}

/// One of them.
pub struct Served {
    pub digest: Sha256Digest,
    pub bytes: usize,
    pub on_disk: PathBuf,
}

impl Served {
    /// Where it is served.
    pub fn path(&self) -> String {
        format!("/content/{}", self.digest)
    }
}

impl Shelf {
    /// Fills a fresh data directory.
    pub async fn fill(data: &Path, sizes: &[usize]) -> Result<Self> {
        let context = Server::open(super::settings(data), Ports::default()).await?;
        let mut files = Vec::new();
        for (number, bytes) in sizes.iter().enumerate() {
            // Nothing that packs well, and no two alike.
            let mut state = number as u64 + 1;
            let text: Vec<u8> = (0..*bytes)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    (state >> 56) as u8
                })
                .collect();
            let limit = Expected::AtMost {
                size_bytes: *bytes as u64,
            };
            let (digest, _) = context.content.insert(&text[..], limit)?;
            files.push(Served {
                digest,
                bytes: *bytes,
                on_disk: context.content.path(&digest).unwrap_or_default(),
            });
        }
        let (tenant_id, site_id) = (TenantId([1; 16]), SiteId([2; 16]));
        let (host_id, change, deployment_id) = (HostId([3; 16]), ChangeId([4; 16]), DeploymentId([5; 16]));
        let (scope, now) = (Scope::of_tenant(tenant_id), context.clock.now());
        let grants: Vec<ContentGrant> = files
            .iter()
            .map(|file| ContentGrant {
                owner: scope.owner(),
                digest: file.digest,
                reason: GrantReason::PackageFile,
                reference: change.0,
                size_bytes: file.bytes as u64,
            })
            .collect();
        let made = context.db.write(move |tx| {
            tenant::create(tx, &Whole::server(), tenant_id, "bench", now)?;
            site::create(tx, &scope, site_id, "main", now)?;
            let new = NewHost {
                id: host_id,
                name: "host".to_owned(),
                site: site_id,
                state: HostState::Active,
                mode: HostMode::Monitor,
                agent_version: "0.1.0".to_owned(),
                machine: None,
                moved_from: None,
                copy_of: None,
            };
            host::create(tx, &scope, &new, now)?;
            let new = rollout_change::NewChange {
                id: change,
                reason: "bench".to_owned(),
                approval: vec![0],
                approved: content::sha256(&[0]),
                needed: 0,
                opens: now,
                closes: now + SignedDuration::from_hours(24),
                at_once: 1,
                made_by: None,
            };
            rollout_change::create(tx, &scope, &new, now)?;
            let need = deployment::Need {
                kind: deployment::NeedKind::Nothing,
                detail: String::new(),
                transaction: None,
                inventory: None,
            };
            let new = deployment::NewDeployment {
                id: deployment_id,
                host: host_id,
                need,
            };
            deployment::create(tx, &scope, change, &[new])?;
            content_grant::give(tx, &Whole::server(), &grants, now)
        });
        made.await?;
        let ticket = content_ticket::issue(&context, host_id, tenant_id, deployment_id, now);
        let root = context.authority.root_certificate();
        context.db.close().await;
        Ok(Self { root, ticket, files })
    }
}
