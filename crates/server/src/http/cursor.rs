//! Where a list goes on: the key of the last item that was given, authenticated, and bound to its list, its filters and
//! its tenant. A cursor that was made elsewhere, changed, or is brought to another list is refused.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::problem::{Code, Problem};

/// Bytes of a cursor's authentication: HMAC-SHA-256 cut to half (RFC 2104, section 5 allows it).
const TAG_BYTES: usize = 16;
/// No cursor's text is longer.
const LONGEST_CURSOR: usize = 2048;

/// The secret that cursors are made with.
#[derive(Clone, Debug)]
pub struct CursorKey(hmac::Key);

impl CursorKey {
    /// From a key of the server's (HMAC-SHA-256). Nodes that share it understand each other's cursors.
    pub const fn of(key: hmac::Key) -> Self {
        Self(key)
    }

    /// The cursors of one list: `path` and those parameters that choose what is in the list, in any order.
    pub fn list<'a>(&self, path: &str, parameters: impl IntoIterator<Item = (&'a str, &'a str)>) -> Cursors {
        let mut parameters: Vec<_> = parameters.into_iter().collect();
        parameters.sort_unstable();
        let binding = serde_json::to_vec(&(path, parameters)).expect("texts always serialise");
        Cursors {
            key: self.clone(),
            binding,
        }
    }
}

/// Makes and reads the cursors of one list.
#[derive(Clone, Debug)]
pub struct Cursors {
    key: CursorKey,
    binding: Vec<u8>,
}

impl Cursors {
    /// The cursors of the same list as the answer to this question: what chooses what is in it stands in a body.
    #[must_use]
    pub fn of_question(mut self, question: &impl Serialize) -> Self {
        let question = serde_json::to_vec(question).expect("questions are made of texts and numbers");
        let length = (self.binding.len() as u64).to_be_bytes();
        self.binding = [length.as_slice(), &self.binding, &question].concat();
        self
    }

    /// The cursor behind the item of this key.
    pub fn after(&self, key: &impl Serialize) -> String {
        let key = serde_json::to_vec(key).expect("keys are texts and numbers");
        let tag = hmac::sign(&self.key.0, &self.signed(&key));
        URL_SAFE_NO_PAD.encode([&tag.as_ref()[..TAG_BYTES], &key].concat())
    }

    /// The key in a cursor of this list.
    ///
    /// # Errors
    /// `bad-cursor` for a text that is no cursor of this list.
    pub fn read<K: DeserializeOwned>(&self, cursor: &str) -> Result<K, Problem> {
        self.open(cursor).ok_or_else(|| {
            Problem::new(
                Code::BadCursor,
                "Take cursors from `next` of the same list with the same filters, or leave it out to begin anew.",
            )
        })
    }

    /// The key of a list in the order of names: a name and an id. None where no cursor was sent.
    ///
    /// # Errors
    /// As [`Cursors::read`].
    pub fn name_and_id<I: std::str::FromStr>(
        &self,
        cursor: Option<&str>,
    ) -> Result<Option<(String, I)>, Problem> {
        let Some(cursor) = cursor else { return Ok(None) };
        let (name, id) = self.read::<(String, String)>(cursor)?;
        let id = id
            .parse()
            .map_err(|_other_kind| Problem::plain(Code::BadCursor))?;
        Ok(Some((name, id)))
    }

    fn open<K: DeserializeOwned>(&self, cursor: &str) -> Option<K> {
        if cursor.len() > LONGEST_CURSOR {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (tag, key) = bytes.split_at_checked(TAG_BYTES)?;
        let right = hmac::sign(&self.key.0, &self.signed(key));
        // All bytes are compared, whichever differ.
        let differing = tag
            .iter()
            .zip(right.as_ref())
            .fold(0, |differing, (a, b)| differing | (a ^ b));
        if differing != 0 {
            return None;
        }
        serde_json::from_slice(key).ok()
    }

    fn signed(&self, key: &[u8]) -> Vec<u8> {
        let length = (self.binding.len() as u64).to_be_bytes();
        [b"patchyard cursor 1".as_slice(), &length, &self.binding, key].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(secret: u8) -> CursorKey {
        CursorKey::of(hmac::Key::new(hmac::HMAC_SHA256, &[secret; 32]))
    }

    fn list(path: &str, parameters: &[(&str, &str)]) -> Cursors {
        key(7).list(path, parameters.iter().copied())
    }

    #[test]
    fn a_cursor_goes_on_in_its_own_list_only() {
        let hosts = list("/api/v1/tenants/1/hosts", &[("site", "a"), ("tag", "web")]);
        let cursor = hosts.after(&("ada.example", 7));
        assert_eq!(
            hosts.read::<(String, u32)>(&cursor),
            Ok(("ada.example".to_owned(), 7))
        );
        let same = list("/api/v1/tenants/1/hosts", &[("tag", "web"), ("site", "a")]);
        assert!(
            same.read::<(String, u32)>(&cursor).is_ok(),
            "the order of parameters does not matter"
        );
        for other in [
            list("/api/v1/tenants/2/hosts", &[("site", "a"), ("tag", "web")]),
            list("/api/v1/tenants/1/hosts", &[("site", "a")]),
            list("/api/v1/tenants/1/hosts", &[("site", "a"), ("tag", "we")]),
            key(8).list("/api/v1/tenants/1/hosts", [("site", "a"), ("tag", "web")]),
        ] {
            assert_eq!(
                other.read::<(String, u32)>(&cursor).map_err(|p| p.code),
                Err(Code::BadCursor)
            );
        }
    }

    #[test]
    fn a_cursor_of_an_answer_fits_its_question_alone() {
        let of = |question: &str| list("/at-risk", &[]).of_question(&question);
        let cursor = of("openssl").after(&"ada");
        assert_eq!(of("openssl").read::<String>(&cursor), Ok("ada".to_owned()));
        for other in [of("openssh"), list("/at-risk", &[])] {
            assert!(other.read::<String>(&cursor).is_err());
        }
    }

    #[test]
    fn a_changed_cursor_is_refused_whichever_character_changed() {
        let hosts = list("/hosts", &[]);
        let cursor = hosts.after(&"ada");
        for at in 0..cursor.len() {
            for other in ['A', 'z', '-', '=', ' '] {
                let mut changed: Vec<char> = cursor.chars().collect();
                if changed[at] != other {
                    changed[at] = other;
                    let changed: String = changed.into_iter().collect();
                    assert!(hosts.read::<String>(&changed).is_err(), "{changed}");
                }
            }
        }
        assert!(hosts.read::<String>("").is_err());
        assert!(hosts.read::<String>(&"A".repeat(100_000)).is_err());
        assert!(hosts.read::<u32>(&cursor).is_err(), "a key of another shape");
    }
}
