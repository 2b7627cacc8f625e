//! Attacks on a scan: mirrors that lie within what is signed, images that lead out of themselves, roots that harm each
//! other, and ways in which unknown could read as clean.

use crate::world::{KEY_FILE, World, scan_at};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, symlink};
use std::process::{Command, Stdio};
use testkit::archive::Archive;
use testkit::archive::package::Package;
use testkit::keys::SigningKey;

/// The scan says that something was not assessed, names this reason there, and `--fail-on` counts it.
fn assert_not_assessed(world: &World, options: &[&str], reason: &str) {
    let json = world.json(options);
    assert_eq!(json["standing"], "unknown", "{json:#}");
    let shown = world.scan(options).stdout;
    let named = |line: &str| line.contains("NOT ASSESSED") && line.contains(reason);
    assert!(shown.lines().any(named), "no {reason:?} in {shown}");
    assert_eq!(world.scan(&[options, &["--fail-on", "unknown"]].concat()).code, 4);
}

#[test]
fn a_mirror_that_serves_another_suite_does_not_silence_the_security_suite() {
    let world = World::new();
    world.fetch_as_apt();
    assert_eq!(world.json(&[])["counts"]["security_updates"], 1);
    // Everything is well signed by the right key; it is only not what was asked for.
    for file in [
        "InRelease",
        "main/binary-amd64/Packages",
        "main/binary-amd64/Packages.xz",
        "main/binary-amd64/Packages.gz",
    ] {
        let from = world.served().join("dists/stable").join(file);
        if from.exists() {
            std::fs::copy(from, world.served().join("dists/stable-security").join(file)).unwrap();
        }
    }
    world.fetch_as_apt();
    for options in [&[][..], &["--refresh"]] {
        let json = world.json(options);
        assert_eq!(json["counts"]["security_updates"], 0, "{json:#}");
        assert_not_assessed(&world, options, "calls itself stable");
    }
}

#[test]
fn a_reader_that_leaves_early_does_not_turn_the_exit_code_into_clean() {
    let world = World::new();
    world.fetch_as_apt();
    let mut child = Command::new(env!("CARGO_BIN_EXE_patchyard"))
        .args(["scan", "--json", "--fail-on", "any", "--root"])
        .arg(world.host())
        .arg("--cache-dir")
        .arg(world.cache())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(3));
}

#[test]
fn an_image_cannot_lead_a_file_archive_out_of_itself() {
    let key = SigningKey::ed25519("Image <image@archive.example>");
    let outside = tempfile::tempdir().unwrap();
    let archive = Archive::new("outer")
        .arch("amd64")
        .package(Package::new("plain", "9.0"))
        .sign(&key);
    archive.write_to(outside.path()).unwrap();
    let climbing = format!("file:/../../../../../../../../..{}", outside.path().display());
    for uri in ["file:/linked", climbing.as_str()] {
        let stanza = archive.stanza(uri, &["Signed-By: /usr/share/keyrings/outer.gpg"]);
        let world = World::with(
            |main, _| main,
            |tree| {
                tree.key("/usr/share/keyrings/outer.gpg", &key.certificate())
                    .stanza("outer", &stanza)
            },
        );
        symlink(outside.path(), world.host().join("linked")).unwrap();
        assert_not_assessed(&world, &["--refresh"], "outer: ");
        // The same archive inside the image is read.
        let inside = world.host().join("linked");
        std::fs::remove_file(&inside).unwrap();
        archive.write_to(&inside).unwrap();
        if uri == "file:/linked" {
            assert!(world.json(&["--refresh"]).to_string().contains("9.0"));
        }
    }
}

#[test]
fn certificate_authorities_of_an_image_are_read_inside_it_and_never_waited_for() {
    let world = World::with(
        |main, _| main,
        |tree| tree.apt_conf("90ca", "Acquire::https::CaInfo \"/ca.pem\";\n"),
    );
    let stanza = world.host().join("etc/apt/sources.list.d/stable.sources");
    let text = std::fs::read_to_string(&stanza).unwrap();
    std::fs::write(&stanza, text.replace("http://", "https://")).unwrap();
    let pipe = world.host().join("ca.pem");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    assert_not_assessed(&world, &["--refresh"], "certificate authorities");
}

#[test]
fn another_root_with_keys_of_its_own_cannot_poison_what_a_root_knows_of_a_source() {
    let world = World::new();
    assert_eq!(world.json(&["--refresh"])["standing"], "updates_missing");
    // An image names the same address and suite, and a key of its own; whoever answers it (its own proxy, say)
    // serves what that key signed, dated later than anything the real vendor has.
    let evil = SigningKey::ed25519("Evil <evil@archive.example>");
    let keyring = world.host().join(KEY_FILE.trim_start_matches('/'));
    let honest_keys = std::fs::read(&keyring).unwrap();
    std::fs::write(&keyring, evil.certificate()).unwrap();
    let later = jiff::Timestamp::from_second(1_785_000_000).unwrap();
    Archive::new("stable-security")
        .origin("World")
        .arch("amd64")
        .date(later)
        .package(Package::new("hello", "0.1"))
        .sign(&evil)
        .write_to(&world.served())
        .unwrap();
    let _ = world.json(&["--refresh"]);
    // The real host again, from the same cache.
    std::fs::write(&keyring, honest_keys).unwrap();
    let security = Archive::new("stable-security")
        .origin("World")
        .arch("amd64")
        .package(Package::new("hello", "1.0-1+deb1u1"))
        .sign(&SigningKey::ed25519("World <world@archive.example>"));
    security.write_to(&world.served()).unwrap();
    let json = world.json(&["--refresh"]);
    assert_eq!(json["standing"], "updates_missing", "{json:#}");
    assert_eq!(json["counts"]["security_updates"], 1);
}

#[test]
fn a_source_file_that_a_link_hides_makes_the_host_unknown() {
    for path in [
        "etc/apt/sources.list.d/more.sources",
        "etc/apt/sources.list.d/more.list",
        "etc/apt/sources.list",
        "etc/apt/preferences",
        "etc/apt/preferences.d/more",
        "etc/apt/apt.conf.d/99more",
    ] {
        let world = World::new();
        world.fetch_as_apt();
        assert_eq!(world.json(&[])["standing"], "updates_missing");
        let link = world.host().join(path);
        std::fs::create_dir_all(link.parent().unwrap()).unwrap();
        let _ = std::fs::remove_file(&link);
        symlink("/run/not-mounted-here", &link).unwrap();
        assert_not_assessed(&world, &[], path);
    }
}

#[test]
fn what_of_the_host_was_left_out_stands_under_not_assessed() {
    let world = World::new();
    world.fetch_as_apt();
    std::fs::write(world.host().join("etc/apt/sources.list"), "deb http://\n").unwrap();
    assert_not_assessed(&world, &[], "sources.list:1");
}

#[test]
fn held_updates_beside_a_hole_are_not_said_to_be_all_that_is_missing() {
    let world = World::new();
    world.fetch_as_apt();
    let status = world.host().join("var/lib/dpkg/status");
    let text = std::fs::read_to_string(&status).unwrap();
    std::fs::write(&status, text.replace("Status: install ok", "Status: hold ok")).unwrap();
    let shown = world.scan(&[]).stdout;
    assert!(
        shown.contains("no update is missing but those set aside"),
        "{shown}"
    );
    std::fs::remove_file(world.list("dists/stable/InRelease")).unwrap();
    let shown = world.scan(&[]).stdout;
    assert!(!shown.contains("no update is missing"), "{shown}");
    assert!(shown.contains("not everything could be assessed"), "{shown}");
}

#[test]
fn a_password_in_an_address_stands_in_no_output() {
    let world = World::new();
    let stanza = world.host().join("etc/apt/sources.list.d/stable.sources");
    let text = std::fs::read_to_string(&stanza).unwrap();
    std::fs::write(&stanza, text.replace("http://", "http://user:hunter2@")).unwrap();
    for options in [
        &[][..],
        &["--json"],
        &["--explain", "plain"],
        &["--refresh"],
        &["--refresh", "--json"],
        &["--refresh", "--explain", "plain"],
    ] {
        let ran = world.scan(options);
        assert!(!(ran.stdout + &ran.stderr).contains("hunter2"), "{options:?}");
    }
}

#[test]
fn a_root_below_proc_is_the_one_that_the_process_has() {
    let world = World::new();
    world.fetch_as_apt();
    // A process of a container: its root is not what the text of /proc/PID/root says.
    if !std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0) {
        return testkit::skip::skip(&"only root may give a process another root");
    }
    let mut inside = Command::new("unshare")
        .args(["--mount", "--", "sh", "-ec"])
        .arg("mount --rbind \"$0\" \"$0\"; cd \"$0\"; mkdir -p old; pivot_root . old; echo ready; read x")
        .arg(world.host())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(inside.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(line, "ready\n");
    let root = format!("/proc/{}/root", inside.id());
    let ran = scan_at(root.as_ref(), &world.cache(), &["--json"]);
    let json: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    drop(inside.stdin.take());
    let _ = inside.wait();
    assert_eq!(json["system"]["packages_installed"], 3);
}

#[test]
fn a_half_installed_package_and_an_unfinished_dpkg_make_the_host_unknown() {
    for status in ["install ok half-installed", "install reinstreq unpacked"] {
        let world = World::new();
        world.fetch_as_apt();
        let path = world.host().join("var/lib/dpkg/status");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replacen("install ok installed", status, 1)).unwrap();
        assert_not_assessed(&world, &[], "hello is only half installed");
        assert_eq!(
            world.json(&[])["counts"]["updates"],
            2,
            "it is judged all the same"
        );
    }
    let world = World::new();
    world.fetch_as_apt();
    let journal = world.host().join("var/lib/dpkg/updates");
    std::fs::create_dir_all(&journal).unwrap();
    std::fs::write(journal.join("0001"), "Package: hello\n").unwrap();
    assert_not_assessed(&world, &[], "dpkg was interrupted");
}
