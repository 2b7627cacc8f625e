//! apt.conf: no text makes a tree beyond its limit, and every question about it has an answer.
#![no_main]

use agent::apt_conf::read::parse;
use libfuzzer_sys::fuzz_target;

/// What `AptConf` says it holds at most.
const MOST_SETTINGS: usize = 100_000;

const CONF: &str = "// comment\nAPT::Architecture \"amd64\";\nAcquire { Languages { \"en\"; \"none\"; };\n  http::Proxy \"x\"; };\n\
    /* more */ #clear APT::Architectures;\nDir::Etc \"etc/apt\"; Dir { State \"var/lib/apt\"; };\nAPT::X:: \"a\"; APT::X:: \"b\";\n";

fuzz_target!(init: fuzz::seeds([CONF]), |text: &str| {
    let (conf, _problems) = parse("apt.conf", text);
    let _ = (conf.file("Dir::Etc::main"), conf.folder("Dir::State::lists"), conf.list("Acquire::Languages"));
    let settings = conf.settings();
    assert!(settings.len() <= MOST_SETTINGS);
    for (name, _) in settings.iter().take(100) {
        let _ = (conf.text(name), conf.truth(name, true), conf.number(name), conf.names_below(name));
    }
});
