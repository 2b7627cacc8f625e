//! The server under load, in a process of its own that can be killed: this program, started again with `serve`.

use crate::site::TENANT;
use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::digest::Sha256Digest;
use domain::id::{EnrolmentTokenId, SiteId};
use jiff::{SignedDuration, Timestamp};
use protocol::token::EnrolmentToken;
use server::agents::stored_bytes;
use server::start::Server;
use server::{Context, Settings};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use store::enrolment_token::{Admits, NewEnrolmentToken};
use store::{Scope, Whole};

/// What agents need to know of the server.
#[derive(Clone, Debug)]
pub struct Served {
    /// Where it listens.
    pub address: SocketAddr,
    /// The certificate of its root authority, DER.
    pub root: Vec<u8>,
    /// A token for any number of agents.
    pub token: EnrolmentToken,
}

/// Runs a server in this process until it is killed; says in one line what agents need to know.
pub async fn run(data: &Path) -> Result<()> {
    let mut settings = Settings::defaults_in(data);
    settings.file.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let running = Server::start(settings).await.context("start the server")?;
    let token = token(running.context(), running.address()).await?;
    let root = STANDARD.encode(running.context().authority.root_certificate());
    writeln!(
        std::io::stdout(),
        "{} {} {root}",
        running.address(),
        token.to_text()
    )?;
    std::future::pending::<()>().await;
    Ok(())
}

async fn token(context: &Context, address: SocketAddr) -> Result<EnrolmentToken> {
    let now = context.clock.now();
    let (scope, site) = (Scope::of_tenant(TENANT), SiteId([2; 16]));
    let secret = server::clock::draw::<16>(&*context.chance);
    let expires_at = now + SignedDuration::from_hours(24);
    let new = NewEnrolmentToken {
        id: EnrolmentTokenId(secret),
        secret_hash: EnrolmentToken::secret_digest(&secret).0,
        site,
        name: "load".to_owned(),
        admits: Admits::Active,
        uses: 1_000_000,
        made_by: None,
        expires_at,
    };
    let made = context.db.write(move |tx| {
        if store::tenant::get(tx, &scope)?.is_none() {
            store::tenant::create(tx, &Whole::server(), TENANT, "load", now)?;
            store::site::create(tx, &scope, site, "load", now)?;
        }
        store::enrolment_token::create(tx, &scope, &new, now)
    });
    made.await.context("make a token")?;
    Ok(EnrolmentToken {
        addresses: vec![address.to_string().parse().context("an address")?],
        authority: context.authority.root_digest(),
        secret,
        site: "load".to_owned(),
        package: None,
        expires: Timestamp::from_second(expires_at.as_second()).context("a time")?,
    })
}

/// The server's process.
pub struct Child {
    process: std::process::Child,
    program: PathBuf,
    data: PathBuf,
    served: Served,
}

impl Child {
    /// Starts the server in this folder, by the program `simulation`.
    pub fn start(program: &Path, data: &Path) -> Result<Self> {
        let mut process = Command::new(program)
            .arg("serve")
            .arg("--data")
            .arg(data)
            .stdout(Stdio::piped())
            .spawn()
            .context("start the server's process")?;
        let out = process.stdout.take().context("what it prints")?;
        let mut line = String::new();
        BufReader::new(out)
            .read_line(&mut line)
            .context("hear from the server")?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let [address, token, root] = words[..] else {
            anyhow::bail!("the server printed something else: {line}");
        };
        let served = Served {
            address: address.parse()?,
            token: token.parse()?,
            root: STANDARD.decode(root)?,
        };
        Ok(Self {
            process,
            program: program.to_owned(),
            data: data.to_owned(),
            served,
        })
    }

    /// What agents need to know.
    pub fn served(&self) -> &Served {
        &self.served
    }

    /// Kills it, as kill -9 does.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill().context("kill the server")?;
        self.process.wait().context("see the server end")?;
        Ok(())
    }

    /// Starts it again in the same folder.
    pub fn restart(&mut self) -> Result<()> {
        *self = Self::start(&self.program, &self.data)?;
        Ok(())
    }

    /// How many of these documents the database does not have byte for byte; looked up in the database itself.
    pub async fn lacks(&self, digests: &[Sha256Digest]) -> Result<usize> {
        let url: store::Url = self.data.join("patchyard.db").as_path().into();
        let db = store::Db::open(&url, Timestamp::UNIX_EPOCH)
            .await
            .context("open the database")?;
        let mut wanted = digests.to_vec();
        wanted.sort_unstable();
        wanted.dedup();
        ensure!(wanted.len() == digests.len(), "each inventory was another");
        let scope = Scope::of_tenant(TENANT);
        let mut lacking = 0;
        for digest in wanted {
            let found = db
                .read(move |view| store::document::get(view, &scope, digest))
                .await?;
            let bytes = found.as_ref().and_then(|document| stored_bytes(document).ok());
            if bytes.is_none_or(|bytes| protocol::sha256(&bytes) != digest) {
                lacking += 1;
            }
        }
        db.close().await;
        Ok(lacking)
    }

    /// The most memory that it had so far (`VmHWM`), in MiB.
    pub fn peak_memory_mib(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .context("VmHWM")?;
        let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kib / 1024.0)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have been killed already.
        let _ended = self.kill();
    }
}
