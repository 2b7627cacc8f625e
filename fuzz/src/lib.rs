//! What several targets share: how a target brings its seeds, and one key with one text that it signed. A seed is a well-formed
//! input; what is signed or compressed is out of a fuzzer's reach if it has to start from nothing.

use domain::host::channels::Stanza;
use jiff::Timestamp;
use sources::apt::keyring::Keyring;
use std::sync::LazyLock;
use testkit::keys::SigningKey;

/// The text that [`KEY`] signed, and no other.
pub const TEXT: &str = "Origin: Seeds\nSuite: stable\nCodename: seeds\nDate: Thu, 01 Jan 2026 00:00:00 UTC\n\
    Valid-Until: Thu, 08 Jan 2026 00:00:00 UTC\nArchitectures: amd64\nComponents: main\nAcquire-By-Hash: yes\nSHA256:\n \
    e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 0 main/binary-amd64/Packages\n";

/// The key of all targets, made anew from its name in every process.
pub static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::ed25519("Seeds <seeds@archive.example>"));

/// The keyring that holds only [`KEY`].
pub static KEYRING: LazyLock<Keyring> =
    LazyLock::new(|| Keyring::parse(&KEY.certificate()).expect("a made certificate is well formed"));

/// When the targets verify: signatures are made in 2026, and are old by then.
pub static NOW: LazyLock<Timestamp> = LazyLock::new(|| {
    "2026-11-20T00:00:00Z"
        .parse()
        .expect("a date in the form that jiff reads")
});

/// Writes a target's seeds to the folder that the variable `FUZZ_SEEDS` names; without it, nothing.
pub fn seeds<Seed: AsRef<[u8]>>(seeds: impl IntoIterator<Item = Seed>) {
    let Some(folder) = std::env::var_os("FUZZ_SEEDS").map(std::path::PathBuf::from) else {
        return;
    };
    for (number, seed) in seeds.into_iter().enumerate() {
        std::fs::write(folder.join(format!("seed-{number}")), seed.as_ref())
            .expect("the folder of seeds is writable");
    }
}

/// A Packages file with everything in it that an index keeps.
pub const PACKAGES: &str = "Package: openssl\nVersion: 3.0.19-1\nArchitecture: amd64\nSize: 1000\nInstalled-Size: 12\n\
    Depends: libssl3 (>= 3)\nSHA256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n\nPackage: broken\n\n\
    Package: libssl3\nSource: openssl (3.0.19-1)\nVersion: 3.0.19-1+b1\nArchitecture: i386\nMulti-Arch: same\n\
    Phased-Update-Percentage: 30\nDescription: some\n text\n .\n more\n\n";

/// A source as a host would configure it.
pub fn stanza() -> Stanza {
    Stanza::new("http://archive.example/debian/", "stable", &["main"], &["amd64"])
}
