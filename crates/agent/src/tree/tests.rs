//! Both ways of staying inside a tree, the kernel's and ours, keep the same promises.

use super::*;
use std::os::unix::fs::symlink;

/// The tree by both ways.
fn both(root: &Path) -> [Tree; 2] {
    [Way::Kernel, Way::Steps].map(|way| {
        let tree = Tree::open(root).expect("a folder made for the test");
        // Where the kernel has no openat2, both are the same.
        if way == Way::Steps || tree.way == Way::Kernel {
            Tree { way, ..tree }
        } else {
            tree
        }
    })
}

fn text(tree: &Tree, path: &str) -> Option<String> {
    match tree.read(path, 100) {
        Ok(bytes) => Some(String::from_utf8(bytes).expect("the test wrote text")),
        Err(error) => {
            assert!(!matches!(error, ReadError::TooLarge { .. }), "{error}");
            None
        }
    }
}

fn made() -> std::io::Result<(tempfile::TempDir, tempfile::TempDir)> {
    let (outside, root) = (tempfile::tempdir()?, tempfile::tempdir()?);
    std::fs::write(outside.path().join("secret"), "outside")?;
    let at = |path: &str| root.path().join(path);
    std::fs::create_dir_all(at("a/b"))?;
    std::fs::write(at("file"), "inside")?;
    std::fs::write(at("a/b/deep"), "deep")?;
    symlink("/file", at("absolute"))?;
    symlink("../../file", at("a/b/climbs"))?;
    symlink("../../../../../../file", at("a/b/climbs-too-far"))?;
    symlink(outside.path().join("secret"), at("escapes"))?;
    symlink(outside.path(), at("folder-escapes"))?;
    symlink("/a/b", at("to-folder"))?;
    symlink("loop", at("loop"))?;
    symlink("/proc/self/root", at("magic"))?;
    symlink("nowhere", at("dangling"))?;
    Ok((outside, root))
}

#[test]
fn links_lead_to_the_trees_own_files_and_never_out_of_it() {
    let (outside, root) = made().expect("the test can make files");
    for tree in both(root.path()) {
        for path in [
            "file",
            "/file",
            "//a/./b/../../file",
            "../../../file",
            "absolute",
            "a/b/climbs",
            "a/b/climbs-too-far",
        ] {
            assert_eq!(
                text(&tree, path).as_deref(),
                Some("inside"),
                "{path} by {:?}",
                tree.way
            );
        }
        for path in ["to-folder/deep", "/to-folder/../b/deep", "a/../to-folder/deep"] {
            assert_eq!(
                text(&tree, path).as_deref(),
                Some("deep"),
                "{path} by {:?}",
                tree.way
            );
        }
        let secret = outside.path().join("secret");
        let secret = secret.to_str().expect("a temporary path is text");
        let climb = format!("{}{secret}", "../".repeat(30));
        for path in [
            "escapes",
            "folder-escapes/secret",
            "loop",
            "magic/etc/passwd",
            "dangling",
            "file/x",
            secret,
            &climb,
        ] {
            assert_eq!(text(&tree, path), None, "{path} by {:?}", tree.way);
        }
        assert_eq!(tree.kind("folder-escapes").expect("nothing is there"), None);
        assert!(tree.entries("folder-escapes").is_err());
        assert_eq!(tree.entries("to-folder").expect("a folder").len(), 3);
    }
}

#[test]
fn the_way_outside_resolves_links_inside() {
    let (_outside, root) = made().expect("the test can make files");
    let here = root.path().canonicalize().expect("it exists");
    let tree = Tree::open(root.path()).expect("a folder");
    assert_eq!(tree.outside("/to-folder/deep"), here.join("a/b/deep"));
    assert_eq!(tree.outside("to-folder/../../../x/y/"), here.join("x/y"));
    assert_eq!(tree.outside("../../../.."), here);
    assert!(tree.outside("folder-escapes/secret").starts_with(&here));
    assert!(tree.outside("loop").starts_with(&here));
}

#[test]
fn only_regular_files_up_to_the_limit_are_read() {
    let (_outside, root) = made().expect("the test can make files");
    for tree in both(root.path()) {
        assert!(matches!(tree.read("a", 100), Err(ReadError::WrongKind { .. })));
        assert!(matches!(
            tree.read("file", 5),
            Err(ReadError::TooLarge { limit_bytes: 5, .. })
        ));
        assert_eq!(tree.read("file", 6).expect("six bytes"), b"inside");
        assert!(tree.read("none", 6).expect_err("it is missing").is_not_found());
        assert!(matches!(
            tree.entries("file"),
            Err(ReadError::WrongKind { .. } | ReadError::NotFound { .. })
        ));
        assert!(tree.read("a\0b", 6).is_err());
    }
}
