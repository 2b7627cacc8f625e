//! A lab for people: boots hosts, puts a forwarding proxy beside them, says where everything is, and ends it all when its
//! standard input does. `scripts/demo.sh` starts it.
//!
//! `lab STATE PORT NAME=SUITE...`: STATE is a folder for what is said (`lab.env` with `ADDRESS`, `PROXY` and `HOSTS`, and a
//! script a host that runs its arguments inside), PORT where a server will listen on the lab's address. A host
//! `NAME=SUITE@island` stands in a network apart, which only the proxy leads out of.

use anyhow::{Context, bail};
use std::fs;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use testkit::lab::Lab;
use testkit::lab::booted::BootedHost;

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [state, port, hosts @ ..] = words.as_slice() else {
        bail!("usage: lab STATE PORT NAME=SUITE...");
    };
    let state = Path::new(state);
    let port: u16 = port.parse().context("PORT is a number")?;
    let mut lab = Lab::start()?;
    let address = lab.address();
    let island = lab.island()?;
    let proxy = island.proxy(SocketAddr::from((address, port)))?;
    let mut booted = Vec::new();
    for host in hosts {
        let (name, suite) = host.split_once('=').context("a host is NAME=SUITE")?;
        say(&format!("booting {name} ({suite})"))?;
        let host = match suite.strip_suffix("@island") {
            Some(suite) => lab.boot_on(&island, name, suite)?,
            None => lab.boot(name, suite)?,
        };
        put_door(state, &host)?;
        booted.push(host);
    }
    let names: Vec<&str> = booted.iter().map(BootedHost::name).collect();
    let text = format!(
        "ADDRESS={address}\nPROXY={}\nHOSTS='{}'\n",
        proxy.address(),
        names.join(" ")
    );
    // The file is there once everything is: who waits for it may go on.
    let unfinished = state.join("lab.env.new");
    fs::write(&unfinished, text)?;
    fs::rename(unfinished, state.join("lab.env"))?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    say("ending the lab")
}

fn put_door(state: &Path, host: &BootedHost) -> anyhow::Result<()> {
    let path = state.join(host.name());
    fs::write(&path, host.door())?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

fn say(text: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "lab: {text}").context("nobody listens")
}
