//! Keeping the server on this machine: a Debian package made of this very program, installed by dpkg, run by systemd; and
//! taking every trace of it away again.

use crate::fleet::args::Format;
use crate::fleet::said as answer;
use anyhow::{Context, bail, ensure};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The agent's package, as it lies beside the program that hands it out.
const AGENT_PACKAGE: &str = "patchyard-agent.deb";

/// The unit of the server. It may read and write its own folder and nothing else.
const UNIT: &str = "\
[Unit]
Description=Patchyard server
Documentation=man:systemd.exec(5)
Wants=network-online.target
After=network-online.target

[Service]
Type=exec
ExecStart=/usr/bin/patchyard up --no-agent --data /var/lib/patchyard --agent-package /usr/lib/patchyard/patchyard-agent.deb
User=patchyard
StateDirectory=patchyard
StateDirectoryMode=0700
Restart=on-failure
RestartSec=5
TimeoutStopSec=60
LimitNOFILE=65536
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
ProtectKernelLogs=yes
ProtectClock=yes
ProtectHostname=yes
CapabilityBoundingSet=
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RemoveIPC=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
UMask=0077

[Install]
WantedBy=multi-user.target
";

const AFTER_INSTALLATION: &str = "\
#!/bin/sh
set -e
if [ \"$1\" = configure ]; then
    if ! getent passwd patchyard >/dev/null; then
        useradd --system --user-group --home-dir /var/lib/patchyard --no-create-home --shell /usr/sbin/nologin patchyard
    fi
    if [ -d /run/systemd/system ]; then
        systemctl daemon-reload
        systemctl enable --quiet patchyard.service
        systemctl restart patchyard.service
    fi
fi
";

const BEFORE_REMOVAL: &str = "\
#!/bin/sh
set -e
if [ \"$1\" = remove ] && [ -d /run/systemd/system ]; then
    systemctl disable --quiet --now patchyard.service || true
fi
";

const AFTER_REMOVAL: &str = "\
#!/bin/sh
set -e
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || true
fi
if [ \"$1\" = purge ]; then
    rm -rf /var/lib/patchyard /var/cache/patchyard
    if getent passwd patchyard >/dev/null; then
        userdel patchyard || true
    fi
fi
";

/// The server's package: this program, its unit and its scripts; and the agent's package, if it lies beside the program, for
/// the hosts to come. Gives the package's path below `folder`.
///
/// # Errors
/// A file cannot be written, or dpkg-deb is missing or fails.
pub fn package(program: &Path, folder: &Path) -> anyhow::Result<PathBuf> {
    let stage = folder.join("stage");
    let write = |path: &str, text: &str, mode: u32| -> anyhow::Result<()> {
        let path = stage.join(path);
        fs::create_dir_all(path.parent().expect("a file of the package has a folder"))?;
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        Ok(())
    };
    let binary = stage.join("usr/bin/patchyard");
    fs::create_dir_all(stage.join("usr/bin")).context("make a folder for the package")?;
    fs::copy(program, &binary).with_context(|| format!("copy {}", program.display()))?;
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755))?;
    let agent = program.with_file_name(AGENT_PACKAGE);
    if agent.is_file() {
        let own = stage.join("usr/lib/patchyard");
        fs::create_dir_all(&own).context("make a folder for the package")?;
        fs::copy(&agent, own.join(AGENT_PACKAGE)).with_context(|| format!("copy {}", agent.display()))?;
        fs::set_permissions(own.join(AGENT_PACKAGE), fs::Permissions::from_mode(0o644))?;
    }
    let size = fs::metadata(&binary)?.len().div_ceil(1024);
    let architecture = said(Command::new("dpkg").arg("--print-architecture"))?;
    let version = env!("CARGO_PKG_VERSION");
    write("usr/lib/systemd/system/patchyard.service", UNIT, 0o644)?;
    write("DEBIAN/postinst", AFTER_INSTALLATION, 0o755)?;
    write("DEBIAN/prerm", BEFORE_REMOVAL, 0o755)?;
    write("DEBIAN/postrm", AFTER_REMOVAL, 0o755)?;
    let control = format!(
        "Package: patchyard\nVersion: {version}\nArchitecture: {architecture}\nMaintainer: Patchyard <root@localhost>\n\
         Installed-Size: {size}\nDepends: libc6, passwd\nSection: admin\nPriority: optional\n\
         Description: patch management for fleets\n Knows what every host has installed, says what each is missing and why.\n"
    );
    write("DEBIAN/control", &control, 0o644)?;
    let package = folder.join(format!("patchyard_{version}_{architecture}.deb"));
    said(
        Command::new("dpkg-deb")
            // It goes no farther than to this machine's dpkg: packing it tighter would take longer than all the rest.
            .args(["--root-owner-group", "-Znone", "--build"])
            .arg(&stage)
            .arg(&package),
    )?;
    Ok(package)
}

/// Makes the package and installs it.
///
/// # Errors
/// Not root, or dpkg is missing or fails.
pub fn install(program: &Path, format: Format) -> anyhow::Result<String> {
    ensure!(
        rustix::process::geteuid().is_root(),
        "installing needs root: sudo {} install",
        program.display()
    );
    let folder = tempfile::tempdir().context("make a folder for the package")?;
    let package = package(program, folder.path())?;
    said(Command::new("dpkg").arg("--install").arg(&package))?;
    let how = match Path::new("/run/systemd/system").is_dir() {
        true => "The server runs as patchyard.service; `journalctl -u patchyard` shows its log.",
        false => "systemd does not run here: start the server with `patchyard up --data /var/lib/patchyard`.",
    };
    let version = env!("CARGO_PKG_VERSION");
    let sentence = format!(
        "Installed patchyard {version}. {how}\n\
         Log in with: sudo patchyard user link     Remove it with: sudo patchyard uninstall --purge"
    );
    answer(
        format,
        &serde_json::json!({ "installed": "patchyard", "version": version }),
        &sentence,
    )
}

/// What an uninstallation leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// The data, for a later installation.
    Data,
    /// Nothing.
    Nothing,
}

/// Removes the packages, where they are installed, and with [`Leave::Nothing`] everything of these folders too. Gives what
/// was removed, a line each.
///
/// # Errors
/// A package is installed and this is not root; dpkg fails; a folder cannot be removed.
pub fn uninstall(leave: Leave, folders: &[PathBuf]) -> anyhow::Result<Vec<String>> {
    let mut removed = Vec::new();
    let verb = match leave {
        Leave::Data => "--remove",
        Leave::Nothing => "--purge",
    };
    for name in ["patchyard-agent", "patchyard"] {
        let status = Command::new("dpkg-query")
            .args(["-W", "-f", "${db:Status-Status}", name])
            .output();
        let is_there = status.is_ok_and(|output| {
            matches!(
                output.stdout.as_slice(),
                b"installed" | b"config-files" | b"half-configured" | b"unpacked"
            )
        });
        if !is_there {
            continue;
        }
        ensure!(
            rustix::process::geteuid().is_root(),
            "the package {name} is installed, and removing it needs root: sudo patchyard uninstall --purge"
        );
        said(Command::new("dpkg").arg(verb).arg(name))?;
        removed.push(format!("package {name}"));
    }
    if leave == Leave::Nothing {
        for folder in folders {
            if !folder.is_dir() {
                continue;
            }
            ensure_ours(folder)?;
            fs::remove_dir_all(folder).with_context(|| format!("remove {}", folder.display()))?;
            removed.push(folder.display().to_string());
        }
    }
    Ok(removed)
}

/// Nothing but a folder of Patchyard's is ever removed as a whole: it must carry the name, or hold what a server keeps.
fn ensure_ours(folder: &Path) -> anyhow::Result<()> {
    let is_named = folder.file_name().is_some_and(|name| name == "patchyard");
    let is_data = folder.join("keys/master.key").is_file();
    let is_agent = folder.join("identity").is_dir() && folder.join("outbox").is_dir();
    if is_named || is_data || is_agent {
        return Ok(());
    }
    bail!(
        "{} does not look like a folder of Patchyard's: remove it by hand if you mean it",
        folder.display()
    );
}

/// Runs a program of the system and gives what it said; a failure says its own words.
fn said(command: &mut Command) -> anyhow::Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .with_context(|| format!("start {name}: is this a Debian system?"))?;
    ensure!(
        output.status.success(),
        "{name} failed: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_folder_of_patchyards_is_removed_as_a_whole() {
        let base = tempfile::tempdir().expect("a folder");
        let foreign = base.path().join("documents");
        fs::create_dir_all(&foreign).expect("make");
        assert!(ensure_ours(&foreign).is_err());
        fs::create_dir_all(foreign.join("keys")).expect("make");
        fs::write(foreign.join("keys/master.key"), "").expect("write");
        assert!(ensure_ours(&foreign).is_ok());
        let ours = base.path().join("patchyard");
        assert!(ensure_ours(&ours).is_ok());
    }

    #[test]
    fn the_package_holds_the_program_its_unit_and_scripts_that_a_shell_can_read() {
        if Command::new("dpkg-deb").arg("--version").output().is_err() {
            testkit::skip::skip(&"dpkg-deb is not here");
            return;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let program = folder.path().join("true");
        fs::copy("/bin/true", &program).expect("copy");
        fs::write(folder.path().join(AGENT_PACKAGE), "the agent's").expect("write");
        let package = package(&program, folder.path()).expect("make the package");
        let listed = said(Command::new("dpkg-deb").arg("--contents").arg(&package)).expect("list");
        assert!(listed.contains("./usr/bin/patchyard\n"), "{listed}");
        assert!(
            listed.contains("./usr/lib/patchyard/patchyard-agent.deb\n"),
            "{listed}"
        );
        assert!(listed.contains("root/root"), "{listed}");
        for script in [AFTER_INSTALLATION, BEFORE_REMOVAL, AFTER_REMOVAL] {
            let path = folder.path().join("script");
            fs::write(&path, script).expect("write");
            said(Command::new("sh").arg("-n").arg(&path)).expect("a shell reads it");
        }
    }
}
