//! The process that carries out one order: it waits for dpkg, repairs what was left unfinished, runs apt with the hook as its
//! last word, and says truthfully what is there afterwards. It may be killed at any point; the next one goes on from the files.

use super::job::Job;
use super::running::{self, Running};
use super::{End, FORM, Left, OUTCOME, Outcome, kept, output};
use crate::kept::{Form, PrivateFolder};
use crate::network::boot_clock;
use crate::packages::hook::{self, Verdict};
use crate::packages::tool::Tool;
use crate::packages::{
    Installed, Marks, Trouble, Whole, WorldPlaces, busy, classify, install_words, repair, sentence,
};
use domain::host::change::ORDER_OPTION;
use domain::order::Order;
use domain::rollout::deployment::Failure;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How often apt is begun for one start: after it, dpkg or the host was cut off, it is gone on with.
const RUNS: u32 = 3;
/// How often it is tried at all for one start, runs that ended before they began anything included.
const TRIES: u32 = 8;
/// How long one that is only repaired waits for others who use dpkg.
const REPAIR_PATIENCE: Duration = Duration::from_secs(3_600);
/// Between two looks at whether dpkg is free.
const PAUSE: Duration = Duration::from_millis(500);
/// Between two looks at how much was said.
const THINNING: Duration = Duration::from_secs(5);

/// What was begun, in the order's folder.
const BEGUN: &str = "begun";
const BEGUN_FORM: Form = Form {
    word: "begun",
    version: 1,
    longest: 16 << 20,
};

/// What must not be forgotten of a transaction that has begun.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Beginning {
    /// How often apt was begun.
    runs: u32,
    /// What is to be marked as automatic afterwards.
    automatic: Vec<String>,
}

/// Carries out the transaction of an order's folder, and writes its outcome there. One that has ended is left as it is.
///
/// # Errors
/// The outcome could not be written, or there is no transaction.
pub fn transact(folder: &Path) -> Result<(), Trouble> {
    let running = running::take(folder)?;
    if super::outcome(folder).is_some() {
        return Ok(());
    }
    let job = Job::read(folder)?;
    let own = PrivateFolder::open(folder).map_err(|error| kept(&error))?;
    let mut transaction = Transaction {
        places: WorldPlaces {
            folder: folder.to_owned(),
        },
        beginning: beginning(&own)?,
        output: output::open(folder)?,
        notes: Vec::new(),
        took: Duration::ZERO,
        own,
        job,
        _running: running,
    };
    let end = transaction.carry_out();
    transaction.conclude(end)
}

fn beginning(own: &PrivateFolder) -> Result<Beginning, Trouble> {
    let body = own.read(BEGUN, BEGUN_FORM).map_err(|error| kept(&error))?;
    let Some(body) = body else {
        return Ok(Beginning::default());
    };
    serde_json::from_slice(&body).map_err(|error| {
        let detail = format!("what was begun is not understood: {error}");
        Trouble::new(Failure::Interrupted, &detail)
    })
}

struct Transaction {
    places: WorldPlaces,
    own: PrivateFolder,
    job: Job,
    beginning: Beginning,
    output: File,
    notes: Vec<String>,
    took: Duration,
    _running: Running,
}

/// How one run of apt ended.
enum Ran {
    /// This is the end.
    Ended(End),
    /// It was cut off, or somebody else was quicker to lock dpkg.
    Again,
}

#[expect(
    clippy::disallowed_methods,
    reason = "the edge: how long apt takes is real time"
)]
fn now() -> Instant {
    Instant::now()
}

impl Transaction {
    fn carry_out(&mut self) -> End {
        for _ in 0..TRIES {
            match self.attempt() {
                Ok(Ran::Ended(end)) => return end,
                Ok(Ran::Again) => {}
                // Somebody was quicker to lock dpkg, and is waited for.
                Err(Trouble {
                    kind: Failure::Busy, ..
                }) => {}
                Err(Trouble { kind, detail }) if self.beginning.runs == 0 => {
                    return End::NotBegun {
                        kind: kind.into(),
                        detail,
                    };
                }
                Err(Trouble { kind, detail }) => {
                    return End::Failed {
                        kind: kind.into(),
                        detail,
                    };
                }
            }
        }
        End::Failed {
            kind: Failure::Interrupted.into(),
            detail: format!("apt-get was cut off {TRIES} times"),
        }
    }

    fn attempt(&mut self) -> Result<Ran, Trouble> {
        if let Some(late) = self.wait_for_dpkg() {
            return Ok(Ran::Ended(late));
        }
        self.mend()?;
        if is_as_ordered(&self.job.order, &Installed::read()?) {
            // Unless it was so before anything was begun, apt was cut off after its work.
            if self.beginning.runs > 0 {
                self.restore_marks();
            }
            return Ok(Ran::Ended(End::Installed {}));
        }
        if self.beginning.runs >= RUNS {
            let detail = format!("it was cut off {RUNS} times, and is not begun again");
            return Err(Trouble::new(Failure::Interrupted, &detail));
        }
        if !self.job.may_begin(boot_clock()) {
            return Ok(Ran::Ended(End::Late {
                detail: "the time in which it might begin is over".to_owned(),
            }));
        }
        self.begin()?;
        let from = output::size(&self.output);
        let status = self.apt()?;
        let said = output::since(&self.output, from);
        self.judge(status, &said)
    }

    /// Finishes what was left unfinished. What this very order left in the middle of unpacking may be beyond dpkg alone, for a
    /// package waits for one that is not there yet: then apt goes on with it.
    fn mend(&mut self) -> Result<(), Trouble> {
        match repair() {
            Ok(None) => {}
            Ok(Some(interrupted)) => {
                self.say(&interrupted.said);
                self.notes.push(format!("{} before; repaired", interrupted.what));
            }
            Err(trouble) if self.beginning.runs > 0 => self.notes.push(trouble.detail),
            Err(trouble) => return Err(trouble),
        }
        Ok(())
    }

    /// Waits until nobody uses dpkg, and says who does. What was cut off waits longer: it is repaired even when it is late.
    #[expect(
        clippy::disallowed_methods,
        reason = "the edge: a lock of fcntl(2) tells nobody when it is free"
    )]
    fn wait_for_dpkg(&mut self) -> Option<End> {
        let since = now();
        let mut told = None;
        while let Some(holder) = busy::holder() {
            let is_patient = self.beginning.runs > 0 && since.elapsed() < REPAIR_PATIENCE;
            if !self.job.may_begin(boot_clock()) && !is_patient {
                let detail = format!("{} kept the package manager busy", holder.who);
                return Some(End::Late { detail });
            }
            if told.as_ref() != Some(&holder) {
                self.say(&format!(
                    "Waiting for {}, which uses the package manager.\n",
                    holder.who
                ));
                told = Some(holder);
            }
            std::thread::sleep(PAUSE);
        }
        None
    }

    /// Writes down that apt is begun, before it is.
    fn begin(&mut self) -> Result<(), Trouble> {
        if self.beginning.runs == 0 {
            self.beginning.automatic = Marks::read(&self.job.order)?.0;
        }
        self.beginning.runs += 1;
        let body = serde_json::to_vec(&self.beginning).expect("these are a number and words");
        let written = self.own.write(BEGUN, BEGUN_FORM, &body);
        written
            .and_then(|()| hook::forget(&self.own))
            .map_err(|error| kept(&error))
    }

    /// Nothing was begun after all.
    fn unbegin(&mut self) -> Result<(), Trouble> {
        self.beginning.runs -= 1;
        if self.beginning.runs == 0 {
            let removed = self.own.remove(BEGUN).and_then(|()| self.own.flush());
            return removed.map_err(|error| kept(&error));
        }
        let body = serde_json::to_vec(&self.beginning).expect("these are a number and words");
        self.own
            .write(BEGUN, BEGUN_FORM, &body)
            .map_err(|error| kept(&error))
    }

    /// Runs apt. What it says goes into the file by its own hand.
    fn apt(&mut self) -> Result<ExitStatus, Trouble> {
        let failed = |error: &std::io::Error| Trouble::io("start apt-get", error);
        let file = || self.output.try_clone().map_err(|error| failed(&error));
        let begun = now();
        let mut command = Tool::AptGet.command();
        command.args(self.places.settings()).args(hook_words(&self.job));
        command.args([
            "-o".to_owned(),
            format!("{ORDER_OPTION}{}", self.job.order.number),
        ]);
        let in_place = Installed::read()?.in_place(&self.job.order);
        command.args(install_words(&self.job.order, &in_place));
        command.stdout(file()?).stderr(file()?);
        let mut apt = command.spawn().map_err(|error| failed(&error))?;
        let thinned = file()?;
        let (end, ended) = mpsc::channel::<()>();
        let thinner = std::thread::spawn(move || {
            while ended.recv_timeout(THINNING) == Err(mpsc::RecvTimeoutError::Timeout) {
                output::thin_out(&thinned);
            }
        });
        let status = apt.wait();
        drop(end);
        // It only gives back room, and does not fail.
        let _ = thinner.join();
        self.took += begun.elapsed();
        status.map_err(|error| Trouble::io("wait for apt-get", &error))
    }

    fn judge(&mut self, status: ExitStatus, said: &str) -> Result<Ran, Trouble> {
        match hook::verdict(&self.own) {
            Some(Verdict::Agreed {}) => self.restore_marks(),
            Some(Verdict::Refused { kind, detail }) => {
                self.unbegin()?;
                return Err(Trouble {
                    kind: kind.into(),
                    detail,
                });
            }
            Some(Verdict::Late {}) => {
                self.unbegin()?;
                return Ok(Ran::Again);
            }
            // apt ended before it asked, or does not ask: then nothing may have happened.
            None => {
                let installed = Installed::read()?;
                if !is_as_ordered(&self.job.order, &installed) && installed.halves().is_empty() {
                    self.unbegin()?;
                }
            }
        }
        if is_as_ordered(&self.job.order, &Installed::read()?) {
            if !status.success() {
                let why = sentence(said).unwrap_or_else(|| status.to_string());
                self.notes.push(crate::shown::harmless(&why, 240));
            }
            return Ok(Ran::Ended(End::Installed {}));
        }
        let kind = classify(said);
        let is_cut_off = std::os::unix::process::ExitStatusExt::signal(&status).is_some();
        match kind {
            Failure::Busy | Failure::Interrupted => return Ok(Ran::Again),
            _ if is_cut_off => return Ok(Ran::Again),
            _ => {}
        }
        let detail =
            sentence(said).unwrap_or_else(|| format!("apt-get ended ({status}) and did not say why"));
        Err(Trouble::new(kind, &detail))
    }

    fn restore_marks(&mut self) {
        let marks = Marks(self.beginning.automatic.clone());
        if let Err(trouble) = marks.restore(&self.places) {
            self.notes
                .push(format!("automatic marks were not restored: {trouble}"));
        }
    }

    /// Also for people who read along.
    fn say(&mut self, text: &str) {
        // That nobody can read along stops nothing.
        let _ = self.output.write_all(text.as_bytes());
    }

    fn conclude(&mut self, end: End) -> Result<(), Trouble> {
        let outcome = Outcome {
            left: left(&self.job.order),
            notes: std::mem::take(&mut self.notes),
            install_millis: u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
            end,
        };
        let body = serde_json::to_vec(&outcome).expect("an outcome is words and numbers");
        self.own.write(OUTCOME, FORM, &body).map_err(|error| kept(&error))
    }
}

/// The words that make apt ask before it starts dpkg, by version 3 of the protocol.
fn hook_words(job: &Job) -> Vec<OsString> {
    // apt hands the command to a shell, and finds the protocol's version under its first word.
    let program = job.program.display().to_string();
    let mut command = quoted(&program);
    for word in job.words.iter().map(String::as_str).chain(["hook"]) {
        command.push(' ');
        command.push_str(&quoted(word));
    }
    command.push_str(&format!(" {}", job.order.number));
    let options = [
        format!("DPkg::Pre-Install-Pkgs::={command}"),
        format!("DPkg::Tools::Options::{}::Version=3", quoted(&program)),
    ];
    options
        .into_iter()
        .flat_map(|option| ["-o".into(), option.into()])
        .collect()
}

/// A word of a shell. What is plain stays as it is.
fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.,+@%".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

fn is_as_ordered(order: &Order, installed: &Installed) -> bool {
    let in_place = installed.in_place(order).len();
    in_place == order.packages.len() + order.removals.len()
}

/// What is not as ordered; nothing where dpkg's status cannot be read, which the end says then.
fn left(order: &Order) -> Vec<Left> {
    let Ok(installed) = Installed::read() else {
        return Vec::new();
    };
    let in_place = installed.in_place(order);
    let packages = order.packages.iter().map(domain::order::OrderedPackage::package);
    let removals = (order.removals.iter())
        .map(|removal| domain::order::transaction::PackageName::new(&removal.name, &removal.architecture));
    let names = packages.chain(removals).filter(|name| !in_place.contains(name));
    let left = names.map(|name| {
        let state = installed.state(&name.name, &name.architecture);
        Left {
            package: name.to_string(),
            version: state.map(|(version, _)| version.to_owned()),
            is_whole: state.is_some_and(|(_, whole)| whole == Whole::Yes),
        }
    });
    left.collect()
}
