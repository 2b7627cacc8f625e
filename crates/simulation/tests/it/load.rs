//! A server in a process of its own, over real connections, killed in the middle.

use simulation::load::enrol;
use simulation::load::inventories::{KillAfter, hand_in};
use simulation::load::serve::Child;
use std::path::Path;
use std::sync::Arc;

#[tokio::test]
async fn no_inventory_that_was_acknowledged_is_lost_when_the_server_is_killed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let program = Path::new(env!("CARGO_BIN_EXE_simulation"));
    let mut child = Child::start(program, &folder.path().join("data")).expect("the server starts");
    let agents = enrol(&Arc::new(child.served().clone()), 8)
        .await
        .expect("agents are enrolled");
    // Killed twice: what was acknowledged before the first kill is not lost by the second either.
    for _ in 0..2 {
        let handed_in = hand_in(&mut child, &agents, 200, KillAfter::Acknowledged(40)).await;
        let handed_in = handed_in.expect("nothing is lost");
        assert!(handed_in.count >= 40, "{handed_in:?}");
    }
}
