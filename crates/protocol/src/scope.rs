//! The hosts that a change was approved for, as one digest: the root of a Merkle tree over their ids in ascending order, by
//! RFC 9162, section 2.1. An order carries the proof that its host is among them (section 2.1.3), so that nobody who has only
//! the approval can add a host to it.

use crate::{sha256, wire};
use domain::change::Scope;
use domain::digest::Sha256Digest;
use domain::id::HostId;
use serde::{Deserialize, Serialize};

/// The longest proof: of a tree of 2^32 hosts.
pub const MAX_PATH: usize = 32;

/// Proof that a host is in a scope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inclusion {
    /// The host's place, from 0.
    pub place: u64,
    /// The hashes beside its way up to the root, the lowest first.
    #[serde(with = "wire::text_list")]
    pub path: Vec<Sha256Digest>,
}

/// The tree over the hosts of a change.
#[derive(Clone, Debug)]
pub struct Tree {
    hosts: Vec<HostId>,
    /// Hashes from the leaves up; of an odd number, the last goes up as it is.
    levels: Vec<Vec<Sha256Digest>>,
}

impl Tree {
    /// The tree over these hosts, in whatever order and however often they are given.
    pub fn over(hosts: &[HostId]) -> Self {
        let mut hosts = hosts.to_vec();
        hosts.sort_unstable();
        hosts.dedup();
        let mut level: Vec<_> = hosts.iter().map(|host| leaf(*host)).collect();
        let mut levels = Vec::new();
        while level.len() > 1 {
            let above = level.chunks(2).map(|pair| match pair {
                [left, right] => node(*left, *right),
                alone => alone[0],
            });
            let above = above.collect();
            levels.push(std::mem::replace(&mut level, above));
        }
        levels.push(level);
        Self { hosts, levels }
    }

    /// What is approved of it.
    pub fn scope(&self) -> Scope {
        let root = self.levels.last().and_then(|level| level.first());
        Scope {
            root: root.copied().unwrap_or_else(|| sha256(&[])),
            hosts: self.hosts.len() as u64,
        }
    }

    /// The proof that a host is in it; `None` if it is not.
    pub fn prove(&self, host: HostId) -> Option<Inclusion> {
        let place = self.hosts.binary_search(&host).ok()?;
        let beside = |(height, level): (usize, &Vec<Sha256Digest>)| level.get((place >> height) ^ 1).copied();
        Some(Inclusion {
            place: place as u64,
            path: self.levels.iter().enumerate().filter_map(beside).collect(),
        })
    }
}

impl Inclusion {
    /// Whether it leads from the host to the root of the scope (RFC 9162, section 2.1.3.2).
    pub fn proves(&self, host: HostId, scope: Scope) -> bool {
        if self.place >= scope.hosts || self.path.len() > MAX_PATH {
            return false;
        }
        let (mut place, mut last) = (self.place, scope.hosts - 1);
        let mut hash = leaf(host);
        for beside in &self.path {
            if last == 0 {
                return false;
            }
            if place & 1 == 1 || place == last {
                hash = node(*beside, hash);
                while place & 1 == 0 && place != 0 {
                    place >>= 1;
                    last >>= 1;
                }
            } else {
                hash = node(hash, *beside);
            }
            place >>= 1;
            last >>= 1;
        }
        last == 0 && hash == scope.root
    }
}

fn leaf(host: HostId) -> Sha256Digest {
    sha256(&[&[0][..], &host.0].concat())
}

fn node(left: Sha256Digest, right: Sha256Digest) -> Sha256Digest {
    sha256(&[&[1][..], &left.0, &right.0].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition of section 2.1.1, as it stands there.
    fn root(hosts: &[HostId]) -> Sha256Digest {
        match hosts {
            [] => sha256(&[]),
            [host] => leaf(*host),
            _ => {
                let (left, right) = hosts.split_at(hosts.len().next_power_of_two() / 2);
                node(root(left), root(right))
            }
        }
    }

    fn hosts(count: u8) -> Vec<HostId> {
        (0..count).rev().map(|number| HostId([number; 16])).collect()
    }

    #[test]
    fn the_tree_is_that_of_the_rfc() {
        // RFC 9162, section 2.1.5: of seven leaves, root = node(node(node(0,1), node(2,3)), node(node(4,5), 6)).
        let l: Vec<Sha256Digest> = (0..7).map(|number| leaf(HostId([number; 16]))).collect();
        let left = node(node(l[0], l[1]), node(l[2], l[3]));
        let right = node(node(l[4], l[5]), l[6]);
        let tree = Tree::over(&hosts(7));
        let scope = tree.scope();
        assert_eq!(scope.root, node(left, right));
        assert_eq!(scope.hosts, 7);
        let proof = tree.prove(HostId([6; 16])).expect("it is among them");
        assert_eq!(proof.path, [node(l[4], l[5]), left], "the path of d6 in the RFC");
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Tree::over(&[]).scope().root.to_string(), empty);
    }

    #[test]
    fn every_host_of_a_scope_is_proved_and_no_other() {
        for count in 0..70 {
            let hosts = hosts(count);
            let (tree, mut ascending) = (Tree::over(&hosts), hosts.clone());
            let scope = tree.scope();
            ascending.reverse();
            assert_eq!(scope.root, root(&ascending), "{count}");
            for &host in &hosts {
                let proof = tree.prove(host).expect("it is among them");
                assert!(proof.proves(host, scope), "{count} {host}");
                assert!(!proof.proves(HostId([0xff; 16]), scope));
                let cut = Inclusion {
                    path: proof.path.iter().skip(1).copied().collect(),
                    ..proof.clone()
                };
                assert!(proof.path.is_empty() || !cut.proves(host, scope));
                let moved = Inclusion {
                    place: proof.place ^ 1,
                    ..proof.clone()
                };
                assert!(!moved.proves(host, scope));
                let more = Scope {
                    hosts: scope.hosts * 2 + 1,
                    ..scope
                };
                assert!(!proof.proves(host, more));
            }
            assert_eq!(tree.prove(HostId([0xff; 16])), None);
        }
    }
}
