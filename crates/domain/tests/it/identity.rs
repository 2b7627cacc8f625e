//! The chain of check-ins against every order of events that a network, a cloning person and a restored server can make.

use domain::identity::chain::{Bearer, Chain, Presented, Request, Standing};
use domain::identity::{BootId, HardwareMark, Nonce};
use jiff::Timestamp;
use proptest::prelude::*;

/// An agent as far as the chain is concerned.
#[derive(Clone, Debug)]
struct Agent {
    bearer: Bearer,
    count: u64,
    /// The last number that it gave to a request.
    sequence: u64,
    /// The request that has no answer yet: asked again with the same nonce, at a later time.
    pending: Option<Request>,
    is_superseded: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Answer {
    Arrives,
    IsLost,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// The original, or its copy, checks in.
    CheckIn { is_copy: bool, answer: Answer },
    /// A request of long ago is delivered once more.
    Replay(prop::sample::Index),
    /// The original's computer restarts.
    Restart,
    /// The copy's computer restarts.
    RestartCopy,
    /// The server is set back to what it was some steps ago.
    Restore(prop::sample::Index),
}

/// Numbers that an agent puts aside with each save of its journal.
const PUT_ASIDE: u64 = 4_096;

struct World {
    server: Chain,
    past: Vec<Chain>,
    sent: Vec<(u64, Request, Bearer)>,
    agents: [Agent; 2],
    clock: i64,
    has_original_reclaimed: bool,
}

impl World {
    /// A host that checked in a few times, and was then copied.
    fn new(original: Bearer, copy: Bearer, before: usize, is_asking: bool) -> Self {
        let request = Request {
            nonce: Nonce([0; 16]),
            sequence: 0,
            sent_at: Timestamp::UNIX_EPOCH,
        };
        let agent = Agent {
            bearer: original,
            count: 1,
            sequence: 0,
            pending: None,
            is_superseded: false,
        };
        let mut world = Self {
            server: Chain::begin(request, original),
            past: Vec::new(),
            sent: Vec::new(),
            agents: [agent.clone(), agent],
            clock: 0,
            has_original_reclaimed: false,
        };
        for _ in 0..before {
            world.check_in(0, Answer::Arrives);
        }
        if is_asking {
            world.check_in(0, Answer::IsLost);
        }
        world.agents[1] = Agent {
            bearer: copy,
            ..world.agents[0].clone()
        };
        world.agents[1].sequence += PUT_ASIDE;
        world.past = vec![world.server.clone()];
        world
    }

    fn now(&mut self) -> Timestamp {
        self.clock += 1;
        Timestamp::from_second(self.clock).expect("a small number")
    }

    fn check_in(&mut self, who: usize, answer: Answer) {
        let sent_at = self.now();
        let number = self.clock.to_be_bytes();
        let agent = &mut self.agents[who];
        if agent.is_superseded {
            return;
        }
        let mut nonce = [who as u8 + 1; 16];
        nonce[..8].copy_from_slice(&number);
        if agent.pending.is_none() {
            agent.sequence += 1;
        }
        let new = Request {
            nonce: Nonce(nonce),
            sequence: agent.sequence,
            sent_at,
        };
        let request = agent
            .pending
            .map_or(new, |pending| Request { sent_at, ..pending });
        agent.pending = Some(request);
        let (count, bearer) = (agent.count, agent.bearer);
        self.sent.push((count, request, bearer));
        let issued = match self.server.present(count, request, bearer) {
            Presented::Next { chain, link } => {
                self.has_original_reclaimed |= who == 0 && link == Standing::Reclaimed;
                assert!(
                    who == 0 || link != Standing::Reclaimed,
                    "a copy takes the chain back"
                );
                self.server = chain;
                Some(self.server.issued())
            }
            Presented::Retry { chain } => {
                self.server = chain;
                Some(self.server.issued())
            }
            Presented::Copy | Presented::Replay => None,
        };
        self.past.push(self.server.clone());
        if answer == Answer::Arrives {
            let agent = &mut self.agents[who];
            match issued {
                Some(issued) => {
                    agent.count = issued;
                    agent.pending = None;
                }
                None => agent.is_superseded = true,
            }
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::CheckIn { is_copy, answer } => self.check_in(usize::from(is_copy), answer),
            Step::Replay(index) if !self.sent.is_empty() => {
                let (count, request, bearer) = self.sent[index.index(self.sent.len())];
                match self.server.present(count, request, bearer) {
                    Presented::Retry { chain } => {
                        assert_eq!(chain, self.server, "the network repeated the last request")
                    }
                    Presented::Replay | Presented::Copy => {}
                    Presented::Next { .. } => panic!("a late repetition moved the chain"),
                }
            }
            Step::Replay(_) => {}
            Step::Restart => self.restart(0, 0xa0),
            Step::RestartCopy => self.restart(1, 0xc0),
            Step::Restore(index) => self.server = self.past[index.index(self.past.len())].clone(),
        }
    }

    /// Another boot; the numbers that the journal had put aside are not used again.
    fn restart(&mut self, who: usize, mark: u8) {
        self.agents[who].bearer.boot = self.boot(mark);
        self.agents[who].sequence += PUT_ASIDE;
    }

    fn boot(&mut self, mark: u8) -> BootId {
        self.clock += 1;
        let mut boot = [mark; 16];
        boot[..8].copy_from_slice(&self.clock.to_be_bytes());
        BootId(boot)
    }
}

fn bearer(boot: u8, hardware: Option<u8>) -> Bearer {
    Bearer {
        boot: BootId([boot; 16]),
        hardware: hardware.map(|mark| HardwareMark([mark; 16])),
    }
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![4 => Just(Answer::Arrives), 1 => Just(Answer::IsLost)]
}

fn check_in() -> impl Strategy<Value = Step> {
    (any::<bool>(), answer()).prop_map(|(is_copy, answer)| Step::CheckIn { is_copy, answer })
}

fn ends_with_one_of_the_two(world: &mut World) -> Result<(), TestCaseError> {
    // Until both have had an answer of their own, and the copy's next one.
    for who in [1, 0, 1, 0] {
        for _ in 0..2 {
            world.check_in(who, Answer::Arrives);
        }
    }
    prop_assert!(!world.agents[0].is_superseded, "the original lost its identity");
    prop_assert!(world.agents[1].is_superseded, "the copy was not found");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    /// The original runs on, its copy starts anew: its boot tells them apart.
    #[test]
    fn an_original_that_runs_on_keeps_its_identity_and_its_copy_is_found(
        before in 0_usize..5,
        is_asking in any::<bool>(),
        steps in prop::collection::vec(prop_oneof![
            8 => check_in(),
            1 => any::<prop::sample::Index>().prop_map(Step::Replay),
        ], 0..6),
    ) {
        let mut world = World::new(bearer(0xaa, None), bearer(0xcc, None), before, is_asking);
        steps.into_iter().for_each(|step| world.step(step));
        ends_with_one_of_the_two(&mut world)?;
    }

    /// Both restart as they like: their hardware tells them apart.
    #[test]
    fn an_original_on_its_own_hardware_keeps_its_identity_over_restarts(
        before in 0_usize..5,
        is_asking in any::<bool>(),
        steps in prop::collection::vec(prop_oneof![
            8 => check_in(),
            1 => Just(Step::Restart),
            1 => Just(Step::RestartCopy),
            1 => any::<prop::sample::Index>().prop_map(Step::Replay),
        ], 0..12),
    ) {
        let mut world = World::new(bearer(0xaa, Some(1)), bearer(0xcc, Some(2)), before, is_asking);
        steps.into_iter().for_each(|step| world.step(step));
        ends_with_one_of_the_two(&mut world)?;
    }

    /// A single host is never taken for a copy, whatever the network loses, however often it restarts, and whatever the
    /// server forgets in a restore: the links of its later life are its own.
    #[test]
    fn a_host_without_a_copy_always_goes_on(
        steps in prop::collection::vec(prop_oneof![
            8 => answer().prop_map(|answer| Step::CheckIn { is_copy: false, answer }),
            2 => Just(Step::Restart),
            1 => any::<prop::sample::Index>().prop_map(Step::Restore),
        ], 0..40),
    ) {
        let mut world = World::new(bearer(0xaa, None), bearer(0xcc, None), 2, false);
        for step in steps {
            world.step(step);
            prop_assert!(!world.agents[0].is_superseded);
            prop_assert!(!world.has_original_reclaimed, "there is nobody to take it back from");
        }
        world.check_in(0, Answer::Arrives);
        world.check_in(0, Answer::Arrives);
        prop_assert!(!world.agents[0].is_superseded);
    }

    /// What the network delivers again changes nothing, however late, and whoever has restarted meanwhile.
    #[test]
    fn a_late_repetition_changes_nothing(
        steps in prop::collection::vec((answer(), any::<bool>(), 0_usize..40), 1..30),
    ) {
        let mut world = World::new(bearer(0xaa, None), bearer(0xcc, None), 1, false);
        for (answer, restarts, back) in steps {
            if restarts {
                world.step(Step::Restart);
            }
            world.check_in(0, answer);
            let place = world.sent.len().saturating_sub(1 + back);
            let (count, request, bearer) = world.sent[place];
            match world.server.present(count, request, bearer) {
                Presented::Retry { chain } => prop_assert_eq!(&chain, &world.server),
                Presented::Replay => {}
                Presented::Copy => prop_assert!(back >= 4, "one of the last requests is known for what it is"),
                other => prop_assert!(false, "{other:?}"),
            }
        }
    }

    #[test]
    fn a_chain_is_kept_without_loss_and_nothing_else_is_read(
        steps in prop::collection::vec(prop_oneof![6 => check_in(), 2 => Just(Step::Restart), 2 => Just(Step::RestartCopy)], 0..30),
        at in any::<prop::sample::Index>(),
        noise in prop::collection::vec(any::<u8>(), 0..800),
    ) {
        let mut world = World::new(bearer(0xaa, Some(1)), bearer(0xcc, None), 1, false);
        steps.into_iter().for_each(|step| world.step(step));
        let bytes = world.server.to_bytes();
        prop_assert!(bytes.len() <= 711);
        let read = Chain::from_bytes(&bytes);
        prop_assert_eq!(read.as_ref(), Ok(&world.server));
        prop_assert!(Chain::from_bytes(&bytes[..at.index(bytes.len())]).is_err());
        prop_assert!(Chain::from_bytes(&[bytes.as_slice(), &[0]].concat()).is_err());
        // Whatever is read is written back the same: there is one form.
        if let Ok(chain) = Chain::from_bytes(&noise) {
            prop_assert_eq!(chain.to_bytes(), noise);
        }
    }
}

#[test]
fn a_used_link_from_nowhere_is_a_copy_and_leaves_the_chain_alone() {
    let mut world = World::new(bearer(0xaa, None), bearer(0xcc, None), 3, false);
    world.check_in(0, Answer::Arrives);
    let before = world.server.clone();
    world.check_in(1, Answer::Arrives);
    assert!(world.agents[1].is_superseded);
    assert_eq!(world.server, before);
}

#[test]
fn the_end_of_all_counts_is_no_overflow() {
    let request = Request {
        nonce: Nonce([1; 16]),
        sequence: 1,
        sent_at: Timestamp::UNIX_EPOCH,
    };
    let bearer = bearer(1, None);
    assert!(Chain::take_up(u64::MAX, request, bearer).is_none());
    let chain = Chain::begin(
        Request {
            nonce: Nonce([2; 16]),
            ..request
        },
        bearer,
    );
    assert_eq!(chain.present(u64::MAX, request, bearer), Presented::Copy);
}
