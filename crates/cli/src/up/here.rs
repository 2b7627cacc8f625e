//! This machine as the server's first host: a tenant and a site where there are none, an agent of the caller's own rights
//! that enrols, the sources that it uses adopted, and a line when its findings are there. Everything goes over the API, as
//! it would for a person.

use super::say;
use crate::fleet::args::Format;
use crate::fleet::client::{Client, May, Target};
use crate::fleet::{member, once};
use crate::progress::Progress;
use crate::text::{counted, refusal, shown};
use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use server::private_file::write_durably;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The name of the first tenant and of its first site.
const FIRST: &str = "main";
/// How often something that is awaited is looked at.
const PAUSE: Duration = Duration::from_millis(500);

/// The agent of this machine, and who looks after it.
pub struct Here {
    stop: watch::Sender<bool>,
    work: JoinHandle<()>,
}

/// How things are said: for whom, and what stands in commands to copy.
pub struct Voice {
    /// For whom.
    pub format: Format,
    /// The program, as the person calls it.
    pub program: String,
    /// What names the data folder, behind a command; empty where it is the usual one.
    pub data: String,
}

/// Begins; goes on beside the server.
pub fn begin(data: &Path, voice: Voice) -> Here {
    let (stop, stopped) = watch::channel(false);
    let data = data.to_owned();
    let work = tokio::spawn(async move {
        if let Err(error) = look_after(&data, voice, stopped).await {
            tracing::warn!(
                error = refusal(&error),
                "This machine could not be made a host of the server."
            );
        }
    });
    Here { stop, work }
}

impl Here {
    /// Ends the agent and waits for its end.
    pub async fn end(self) {
        self.stop.send_replace(true);
        let _ = self.work.await;
    }
}

async fn look_after(data: &Path, voice: Voice, mut stopped: watch::Receiver<bool>) -> anyhow::Result<()> {
    let agent = Agent::find(data)?;
    if !agent.is_enrolled() {
        let for_api = data.to_owned();
        let token = asked(move || Api::of(&for_api)?.ensure_place()).await?;
        agent.enrol(&token).await?;
    }
    let mut child = agent.run()?;
    let for_api = data.to_owned();
    let until = stopped.clone();
    let first_findings = asked(move || Api::of(&for_api)?.first_findings(&host_name(), &voice, &until));
    tokio::select! {
        said = first_findings => said?,
        ended = child.wait() => bail!("the agent ended: {}", ended.context("wait for the agent")?),
        _ = stopped.wait_for(|stop| *stop) => {}
    }
    tokio::select! {
        ended = child.wait() => bail!("the agent ended: {}", ended.context("wait for the agent")?),
        _ = stopped.wait_for(|stop| *stop) => {}
    }
    if let Some(id) = child
        .id()
        .and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()))
    {
        // It may have ended by the same Ctrl-C.
        let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
    }
    child.wait().await.context("wait for the agent's end")?;
    Ok(())
}

/// Asks the API beside the async threads.
async fn asked<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .context("ask the server")?
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Where the agent of this machine keeps its state: beside the data folder, because an agent that root runs talks to the
/// network as another user, who may not look into it.
pub fn state(data: &Path) -> PathBuf {
    let mut name = data.file_name().unwrap_or_default().to_owned();
    name.push("-agent");
    data.with_file_name(name)
}

/// The agent's program, and where it keeps its state for this server.
struct Agent {
    data: PathBuf,
    program: PathBuf,
    state: PathBuf,
}

impl Agent {
    fn find(data: &Path) -> anyhow::Result<Self> {
        let own = std::env::current_exe().context("find this program")?;
        let beside = own.with_file_name("patchyard-agent");
        let program = [beside, PathBuf::from("/usr/bin/patchyard-agent")]
            .into_iter()
            .find(|path| path.is_file())
            .context("there is no patchyard-agent beside this program: build it, or use --no-agent")?;
        Ok(Self {
            data: data.to_owned(),
            program,
            state: state(data),
        })
    }

    fn is_enrolled(&self) -> bool {
        self.state.join("identity").join("journal").is_file()
    }

    fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg("--state")
            .arg(&self.state)
            .arg(verb)
            .stdin(Stdio::null());
        command
    }

    async fn enrol(&self, token: &str) -> anyhow::Result<()> {
        let folder = tempfile::tempdir().context("make a folder for the token")?;
        let file = folder.path().join("token");
        write_durably(&file, token.as_bytes()).context("write the token for the agent")?;
        let output = self
            .command("enrol")
            .arg("--token-file")
            .arg(&file)
            .output()
            .await;
        let output = output.with_context(|| format!("start {}", self.program.display()))?;
        let said = String::from_utf8_lossy(&output.stderr);
        let said: Vec<&str> = said.lines().map(str::trim).collect();
        ensure!(output.status.success(), "enrol this machine: {}", said.join(" "));
        Ok(())
    }

    fn run(&self) -> anyhow::Result<Child> {
        let logs = self.data.join("logs");
        fs::create_dir_all(&logs).with_context(|| format!("make {}", logs.display()))?;
        let log = fs::File::create(logs.join("agent.log")).context("make the agent's log")?;
        self.command("run")
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("start {}", self.program.display()))
    }
}

/// The API of the server that just started.
struct Api(Client);

impl Api {
    fn of(data: &Path) -> anyhow::Result<Self> {
        let read = |name: &str| fs::read_to_string(data.join(name)).map(|text| text.trim().to_owned());
        Ok(Self(Client::new(
            Target {
                url: read("local-address")?,
                root_pem: read("root.pem")?,
                token: read("local-token")?,
            },
            May::Change,
        )?))
    }

    /// A tenant and a site, and a token to enrol one host there.
    fn ensure_place(&self) -> anyhow::Result<String> {
        let tenant = self.ensure("/api/v1/tenants")?;
        let tenant = format!("/api/v1/tenants/{tenant}");
        let site = self.ensure(&format!("{tenant}/sites"))?;
        let token = self.0.post(
            &format!("{tenant}/enrolment-tokens"),
            &json!({ "site": site }),
            &once(),
        )?;
        Ok(member(&token, "text")?.to_owned())
    }

    /// The first of a list; one is made where there is none.
    fn ensure(&self, list: &str) -> anyhow::Result<String> {
        let items = self.0.list(list, &[], 10)?;
        let item = match items.into_iter().next() {
            Some(item) => item,
            None => self.0.post(list, &json!({ "name": FIRST }), &once())?,
        };
        Ok(member(&item, "id")?.to_owned())
    }

    /// Adopts the sources that this machine uses, waits for its first findings and says them.
    #[expect(
        clippy::disallowed_methods,
        reason = "a person waits for the first findings, which are looked for twice a second"
    )]
    fn first_findings(
        &self,
        name: &str,
        voice: &Voice,
        stopped: &watch::Receiver<bool>,
    ) -> anyhow::Result<()> {
        let tenant = format!("/api/v1/tenants/{}", self.ensure("/api/v1/tenants")?);
        let sources = format!("{tenant}/sources");
        let progress = Progress::begin("waiting for this machine's first report");
        let (mut before, mut looks) = (None, 0);
        while !*stopped.borrow() {
            let known = self.0.list(&sources, &[], 100_000)?;
            let adopted = self.adopt_proposed(&sources, &known)?;
            if adopted > 0 {
                let count = counted(adopted, "source");
                let words = format!("Adopted {count} that this machine uses; syncing ...");
                let facts = json!({ "said": "adopted", "sources": adopted });
                progress.aside(|| say(voice.format, &facts, &words))?;
            }
            let synced = known
                .iter()
                .filter(|source| source["last_sync_at"].is_string())
                .count();
            let is_synced = !known.is_empty() && synced == known.len();
            if !known.is_empty() {
                let all = counted(known.len(), "source");
                progress.note(&match is_synced {
                    true => "assessing this machine".to_owned(),
                    false => format!("syncing: {synced} of {all} done"),
                });
            }
            let host = self
                .0
                .list(&format!("{tenant}/hosts"), &[("name", name)], 1)?
                .pop();
            let seen = host
                .as_ref()
                .map(|host| (host["standing"].clone(), host["missing"].clone()));
            looks = if is_synced && seen == before { looks + 1 } else { 0 };
            before = seen;
            if let Some(host) = host.filter(|host| looks >= looks_enough(host)) {
                let words = standing(&host, voice)?;
                let facts = json!({ "said": "assessed", "host": host });
                return progress.aside(|| say(voice.format, &facts, &words));
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Adopts what is proposed of these sources, and says how many that were.
    fn adopt_proposed(&self, sources: &str, known: &[Value]) -> anyhow::Result<usize> {
        let proposed = known.iter().filter(|source| source["state"] == "proposed");
        let mut adopted = 0;
        for source in proposed {
            let path = format!("{sources}/{}", member(source, "id")?);
            let etag = self.0.get_tagged(&path)?.etag.unwrap_or_default();
            self.0.patch(&path, &etag, &json!({ "state": "adopted" }))?;
            adopted += 1;
        }
        Ok(adopted)
    }
}

/// So many times a host has to look the same after its sources were synced until that is told: of one that stays unknown
/// nobody says when it is assessed.
fn looks_enough(host: &Value) -> u32 {
    match (host["standing"].as_str(), host["missing"].as_u64()) {
        (Some("unknown"), None | Some(0)) => 120,
        (Some("unknown"), Some(_)) => 6,
        _ => 1,
    }
}

/// How a host stands, in a line.
fn standing(host: &Value, voice: &Voice) -> anyhow::Result<String> {
    let name = shown(member(host, "name")?).into_owned();
    let missing = usize::try_from(host["missing"].as_u64().unwrap_or(0))?;
    let security = host["missing_security"].as_u64().unwrap_or(0);
    let doubt = match member(host, "standing")? {
        "up_to_date" => return Ok(format!("{name} is up to date.")),
        "unknown" => "; not everything could be assessed",
        _ => "",
    };
    Ok(format!(
        "{name} misses {}, {security} of them security{doubt}. Which: {} host findings {name}{}",
        counted(missing, "update"),
        voice.program,
        voice.data,
    ))
}
