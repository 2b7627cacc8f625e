//! The ways into a fleet beside the printed command: over a person's own ssh, by cloud-init, by Ansible, from a golden image.

use super::world::{Fleet, Place, id_of, status, text, until};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use testkit::lab::booted::BootedHost;
use testkit::skip;

/// A person's key and ssh settings, by which root of some hosts is reached.
struct Ssh {
    folder: tempfile::TempDir,
}

impl Ssh {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(&key)
            .status();
        assert!(made.unwrap().success());
        let settings = format!(
            "User root\nIdentityFile {}\nStrictHostKeyChecking no\nUserKnownHostsFile /dev/null\nLogLevel ERROR\n",
            key.display()
        );
        fs::write(folder.path().join("config"), settings).unwrap();
        // The ssh that the person has: with their own settings.
        let own = folder.path().join("bin/ssh");
        fs::create_dir(folder.path().join("bin")).unwrap();
        let script = format!(
            "#!/bin/sh\nexec /usr/bin/ssh -F {}/config \"$@\"\n",
            folder.path().display()
        );
        fs::write(&own, script).unwrap();
        fs::set_permissions(&own, fs::Permissions::from_mode(0o755)).unwrap();
        Self { folder }
    }

    /// The folder with the person's ssh.
    fn programs(&self) -> PathBuf {
        self.folder.path().join("bin")
    }

    fn key(&self) -> PathBuf {
        self.folder.path().join("key")
    }

    /// Lets the person in.
    fn allow(&self, host: &BootedHost) {
        let folder = host.root().join("root/.ssh");
        fs::create_dir_all(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
        let keys = fs::read(self.key().with_extension("pub")).unwrap();
        fs::write(folder.join("authorized_keys"), keys).unwrap();
    }
}

fn until_enrolled(host: &BootedHost) {
    let what = format!("{} is enrolled", host.name());
    until(&what, || status(host)["state"] == "enrolled", || host.console());
}

#[test]
fn hosts_are_enrolled_over_ssh_by_cloud_init_by_ansible_and_from_a_golden_image() {
    let mut fleet = match Fleet::start() {
        Ok(fleet) => fleet,
        Err(missing) => return skip::skip_for(&missing),
    };
    fleet.say(&["tenant", "add", "north"]);
    fleet.say(&["site", "add", "main"]);
    let ssh = Ssh::new();
    let hosts = vec![
        over_ssh(&mut fleet, &ssh),
        by_cloud_init(&mut fleet),
        by_ansible(&mut fleet, &ssh),
        from_a_golden_image(&mut fleet),
    ];
    let hosts: Vec<BootedHost> = hosts.into_iter().flatten().collect();
    let theirs: BTreeSet<String> = hosts.iter().map(id_of).collect();
    assert_eq!(theirs.len(), hosts.len(), "each is a host of its own");
    let known = fleet.list(&["host", "list"]);
    let active = known.iter().filter(|host| host["state"] == "active");
    let ours: BTreeSet<String> = active.map(|host| text(host, "id")).collect();
    assert!(theirs.is_subset(&ours), "{theirs:?} {ours:?}");
}

fn over_ssh(fleet: &mut Fleet, ssh: &Ssh) -> Vec<BootedHost> {
    let hosts = vec![
        fleet.boot("ssh1", "bookworm", Place::Lab),
        fleet.boot("ssh2", "trixie", Place::Lab),
    ];
    hosts.iter().for_each(|host| ssh.allow(host));
    let list = ssh.folder.path().join("hosts");
    let lines: Vec<String> = hosts.iter().map(|host| host.address().to_string()).collect();
    fs::write(&list, format!("# two hosts\n{}\n", lines.join("\n"))).unwrap();
    let path = format!("{}:/usr/bin:/bin", ssh.programs().display());
    let address = fleet.address().to_string();
    let words = [
        "enrol",
        "--address",
        &address,
        "--ssh",
        &list.display().to_string(),
    ];
    let said = fleet.say_with(&words, &[("PATH", &path)]);
    assert_eq!(said.matches("done\n").count(), 2, "{said}");
    hosts.iter().for_each(until_enrolled);
    hosts
}

/// User data in a seed on the disk, as a cloud hands it over, and the host's own cloud-init at its first boot.
fn by_cloud_init(fleet: &mut Fleet) -> Vec<BootedHost> {
    let mut host = fleet.boot("cloud1", "bookworm", Place::Lab);
    host.install(&["cloud-init"]).unwrap();
    host.power_off().unwrap();
    let address = fleet.address().to_string();
    let user_data = fleet.say(&["enrol", "--form", "cloud-init", "--address", &address]);
    let seed = host.root().join("var/lib/cloud/seed/nocloud");
    fs::create_dir_all(&seed).unwrap();
    fs::write(seed.join("user-data"), user_data).unwrap();
    fs::write(
        seed.join("meta-data"),
        "instance-id: cloud1\nlocal-hostname: cloud1\n",
    )
    .unwrap();
    // As images of a cloud have it: asking for every other cloud that there is takes minutes.
    let only = "datasource_list: [ NoCloud ]\n";
    fs::write(host.root().join("etc/cloud/cloud.cfg.d/99_cloud.cfg"), only).unwrap();
    host.power_on().unwrap();
    let schema = host.run(&["cloud-init", "schema", "--system"]).unwrap();
    assert!(schema.contains("Valid"), "{schema}");
    until_enrolled(&host);
    vec![host]
}

/// Stops the agent and gives its identity up, as soon as the last of its processes has let go of it.
fn give_up_identity(host: &BootedHost, word: &str) {
    host.run(&["systemctl", "stop", "patchyard-agent"]).unwrap();
    let given_up = || host.run(&["patchyard-agent", word]).is_ok();
    until(&format!("{word} on {}", host.name()), given_up, || host.console());
}

/// One host is the controller, with ansible-core; it plays the printed play on another one.
fn by_ansible(fleet: &mut Fleet, ssh: &Ssh) -> Vec<BootedHost> {
    let controller = fleet.boot("controller", "bookworm", Place::Lab);
    controller.install(&["ansible-core"]).unwrap();
    let host = fleet.boot("play1", "trixie", Place::Lab);
    ssh.allow(&host);
    let address = fleet.address().to_string();
    let play = fleet.say(&["enrol", "--form", "ansible", "--address", &address]);
    let root = controller.root().join("root");
    fs::write(root.join("play.yml"), play).unwrap();
    fs::write(
        root.join("inventory"),
        format!("{} ansible_user=root\n", host.address()),
    )
    .unwrap();
    fs::copy(ssh.key(), root.join("key")).unwrap();
    let run =
        "cd /root && ANSIBLE_HOST_KEY_CHECKING=no ansible-playbook -i inventory --private-key key play.yml";
    let said = controller.run(&["sh", "-c", run]).unwrap();
    assert!(said.contains("changed=1") && said.contains("failed=0"), "{said}");
    assert!(!said.contains("py1-"), "the token is no business of logs: {said}");
    until_enrolled(&host);
    // What is there already is left alone; what fails on the next host is said.
    let again = controller.run(&["sh", "-c", run]).unwrap();
    assert!(again.contains("changed=0"), "{again}");
    give_up_identity(&host, "forget");
    let spent = controller.try_run(&["sh", "-c", run]).unwrap();
    let spent = String::from_utf8_lossy(&spent.stdout).into_owned();
    assert!(spent.contains("The enrolment token was used already"), "{spent}");
    fleet.enrol(&host, "north", fleet.address());
    vec![host]
}

/// A host is enrolled, prepared and copied twice: each copy is a host of its own.
fn from_a_golden_image(fleet: &mut Fleet) -> Vec<BootedHost> {
    let mut golden = fleet.boot("golden", "bookworm", Place::Lab);
    fleet.enrol(&golden, "north", fleet.address());
    let former = id_of(&golden);
    let refused = golden.try_run(&["patchyard-agent", "prepare-image"]).unwrap();
    assert!(!refused.status.success(), "not while the agent runs");
    give_up_identity(&golden, "prepare-image");
    fs::write(golden.root().join("etc/machine-id"), "").unwrap();
    golden.power_off().unwrap();
    let mut copies = vec![fleet.lab.copy(&golden).unwrap(), fleet.lab.copy(&golden).unwrap()];
    let command = fleet.enrolment(&["--hosts", "2"], fleet.address());
    for copy in &mut copies {
        copy.power_on().unwrap();
        assert_eq!(status(copy)["host"], serde_json::Value::Null, "it is nobody yet");
        copy.run(&["sh", "-c", &command]).unwrap();
        until_enrolled(copy);
        assert_ne!(id_of(copy), former);
    }
    copies
}
