//! Booted hosts are real: systemd runs, a reboot is another boot, a cut link is cut, and nothing is left of them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;
use testkit::lab::Lab;
use testkit::lab::network::Plug;
use testkit::lab::proxy::{Proxy, Weather};
use testkit::skip;

fn mounts_below(folder: &std::path::Path) -> usize {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    mounts
        .lines()
        .filter(|line| line.contains(&folder.display().to_string()))
        .count()
}

fn links() -> String {
    let done = Command::new("ip").args(["-o", "link"]).output().unwrap();
    String::from_utf8(done.stdout).unwrap()
}

#[test]
fn booted_hosts_run_systemd_reboot_for_real_and_lose_their_link() {
    let mut lab = match Lab::start() {
        Ok(lab) => lab,
        Err(missing) => return skip::skip_for(&missing),
    };
    let one = match lab.boot("one", "bookworm") {
        Ok(host) => host,
        Err(missing) => return skip::skip_for(&missing),
    };
    let mut two = lab.boot("two", "trixie").unwrap();
    assert_eq!(one.run(&["cat", "/proc/1/comm"]).unwrap().trim(), "systemd");
    assert_eq!(one.run(&["hostname"]).unwrap().trim(), "one");
    let id = |host: &testkit::lab::booted::BootedHost| host.run(&["cat", "/etc/machine-id"]).unwrap();
    assert_ne!(id(&one), id(&two));
    assert!(two.run(&["cat", "/etc/os-release"]).unwrap().contains("trixie"));
    assert!(
        one.run(&["systemctl", "is-active", "ssh"])
            .unwrap()
            .contains("active")
    );

    // A reboot is another boot of the same host; what it wrote is still there.
    let (before, other) = (one.boot_id().unwrap(), two.boot_id().unwrap());
    assert_ne!(before, other);
    one.run(&["touch", "/root/kept"]).unwrap();
    one.reboot().unwrap();
    assert_ne!(one.boot_id().unwrap(), before);
    assert_eq!(two.boot_id().unwrap(), other);
    one.run(&["test", "-e", "/root/kept"]).unwrap();

    // A power cut ends it in the middle; it comes back with another boot.
    two.cut_power().unwrap();
    assert!(two.run(&["true"]).is_err());
    two.power_on().unwrap();
    assert_ne!(two.boot_id().unwrap(), other);

    // The host reaches this machine on the bridge and nothing beyond; unplugged it reaches nothing.
    let listener = TcpListener::bind((lab.address(), 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let connect = format!("exec 3<>/dev/tcp/server/{port}");
    let reach = || {
        one.try_run(&["timeout", "2", "bash", "-c", &connect])
            .unwrap()
            .status
            .success()
    };
    assert!(reach());
    one.plug(Plug::Out).unwrap();
    assert!(!reach());
    one.plug(Plug::In).unwrap();
    assert!(reach());
    assert_eq!(one.run(&["ip", "route", "show", "default"]).unwrap(), "");

    // Two hosts see each other.
    let address = two.address().to_string();
    let ssh = format!("exec 3<>/dev/tcp/{address}/22 && head -c 4 <&3");
    assert_eq!(one.run(&["timeout", "5", "bash", "-c", &ssh]).unwrap(), "SSH-");

    let (folder, bridge) = (lab.folder().to_owned(), lab.address());
    drop((one, two, lab));
    assert_eq!(mounts_below(&folder), 0);
    assert!(!folder.exists());
    assert!(
        !links().contains(&format!("pyl{}x", std::process::id())),
        "{bridge}"
    );
}

/// A server that sends back what it gets.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut back = stream.try_clone().unwrap();
                std::io::copy(&mut &stream, &mut back)
            });
        }
    });
    address
}

fn ask(stream: &mut TcpStream, text: &[u8]) -> std::io::Result<Vec<u8>> {
    stream.write_all(text)?;
    let mut answer = vec![0; text.len()];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

#[test]
fn the_proxy_passes_bytes_on_until_the_weather_turns() {
    let proxy = Proxy::start("127.0.0.1:0".parse().unwrap(), echo()).unwrap();
    let connect = || {
        let stream = TcpStream::connect(proxy.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        stream
    };
    let mut kept = connect();
    let long: Vec<u8> = (0..50_000_u32).map(|number| number as u8).collect();
    assert_eq!(ask(&mut kept, b"hello").unwrap(), b"hello");
    assert_eq!(proxy.bytes(), 10);

    proxy.weather(Weather::Silent);
    assert!(ask(&mut kept, b"lost").is_err());
    proxy.weather(Weather::Slow(Duration::from_millis(20)));
    assert_eq!(ask(&mut kept, b"slow").unwrap(), b"slow");
    proxy.weather(Weather::CutAfter(1_000));
    assert!(ask(&mut connect(), &long).is_err());
    proxy.weather(Weather::Cut);
    assert!(ask(&mut kept, b"gone").is_err());
    assert!(ask(&mut connect(), b"gone").is_err());
    proxy.weather(Weather::Fair);
    assert_eq!(ask(&mut connect(), &long[..9_000]).unwrap(), &long[..9_000]);
}
