//! Whole hosts: what makes any answer impossible is an error that says what to do; all else is a problem.

use crate::oracle::put;
use agent::host::{Host, HostError, ReadOptions, read};
use agent::keys::KeyProblem;
use domain::host::channels::PhasedChoice;
use std::os::unix::fs::symlink;
use std::path::Path;
use testkit::host::HostTree;

const APT: &str = "Package: apt\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.6.1\n";

fn host(root: &Path) -> Host {
    read(root, ReadOptions::default()).unwrap()
}

fn written(tree: HostTree) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    tree.write_to(root.path()).unwrap();
    root
}

#[test]
fn a_host_is_read_from_its_tree_alone() {
    let root = written(
        HostTree::new()
            .status(APT)
            .foreign("i386")
            .file("etc/debian_version", "12.15\n")
            .sources_list("deb http://deb.example/debian stable main\n")
            .apt_conf(
                "50x",
                "APT::Default-Release \"stable\"; Acquire::Max-ValidTime::Own \"60\";",
            )
            .key("/etc/apt/trusted.gpg.d/a.asc", b"key a")
            .key("/etc/apt/trusted.gpg.d/not-a-key.txt", b"x")
            .key("/etc/apt/trusted.gpg", b"old key"),
    );
    let host = host(root.path());
    assert_eq!(host.problems, []);
    assert_eq!(host.facts.os_version, "12.15");
    assert_eq!(host.facts.hostname.as_deref(), Some("host1"));
    assert_eq!(host.facts.kernel_release, None);
    assert_eq!(
        host.channel_config.architectures().collect::<Vec<_>>(),
        ["amd64", "i386"]
    );
    assert_eq!(host.channel_config.stanzas[0].architectures, ["amd64", "i386"]);
    assert_eq!(
        host.channel_config.settings.default_release.as_deref(),
        Some("stable")
    );
    assert_eq!(
        host.lists,
        root.path().canonicalize().unwrap().join("var/lib/apt/lists")
    );
    assert_eq!(
        (
            host.valid_times(Some("Own")).max_seconds,
            host.valid_times(None).max_seconds
        ),
        (60, 0)
    );
    let keys = host.keys.for_stanza(&host.channel_config.stanzas[0]).unwrap();
    let paths: Vec<&str> = keys.iter().map(|key| key.path.as_str()).collect();
    assert_eq!(paths, ["/etc/apt/trusted.gpg", "/etc/apt/trusted.gpg.d/a.asc"]);
}

#[test]
fn the_single_keyring_counts_only_for_an_apt_that_reads_it() {
    let tree = |version: &str| {
        HostTree::new()
            .status(&APT.replace("2.6.1", version))
            .key("/etc/apt/trusted.gpg", b"old key")
    };
    assert_eq!(host(written(tree("2.6.1")).path()).keys.common().len(), 1);
    assert_eq!(host(written(tree("3.0.3")).path()).keys.common().len(), 0);
    let told = tree("3.0.3").apt_conf("x", "Dir::Etc::trusted \"trusted.gpg\";");
    assert_eq!(host(written(told).path()).keys.common().len(), 1);
}

#[test]
fn a_key_that_cannot_be_read_is_named() {
    let sources = "deb [signed-by=/keys/none.gpg] http://a.example s main\ndeb http://b.example s main\n";
    let root = written(HostTree::new().status(APT).sources_list(sources));
    let host = host(root.path());
    let [named, common] = host.channel_config.stanzas.as_slice() else {
        panic!("{:?}", host.channel_config)
    };
    let error = host.keys.for_stanza(named).unwrap_err();
    assert!(
        error.to_string().contains("/keys/none.gpg does not exist"),
        "{error}"
    );
    assert!(matches!(
        host.keys.for_stanza(common),
        Err(KeyProblem::NoCommonKeys { .. })
    ));
}

#[test]
fn a_root_without_status_or_architecture_is_an_error_that_says_what_to_do() {
    let root = tempfile::tempdir().unwrap();
    let error = read(root.path(), ReadOptions::default()).unwrap_err();
    assert!(matches!(error, HostError::Status(_)));
    assert!(
        error.to_string().contains("the root of a Debian system"),
        "{error}"
    );
    let mixed = "Package: a\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n";
    let root = written(
        HostTree::new()
            .status(mixed)
            .status(&mixed.replace("amd64", "i386")),
    );
    let error = read(root.path(), ReadOptions::default()).unwrap_err();
    assert!(error.to_string().contains("APT::Architecture"), "{error}");
    let error = read(&root.path().join("none"), ReadOptions::default()).unwrap_err();
    assert!(matches!(error, HostError::Tree(_)));
}

#[test]
fn a_host_without_sources_says_so() {
    let root = written(HostTree::new().status(APT));
    std::fs::remove_dir(root.path().join("etc/apt/sources.list.d")).unwrap();
    let problems = host(root.path()).problems;
    assert!(
        problems[0].what.contains("no source of packages is configured"),
        "{problems:?}"
    );
}

#[test]
fn nothing_outside_the_tree_is_read() {
    let outside = tempfile::tempdir().unwrap();
    put(outside.path(), "secret", "deb http://outside.example s main\n");
    let root = written(
        HostTree::new()
            .status(APT)
            .file("secret", "deb http://inside.example s main\n"),
    );
    let lists = root.path().join("etc/apt/sources.list.d");
    let secret = outside.path().join("secret");
    symlink(&secret, lists.join("a.list")).unwrap();
    symlink("/secret", lists.join("b.list")).unwrap();
    let climb = format!("{}{}", "../".repeat(40), secret.display());
    symlink(climb, lists.join("c.list")).unwrap();
    symlink(outside.path(), root.path().join("etc/apt/preferences.d")).unwrap();
    symlink("/../../../../../../../../var/lib/apt", root.path().join("state")).unwrap();
    let options = ReadOptions {
        conf: agent::apt_conf::read::ConfOptions {
            apt_config: None,
            overrides: vec![("Dir::State".to_owned(), "state".to_owned())],
        },
        ..ReadOptions::default()
    };
    let host = read(root.path(), options).unwrap();
    let uris: Vec<&str> = host
        .channel_config
        .stanzas
        .iter()
        .map(|stanza| stanza.uri.as_str())
        .collect();
    assert_eq!(uris, ["http://inside.example/"]);
    assert_eq!(
        host.lists,
        root.path().canonicalize().unwrap().join("var/lib/apt/lists")
    );
}

#[test]
fn pipes_devices_folders_and_huge_files_in_the_place_of_files_are_passed_over_with_a_word() {
    let root = written(HostTree::new().status(APT));
    let etc = root.path().join("etc/apt");
    let fifo = std::process::Command::new("mkfifo")
        .arg(etc.join("sources.list.d/pipe.list"))
        .status()
        .unwrap();
    assert!(fifo.success());
    symlink("/dev/zero", etc.join("sources.list.d/zero.list")).unwrap();
    symlink("/proc/self/mem", etc.join("preferences")).unwrap();
    std::fs::create_dir(etc.join("sources.list")).unwrap();
    let huge = std::fs::File::create(etc.join("sources.list.d/huge.list")).unwrap();
    huge.set_len(1 << 40).unwrap();
    let host = host(root.path());
    assert_eq!(host.channel_config.stanzas, []);
    let named: Vec<&str> = host
        .problems
        .iter()
        .map(|problem| problem.file.as_str())
        .collect();
    let lists = ["huge", "zero"].map(|name| format!("/etc/apt/sources.list.d/{name}.list"));
    assert_eq!(named, [&lists[0], &lists[1], "/etc/apt/preferences"]);
}

#[test]
fn facts_of_control_characters_are_cleaned_and_cut() {
    let long = "n".repeat(10_000);
    let root = written(
        HostTree::new()
            .status(APT)
            .file(
                "etc/os-release",
                "ID=debian\nPRETTY_NAME=\"De\u{1b}[31mb\\\"ian\"\nVERSION_ID='12'\n# x\n",
            )
            .file("etc/hostname", &format!("# comment\n\n{long}\u{7}\n")),
    );
    let facts = host(root.path()).facts;
    assert_eq!(facts.os_name, "De[31mb\"ian");
    assert_eq!((facts.os_version.as_str(), facts.os_codename), ("12", None));
    assert_eq!(facts.hostname.unwrap().len(), 256);
}

#[test]
fn phasing_follows_apts_order_of_settings() {
    let phased = |conf: &str, options: ReadOptions| {
        let root = written(HostTree::new().status(APT).apt_conf("x", conf));
        read(root.path(), options).unwrap().channel_config.settings.phased
    };
    let epoch = || ReadOptions::for_environment(|name| (name == "SOURCE_DATE_EPOCH").then(|| "0".to_owned()));
    assert_eq!(phased("", ReadOptions::default()), PhasedChoice::ByMachineId);
    assert_eq!(phased("", epoch()), PhasedChoice::Always);
    assert_eq!(
        phased("APT::Get::Never-Include-Phased-Updates \"1\";", epoch()),
        PhasedChoice::Never
    );
    let both = "Update-Manager::Always-Include-Phased-Updates \"true\"; APT::Get::Never-Include-Phased-Updates \"yes\";";
    assert_eq!(phased(both, ReadOptions::default()), PhasedChoice::Always);
    let overruled = "Update-Manager::Always-Include-Phased-Updates \"true\"; APT::Get::Always-Include-Phased-Updates \"no\";";
    assert_eq!(
        phased(overruled, ReadOptions::default()),
        PhasedChoice::ByMachineId
    );
}

#[test]
fn the_running_system_is_read_without_a_refusal() {
    if !Path::new("/var/lib/dpkg/status").exists() {
        return testkit::skip::skip(&"this is no Debian system");
    }
    let host = host(Path::new("/"));
    assert!(host.inventory.packages.len() > 50);
    let mut dpkg = std::process::Command::new("dpkg");
    let native = dpkg.arg("--print-architecture").output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&native.stdout).trim(),
        host.channel_config.native_architecture
    );
}
