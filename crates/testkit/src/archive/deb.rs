//! Package files in the deb(5) format, written without tools: an ar archive of three members, the tar files unpacked.

/// A member of the control archive beside `control` (deb(5)): a maintainer script, or a list.
#[derive(Clone, Copy, Debug)]
pub enum Member<'a> {
    /// `preinst`, `postinst`, `prerm` or `postrm`, with its text.
    Script(&'a str, &'a str),
    /// Any other, such as `conffiles`.
    Text(&'a str, &'a str),
}

/// Bytes of a package file with that control text, those further members, and those files (path without leading slash,
/// contents).
pub fn build(control: &str, members: &[Member<'_>], files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut data = Vec::new();
    let mut folders = std::collections::BTreeSet::new();
    for (path, contents) in files {
        for (at, _) in path.match_indices('/') {
            if folders.insert(&path[..at]) {
                tar_entry(&mut data, &format!("./{}/", &path[..at]), TarKind::Folder, b"");
            }
        }
        tar_entry(&mut data, &format!("./{path}"), TarKind::File, contents);
    }
    let mut metadata = Vec::new();
    tar_entry(&mut metadata, "./control", TarKind::File, control.as_bytes());
    for member in members {
        let (name, kind, text) = match *member {
            Member::Script(name, text) => (name, TarKind::Program, text),
            Member::Text(name, text) => (name, TarKind::File, text),
        };
        tar_entry(&mut metadata, &format!("./{name}"), kind, text.as_bytes());
    }
    let mut deb = b"!<arch>\n".to_vec();
    ar_member(&mut deb, "debian-binary", b"2.0\n");
    ar_member(&mut deb, "control.tar", &tar_end(metadata));
    ar_member(&mut deb, "data.tar", &tar_end(data));
    deb
}

#[derive(Clone, Copy)]
enum TarKind {
    File,
    Program,
    Folder,
}

fn ar_member(ar: &mut Vec<u8>, name: &str, contents: &[u8]) {
    ar.extend_from_slice(
        format!("{name:<16}{:<12}0     0     100644  {:<10}`\n", 0, contents.len()).as_bytes(),
    );
    ar.extend_from_slice(contents);
    if contents.len() % 2 == 1 {
        ar.push(b'\n');
    }
}

/// One entry in the POSIX ustar format, owned by root, dated 1970. Paths have at most 100 bytes.
fn tar_entry(tar: &mut Vec<u8>, path: &str, kind: TarKind, contents: &[u8]) {
    assert!(path.len() <= 100, "a path in a test package is short: {path}");
    let (mode, type_flag) = match kind {
        TarKind::File => (0o644, b'0'),
        TarKind::Program => (0o755, b'0'),
        TarKind::Folder => (0o755, b'5'),
    };
    let mut header = [0_u8; 512];
    let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, path);
    put(100, &format!("{mode:07o}"));
    put(108, "0000000");
    put(116, "0000000");
    put(124, &format!("{:011o}", contents.len()));
    put(136, "00000000000");
    put(148, "        ");
    put(257, "ustar\x0000");
    put(265, "root");
    put(297, "root");
    header[156] = type_flag;
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    tar.extend_from_slice(&header);
    tar.extend_from_slice(contents);
    tar.resize(tar.len().next_multiple_of(512), 0);
}

fn tar_end(mut tar: Vec<u8>) -> Vec<u8> {
    tar.resize(tar.len() + 1024, 0);
    tar
}
