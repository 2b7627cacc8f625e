//! Source lists in both forms: every stanza that comes out is one that the rest may rely on.
#![no_main]

use agent::apt_conf::read::{ConfOptions, read as read_conf};
use agent::sources_list::{Architectures, read};
use agent::tree::Tree;
use domain::host::channels::Settings;
use libfuzzer_sys::fuzz_target;
use sources::apt::fetch::address::Address;
use sources::apt::freshness::FreshnessRules;
use std::sync::LazyLock;
use tempfile::TempDir;

const ONE_LINE: &str = "0deb [arch+=i386 arch-=armel signed-by=/k.gpg,/l.asc trusted=no by-hash=force check-date=no \
    valid-until-max=86400] http://a.example/debian/ stable main contrib # comment\ndeb-src http://a.example/ ./\n\
    deb [lang=none] \"file:/srv/a b/\" stable/$(ARCH)/\n";
const DEB822: &str = "1Types: deb deb-src\nURIs: http://a.example/debian https://b.example\nSuites: stable stable-updates\n\
    Components: main\nArchitectures: amd64\nEnabled: yes\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc=\n \
    -----END PGP PUBLIC KEY BLOCK-----\n\n# off\nTypes: deb\nURIs: http://c.example\nSuites: ./\nEnabled: no\n";

/// Both files of a tree that holds nothing else. In memory where the system offers a place for that.
static ROOT: LazyLock<TempDir> = LazyLock::new(|| {
    let shared = std::path::Path::new("/dev/shm");
    let root = if shared.is_dir() {
        TempDir::new_in(shared)
    } else {
        TempDir::new()
    };
    let root = root.expect("a temporary folder can be made");
    std::fs::create_dir_all(root.path().join("etc/apt/sources.list.d")).expect("folders can be made in it");
    root
});

fuzz_target!(init: fuzz::seeds([ONE_LINE, DEB822]), |bytes: &[u8]| {
    let Some((form, text)) = bytes.split_first() else { return };
    let names = ["etc/apt/sources.list", "etc/apt/sources.list.d/a.sources"];
    let choice = usize::from(*form % 2);
    std::fs::write(ROOT.path().join(names[choice]), text).expect("the temporary folder is writable");
    std::fs::write(ROOT.path().join(names[1 - choice]), "").expect("the temporary folder is writable");
    let tree = Tree::open(ROOT.path()).expect("the tree is there");
    let (conf, _) = read_conf(&tree, &ConfOptions::default());
    let both = || vec![String::from("amd64"), String::from("i386")];
    let architectures = Architectures { native: "amd64".into(), configured: both(), barbarian: Vec::new() };
    let (stanzas, _problems) = read(&tree, &conf, &architectures);
    for stanza in stanzas {
        assert!(stanza.uri.ends_with('/'), "{stanza:?}");
        assert!(stanza.line > 0, "{stanza:?}");
        assert_eq!(stanza.is_flat(), stanza.components.is_empty(), "{stanza:?}");
        let _ = FreshnessRules::new(&stanza, &Settings::default());
        let _ = Address::parse(&stanza.uri);
    }
});
