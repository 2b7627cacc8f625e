//! The updates that somebody misses or missed, numbered.

use domain::assess::fleet::UpdateNo;
use domain::catalog::update::{Classification, UpdateId};
use std::collections::HashMap;

/// The updates that somebody misses or missed, numbered.
#[derive(Debug, Default)]
pub struct Updates {
    numbers: HashMap<UpdateId, UpdateNo>,
    known: Vec<(UpdateId, Classification)>,
}

impl Updates {
    pub(super) fn number(&mut self, id: UpdateId, class: Classification) -> UpdateNo {
        if let Some(number) = self.numbers.get(&id) {
            // What some listing calls a security update is one.
            let known = &mut self.known[number.0 as usize].1;
            *known = (*known).min(class);
            return *number;
        }
        let number = UpdateNo(u32::try_from(self.known.len()).expect("memory ends before 2^32 updates"));
        self.known.push((id.clone(), class));
        self.numbers.insert(id, number);
        number
    }

    /// The update that has a number.
    pub fn id(&self, number: UpdateNo) -> &UpdateId {
        &self.known[number.0 as usize].0
    }

    /// What kind of update it is.
    pub fn class(&self, number: UpdateNo) -> Classification {
        self.known[number.0 as usize].1
    }

    /// How many there are; their numbers count from 0.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// The number of an update, if somebody ever missed it.
    pub fn find(&self, id: &UpdateId) -> Option<UpdateNo> {
        self.numbers.get(id).copied()
    }
}
