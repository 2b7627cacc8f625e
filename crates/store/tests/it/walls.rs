//! No query crosses tenants. Every function of the store that takes a `Scope` is found in the crate's own source and called
//! twice on a tenant's world: with its own scope it sees or changes something, with a foreign one nothing. A function that
//! is not called here fails the test.

mod calls;
pub mod world;

use crate::engines::{on_both, runtime};
use std::collections::BTreeSet;
use std::path::Path;
use store::{Db, Error, copy};
use world::{World, a_world};

/// What a call gave back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Nothing of the tenant.
    Nothing,
    /// Something of it.
    Something,
    /// It only adds to the scope it is called with: what counts is what it leaves alone.
    Added,
}

/// Why a probe's transaction ends without a commit.
enum Probed {
    Came(Seen),
    Failed(Error),
}

impl From<Error> for Probed {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// With its own scope: what is seen, taken back again.
async fn own(db: &Db, world: &World, call: &calls::Call) -> Result<Seen, Error> {
    let (run, world) = (call.run, world.clone());
    let scope = world.scope;
    match db
        .attempt::<(), _, _>(move |tx| Err(Probed::Came(run(tx, &scope, &world)?)))
        .await
    {
        Err(Probed::Came(seen)) => Ok(seen),
        Err(Probed::Failed(error)) => Err(error),
        Ok(()) => unreachable!("a probe never commits"),
    }
}

#[test]
fn no_function_sees_or_changes_what_is_another_tenants() {
    on_both(async |db| {
        let world = a_world(&db).await;
        let (mut showing, mut adding) = (Vec::new(), Vec::new());
        for call in calls::all() {
            let seen = own(&db, &world, &call).await;
            assert!(
                matches!(seen, Ok(Seen::Something | Seen::Added)),
                "{}: shows nothing with its own scope, so that it proves nothing: {seen:?}",
                call.name
            );
            if matches!(seen, Ok(Seen::Added)) {
                adding.push(call)
            } else {
                showing.push(call)
            }
        }
        let before = copy::of_tenant(&db, &world.scope).await.expect("digests");
        let filled: Vec<&str> = before
            .iter()
            .filter(|table| table.rows == 0)
            .map(|table| table.table.as_str())
            .collect();
        assert_eq!(filled, [""; 0], "the world has rows in every table of a tenant");
        // What the foreign tenant may add to its own comes last, so that nobody finds it.
        for call in showing.into_iter().chain(adding) {
            let (run, world, name) = (call.run, world.clone(), call.name);
            let foreign = world.foreign;
            let seen = db.write(move |tx| run(tx, &foreign, &world)).await;
            match seen {
                Ok(Seen::Nothing | Seen::Added) => {}
                // It refers to a row that is not there for this tenant, or to a name that is taken server-wide.
                Err(Error::NoSuchRow(_) | Error::Taken { .. }) => {}
                other => panic!("{name} with a foreign scope: {other:?}"),
            }
        }
        let after = copy::of_tenant(&db, &world.scope).await.expect("digests");
        assert_eq!(
            after, before,
            "a call with a foreign scope changed the tenant's rows"
        );
    });
}

/// `module::function` of every public function with a `&Scope` parameter.
fn scoped_functions(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("the crate's source").flatten() {
        let path = entry.path();
        if path.is_dir() {
            scoped_functions(&path, found);
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a source file");
        for piece in text.split("pub fn ").skip(1) {
            let (name, rest) = piece.split_once(['(', '<']).expect("parameters");
            let signature = rest.split_once('{').map_or(rest, |(signature, _)| signature);
            let parameters = signature.split(") ->").next().unwrap_or(signature);
            if parameters.contains("&Scope") {
                found.insert(format!("{}::{name}", module_of(&path)));
            }
        }
        for piece in text.split("pub async fn ").skip(1) {
            assert!(
                !piece.split('{').next().unwrap_or("").contains("&Scope") || piece.starts_with("of_tenant"),
                "an async function with a scope needs a place in this test: {piece:.60}"
            );
        }
    }
}

/// The module as its users name it: files in a noun's folder are that noun's.
fn module_of(path: &Path) -> String {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let inside = path.strip_prefix(source).expect("below src");
    let first = inside.iter().next().expect("a name").to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

#[test]
fn every_function_with_a_scope_is_called_with_a_foreign_one() {
    let mut written = BTreeSet::new();
    scoped_functions(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut written);
    let called: BTreeSet<String> = calls::all().iter().map(|call| call.name.to_owned()).collect();
    let missing: Vec<_> = written.difference(&called).collect();
    assert!(
        missing.is_empty(),
        "add a call to tests/it/walls/calls.rs for {missing:?}"
    );
    let gone: Vec<_> = called.difference(&written).collect();
    assert!(gone.is_empty(), "these are not functions of the store: {gone:?}");
    assert!(written.len() > 90, "found only {}", written.len());
}

#[test]
fn a_tenants_digest_changes_with_a_row_of_its_own_and_no_other() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    runtime().block_on(async {
        let tuning = store::Tuning::default();
        let db = crate::engines::open_file(&folder.path().join("a.db"), tuning)
            .await
            .expect("open");
        let world = a_world(&db).await;
        let of = async |scope| copy::of_tenant(&db, &scope).await.expect("digests");
        let (own, foreign) = (of(world.scope).await, of(world.foreign).await);
        let site = crate::engines::site_id(77);
        let scope = world.foreign;
        let now = crate::engines::at(0);
        db.write(move |tx| store::site::create(tx, &scope, site, "new", now))
            .await
            .expect("a site");
        assert_eq!(of(world.scope).await, own);
        assert_ne!(of(world.foreign).await, foreign);
        db.close().await;
    });
}
