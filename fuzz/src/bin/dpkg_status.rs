//! dpkg's status: what is read is sorted, and each package once for its name and architecture.
#![no_main]

use agent::dpkg_status::parse;
use libfuzzer_sys::fuzz_target;

const STATUS: &str = "Package: openssl\nStatus: install ok installed\nArchitecture: amd64\nMulti-Arch: foreign\n\
    Version: 3.0.19-1\nDepends: libc6 (>= 2.34)\n\nPackage: libssl3\nStatus: hold reinstreq half-configured\n\
    Architecture: i386\nSource: openssl (3.0.19-1)\nVersion: 3.0.19-1+b1\n\nPackage: gone\n\
    Status: deinstall ok config-files\nArchitecture: all\nVersion: 1\n\n";

fuzz_target!(init: fuzz::seeds([STATUS]), |bytes: &[u8]| {
    let Ok((inventory, _problems)) = parse("status", bytes) else { return };
    let keys = inventory.packages.iter().map(|package| (&package.name, &package.architecture));
    assert!(keys.is_sorted());
});
