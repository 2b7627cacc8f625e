//! smoke
#[test]
fn smoke() {
    let t = std::time::Instant::now();
    let host = agent::host::read(
        std::path::Path::new("/"),
        agent::host::ReadOptions::from_environment(),
    )
    .unwrap();
    eprintln!("{:?}", t.elapsed());
    eprintln!(
        "{:?}\n{:#?}\n{:?}\n{:?} {}",
        host.facts,
        host.channel_config,
        host.lists,
        host.problems,
        host.inventory.packages.len()
    );
    for s in &host.channel_config.stanzas {
        eprintln!(
            "{:?}",
            host.keys.for_stanza(s).map(|k| k
                .iter()
                .map(|k| (k.path.clone(), k.bytes.len()))
                .collect::<Vec<_>>())
        );
    }
}
