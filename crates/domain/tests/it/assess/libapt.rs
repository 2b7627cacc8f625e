//! Asks libapt itself about whole small worlds: one Python process that forks for each, so that nothing of one world
//! is remembered in the next.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

/// Reads the folders of worlds, a line each; answers with lines of tab-separated fields and a full stop after each world.
const SCRIPT: &str = r#"
import os, sys, apt_pkg
def say(*fields):
    sys.stdout.write("\t".join(map(str, fields)) + "\n")
def world(folder):
    c = apt_pkg.config
    apt_pkg.read_config_file(c, folder + "/apt.conf")
    apt_pkg.init_system()
    try:
        cache = apt_pkg.Cache(None)
    except apt_pkg.Error as e:
        say("E", str(e).replace("\n", " ").replace("\t", " "))
        return
    try:
        dep = apt_pkg.DepCache(cache)
        pol = dep.policy
    except apt_pkg.Error as e:
        # A package that needs a file that is nowhere: apt lists, but plans nothing.
        dep = None
        pol = apt_pkg.Policy(cache)
        pol.read_pinfile(folder + "/preferences")
        pol.init_defaults()
    for f in cache.file_list:
        say("F", f.id, "-" if f.not_source else f.filename, pol.get_priority(f))
    rows = []
    for p in cache.packages:
        if not p.version_list: continue
        cand = (dep or pol).get_candidate_ver(p)
        cur = p.current_ver
        place = {v.id: n for n, v in enumerate(p.version_list)}
        up = dep.is_upgradable(p) if dep else bool(cand and (not cur or place[cand.id] < place[cur.id]))
        rows.append((p, cur, cand, place, up))
    for (p, cur, cand, place, up) in rows:
        say("P", p.name, p.architecture, place[cur.id] if cur else "-", place[cand.id] if cand else "-", int(up))
        for v in p.version_list:
            files = [f.id for f, _ in v.file_list if not f.not_source]
            known = any(f.not_source for f, _ in v.file_list)
            say("V", v.ver_str, int(known), pol.get_priority(v), ",".join(map(str, files)) or "-")
    if not dep:
        say("X", "not everything can be repaired")
        return
    try:
        dep.upgrade(False)
        for (p, cur, cand, place, up) in rows:
            if cur and dep.marked_upgrade(p): say("U", p.name, p.architecture)
    except apt_pkg.Error as e:
        say("X", str(e).replace("\n", " "))
apt_pkg.init_config()
for line in sys.stdin:
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        world(line.rstrip("\n"))
        sys.stdout.flush()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    say("." if status == 0 else "!")
    sys.stdout.flush()
"#;

/// What libapt says of one world.
#[derive(Debug, Default)]
pub struct Answer {
    /// Why it refuses to work, if it does.
    pub refusal: Option<String>,
    /// Why it plans no upgrade, if it does not.
    pub no_plan: Option<String>,
    /// Index files by apt's number: path and priority.
    pub files: BTreeMap<usize, (String, i32)>,
    /// Packages by name and architecture.
    pub packages: BTreeMap<(String, String), Package>,
    last: Option<(String, String)>,
}

/// What libapt says of one package.
#[derive(Debug, Default)]
pub struct Package {
    /// Place of the installed version.
    pub installed: Option<usize>,
    /// Place of the candidate.
    pub candidate: Option<usize>,
    /// Whether apt calls it upgradable.
    pub is_upgradable: bool,
    /// Whether `apt-get upgrade` would upgrade it.
    pub is_upgraded: bool,
    /// Its versions, in apt's order.
    pub versions: Vec<Version>,
}

/// What libapt says of one version.
#[derive(Debug, PartialEq, Eq)]
pub struct Version {
    /// Version.
    pub text: String,
    /// Its priority.
    pub priority: i32,
    /// Whether it stands in dpkg's status, installed or remembered.
    pub is_known_to_dpkg: bool,
    /// The numbers of the index files that list it.
    pub files: Vec<usize>,
}

/// Asks about every world and passes each answer on.
pub fn ask(folders: &[&Path], config: &Path, mut take: impl FnMut(usize, Answer)) {
    let mut child = Command::new("/usr/bin/python3")
        .args(["-c", SCRIPT])
        .env("APT_CONFIG", config)
        .env("LC_ALL", "C")
        .env_remove("SOURCE_DATE_EPOCH")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("python starts");
    let mut stdin = child.stdin.take().expect("piped");
    let stdout = BufReader::new(child.stdout.take().expect("piped"));
    thread::scope(|scope| {
        scope.spawn(move || {
            for folder in folders {
                writeln!(stdin, "{}", folder.display()).expect("python reads");
            }
        });
        let (mut number, mut answer) = (0, Answer::default());
        for line in stdout.lines() {
            let line = line.expect("python writes UTF-8");
            match line.as_str() {
                "." => {
                    take(number, std::mem::take(&mut answer));
                    number += 1;
                }
                "!" => panic!("libapt died of world {number}"),
                _ => add_line(&mut answer, &line),
            }
        }
        assert_eq!(number, folders.len(), "an answer for every world");
    });
    assert!(child.wait().expect("python ends").success());
}

fn add_line(answer: &mut Answer, line: &str) {
    let fields: Vec<&str> = line.split('\t').collect();
    let number = |text: &str| text.parse::<usize>().ok();
    match fields.as_slice() {
        ["E", why] => answer.refusal = Some((*why).to_owned()),
        ["F", id, path, priority] => {
            let id = id.parse().expect("a number");
            answer
                .files
                .insert(id, ((*path).to_owned(), priority.parse().expect("a number")));
        }
        ["P", name, architecture, installed, candidate, upgradable] => {
            let package = Package {
                installed: number(installed),
                candidate: number(candidate),
                is_upgradable: *upgradable == "1",
                ..Package::default()
            };
            answer
                .packages
                .insert(((*name).to_owned(), (*architecture).to_owned()), package);
            answer.last = Some(((*name).to_owned(), (*architecture).to_owned()));
        }
        ["V", text, known, priority, files] => {
            let key = answer.last.clone().expect("a package before its versions");
            let version = Version {
                text: (*text).to_owned(),
                priority: priority.parse().expect("a number"),
                is_known_to_dpkg: *known == "1",
                files: files.split(',').filter_map(number).collect(),
            };
            answer
                .packages
                .get_mut(&key)
                .expect("inserted")
                .versions
                .push(version);
        }
        ["U", name, architecture] => {
            let key = ((*name).to_owned(), (*architecture).to_owned());
            answer.packages.get_mut(&key).expect("listed before").is_upgraded = true;
        }
        ["X", why] => answer.no_plan = Some((*why).to_owned()),
        other => panic!("unforeseen answer {other:?}"),
    }
}

/// Writes the configuration that keeps every world apart from this machine.
pub fn write_config(path: &Path) {
    fs::write(
        path,
        "Dir::Etc::main \"/dev/null\";\nDir::Etc::parts \"/dev/null\";\n",
    )
    .expect("writable");
}
