//! The commands around a server of one's own: what each says to people and to programs, what it keeps and for whom, and what
//! is drawn on a terminal.

use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

/// The built command, with nothing of the person's who runs the tests.
fn patchyard(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_patchyard"));
    command
        .env_clear()
        .env("HOME", home)
        .env("PATH", "/usr/bin:/bin")
        .env("LC_ALL", "C.UTF-8");
    command
}

/// Commands that take no data folder, or name one of their own.
const WITHOUT_DATA: [&str; 5] = ["restore", "db", "login", "completion", "--help"];

/// Runs it on the data folder below this home, and no other: root's own folder is that of the machine.
fn ran(home: &Path, words: &[&str]) -> Output {
    let mut command = patchyard(home);
    command.args(words);
    if !WITHOUT_DATA.contains(&words[0]) {
        command.arg("--data").arg(home.join("data"));
    }
    command.stdin(Stdio::null()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What a command printed as JSON.
fn json(home: &Path, words: &[&str]) -> Value {
    let output = ran(home, words);
    assert!(output.status.success(), "{words:?}: {}", text(&output.stderr));
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{words:?}: {error}: {}", text(&output.stdout)))
}

/// A server of the built command without an agent, on a port that the system chose.
struct Server {
    home: tempfile::TempDir,
    process: Child,
    listening: Value,
}

impl Server {
    fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        let listen = json(home.path(), &["listen", "127.0.0.1:0", "--json"]);
        assert_eq!(listen["listen"], "127.0.0.1:0");
        let mut process = patchyard(home.path())
            .args(["up", "--no-agent", "--json", "--data"])
            .arg(home.path().join("data"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let listening: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(listening["said"], "listening", "{line}");
        Self {
            home,
            process,
            listening,
        }
    }

    fn home(&self) -> &Path {
        self.home.path()
    }

    fn url(&self) -> &str {
        self.listening["url"].as_str().unwrap()
    }

    fn authority(&self) -> &str {
        self.listening["authority"].as_str().unwrap()
    }

    /// Ends it as Ctrl-C does, and gives what it said on standard error.
    fn stop(mut self) -> String {
        let id = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
        let ended = self.process.wait().unwrap();
        assert!(ended.success(), "{ended}");
        let mut said = String::new();
        self.process
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        said
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn commands_beside_the_server_answer_programs_in_json() {
    let server = Server::start();
    let home = server.home();
    let made = json(
        home,
        &["backup", "create", "first", "--with-master-key", "--json"],
    );
    let folder = made["place"].as_str().unwrap();
    let verified = json(home, &["backup", "verify", folder, "--json"]);
    assert_eq!(
        (&verified["is_whole"], &verified["folder"]),
        (&true.into(), &made["place"])
    );
    assert!(json(home, &["doctor", "--json"])["checks"].is_array());
    let again = home.join("again");
    let restored = json(
        home,
        &["restore", folder, "--data", again.to_str().unwrap(), "--json"],
    );
    assert_eq!(restored["epoch"], 2);
    let from = format!("sqlite:{}", again.join("patchyard.db").display());
    let to = format!("sqlite:{}", home.join("copy.db").display());
    let copied = json(home, &["db", "copy", &from, &to, "--json"]);
    assert!(
        copied["rows"].as_u64().unwrap() > 0 && copied["tables"].is_array(),
        "{copied}"
    );
    assert_eq!(server.stop(), "", "nothing but what was asked for is said");
}

#[test]
fn logging_in_believes_the_authority_that_a_person_named_and_keeps_it_for_that_person_alone() {
    let server = Server::start();
    json(server.home(), &["tenant", "add", "north", "--json"]);
    let made = json(
        server.home(),
        &["token", "add", "elsewhere", "--may", "read:tenant", "--json"],
    );
    let elsewhere = tempfile::tempdir().unwrap();
    let home = elsewhere.path();
    let token = home.join("token");
    fs::write(&token, made["secret"].as_str().unwrap()).unwrap();
    let log_in = |authority: &str| {
        let token = token.to_str().unwrap();
        ran(
            home,
            &[
                "login",
                server.url(),
                "--token-file",
                token,
                "--authority",
                authority,
                "--json",
            ],
        )
    };
    let refused = log_in(&"0".repeat(64));
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        text(&refused.stderr).contains("another server"),
        "{}",
        text(&refused.stderr)
    );
    assert!(!home.join(".config").exists(), "nothing of a stranger is kept");

    let done = log_in(server.authority());
    assert!(done.status.success(), "{}", text(&done.stderr));
    let kept = home.join(".config/patchyard/logins.json");
    assert_eq!(fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    let tenants = json(home, &["tenant", "list", "--server", server.url(), "--json"]);
    assert_eq!(tenants[0]["name"], "north");
    let refused = ran(home, &["tenant", "add", "south", "--server", server.url()]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        text(&refused.stderr).contains("[not-allowed]"),
        "{}",
        text(&refused.stderr)
    );
}

#[test]
fn a_command_without_a_server_says_what_to_do() {
    let home = tempfile::tempdir().unwrap();
    for words in [&["host", "list"][..], &["doctor"], &["source", "sync"]] {
        let output = ran(home.path(), words);
        assert_eq!(output.status.code(), Some(1));
        let said = text(&output.stderr);
        assert!(
            said.contains("`patchyard up`") && said.contains("`patchyard login ADDRESS`"),
            "{said}"
        );
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn a_line_on_the_terminal_tells_of_waiting_and_nothing_does_where_there_is_none() {
    let server = Server::start();
    let home = server.home();
    json(home, &["tenant", "add", "north", "--json"]);
    json(home, &["site", "add", "main", "--json"]);
    let data = home.join("data");
    let waiting = format!("enrol --address 192.0.2.1:8443 --data {}", data.display());
    // The one without a terminal is begun first: when the other one draws, it would have drawn too.
    let mut piped = patchyard(home);
    let piped = piped
        .args(waiting.split(' '))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut piped = piped.spawn().unwrap();
    let mut said = String::new();
    let mut out = BufReader::new(piped.stdout.take().unwrap());
    while !said.contains("Waiting for it") {
        assert!(out.read_line(&mut said).unwrap() > 0, "it ended: {said}");
    }
    assert!(said.starts_with("Run this on the host"), "{said}");

    let program = env!("CARGO_BIN_EXE_patchyard");
    let mut terminal = Command::new("script");
    terminal.args([
        "-q",
        "-e",
        "-c",
        &format!("exec {program} {waiting}"),
        "/dev/null",
    ]);
    terminal
        .env_clear()
        .env("HOME", home)
        .env("PATH", "/usr/bin:/bin")
        .env("TERM", "xterm");
    let Ok(mut terminal) = terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn() else {
        piped.kill().unwrap();
        piped.wait().unwrap();
        testkit::skip::skip(&"script(1) is not here");
        return;
    };
    let mut shown = Vec::new();
    let mut out = terminal.stdout.take().unwrap();
    let mut part = [0; 4096];
    while !text(&shown).contains("waiting for the host (") {
        let count = out.read(&mut part).unwrap();
        assert!(count > 0, "it ended without a line: {}", text(&shown));
        shown.extend_from_slice(&part[..count]);
        assert!(shown.len() < 4000, "no line in: {}", text(&shown));
    }
    terminal.kill().unwrap();
    terminal.wait().unwrap();
    piped.kill().unwrap();
    let output = piped.wait_with_output().unwrap();
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn shells_read_what_is_printed_for_their_completion() {
    let home = tempfile::tempdir().unwrap();
    for (shell, check) in [
        ("bash", &["-n"][..]),
        ("zsh", &["-n"]),
        ("fish", &["--no-execute"]),
    ] {
        let output = ran(home.path(), &["completion", shell]);
        assert!(output.status.success(), "{shell}");
        let script = home.path().join(shell);
        fs::write(&script, &output.stdout).unwrap();
        assert!(text(&output.stdout).contains("patchyard"), "{shell}");
        let Ok(read) = Command::new(shell).args(check).arg(&script).output() else {
            continue;
        };
        assert!(read.status.success(), "{shell}: {}", text(&read.stderr));
    }
}

#[test]
fn the_exit_codes_of_the_help_stand_in_the_documentation() {
    let home = tempfile::tempdir().unwrap();
    let help = text(&ran(home.path(), &["--help"]).stdout);
    let codes = help.split_once("Exit codes:\n").unwrap().1.trim_end();
    let page = include_str!("../../../../docs/commands.md");
    for line in codes.lines() {
        let (code, meaning) = line.trim().split_once("  ").unwrap();
        let row = format!("| {code} | {meaning} |");
        assert!(page.contains(&row), "docs/commands.md lacks {row:?}");
    }
}
