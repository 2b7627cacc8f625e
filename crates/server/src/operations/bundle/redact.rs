//! Takes out of a text what must not leave the server: secrets always, names and addresses unless they are wanted. A name
//! gets the same stand-in wherever and whenever it occurs, so that two lines about one host can be seen to be that; which
//! name it stands for cannot be told without the server's master key.

use super::pattern::{self, Found, is_word};
use ring::hmac;
use serde_json::{Map, Value};
use std::collections::{BTreeSet, HashMap};
use store::given_name::Bearer;
use zeroize::Zeroizing;

/// What stands in the place of a secret.
pub(super) const GONE: &str = "[secret]";
/// Secrets shorter than this are not looked for by their text: they would stand in every second word.
const SHORTEST_SECRET: usize = 3;

/// Whether names and addresses are left in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// A stand-in takes their place.
    Hidden,
    /// They stay.
    Shown,
}

/// What must not get out, and how it is hidden.
pub(super) struct Redactor {
    secrets: Vec<Zeroizing<String>>,
    names: HashMap<String, &'static str>,
    /// Of each first byte of a name, how long those names are; the longest first.
    lengths: Vec<BTreeSet<usize>>,
    key: hmac::Key,
    shown: Names,
}

impl Redactor {
    /// Knows no name and no secret yet. The key decides about the stand-ins.
    pub(super) fn new(key: hmac::Key, shown: Names) -> Self {
        Self {
            secrets: Vec::new(),
            names: HashMap::new(),
            lengths: vec![BTreeSet::new(); 256],
            key,
            shown,
        }
    }

    /// Whether names stay.
    pub(super) const fn shown(&self) -> Names {
        self.shown
    }

    /// This text is a secret wherever it stands.
    pub(super) fn hide_secret(&mut self, secret: &str) {
        if secret.len() >= SHORTEST_SECRET {
            self.secrets.push(Zeroizing::new(secret.to_owned()));
            self.secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        }
    }

    /// This text names somebody wherever it stands.
    pub(super) fn hide_name(&mut self, bearer: Bearer, name: &str) {
        // Both are what this program calls the first tenant and site by itself, and say nothing.
        if self.shown == Names::Shown || name.is_empty() || name == "main" {
            return;
        }
        let kind = match bearer {
            Bearer::Host => "host",
            Bearer::Address => "address",
            Bearer::Tenant => "tenant",
            Bearer::Site => "site",
            Bearer::User => "user",
            Bearer::Token => "token",
            Bearer::Role => "role",
            Bearer::Source => "source",
        };
        self.lengths[usize::from(name.as_bytes()[0])].insert(name.len());
        self.names.entry(name.to_owned()).or_insert(kind);
    }

    /// The stand-in of a name.
    pub(super) fn stand_in(&self, kind: &str, name: &str) -> String {
        let tag = hmac::sign(&self.key, name.to_lowercase().as_bytes());
        let digits: String = tag.as_ref()[..5]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!("{kind}-{digits}")
    }

    /// A name that stands alone: itself, or its stand-in. One that is no plain text never stays.
    pub(super) fn name(&self, kind: &str, name: &str) -> String {
        match self.shown {
            Names::Shown => self.text(name),
            Names::Hidden if name.is_empty() => String::new(),
            Names::Hidden => self.stand_in(kind, name),
        }
    }

    /// A text without what must not get out.
    pub(super) fn text(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut at = 0;
        while let Some(first) = text[at..].chars().next() {
            let before = text[..at].chars().next_back();
            let (rest, begins) = (&text[at..], !before.is_some_and(is_word) || !is_word(first));
            at += match self.meant(rest, begins, &mut out) {
                0 => {
                    out.push(first);
                    first.len_utf8()
                }
                taken => taken,
            };
        }
        out
    }

    /// Every text of a value, and the values of members that by their name hold a secret.
    pub(super) fn value(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(items) => items.iter().map(|item| self.value(item)).collect(),
            Value::Object(members) => Value::Object(self.members(members)),
            plain => plain.clone(),
        }
    }

    fn members(&self, members: &Map<String, Value>) -> Map<String, Value> {
        let member = |(name, value): (&String, &Value)| {
            // What a label announces in a text, the name of a member announces too.
            let announced = self.text(&format!("{name}=x")).ends_with(GONE);
            let value = match announced && !value.is_null() {
                true => Value::String(GONE.to_owned()),
                false => self.value(value),
            };
            (self.text(name), value)
        };
        members.iter().map(member).collect()
    }

    /// Puts down what takes the place of the beginning of this text, and says how much of it that was.
    fn meant(&self, rest: &str, begins: bool, out: &mut String) -> usize {
        if let Some(secret) = self
            .secrets
            .iter()
            .find(|secret| rest.starts_with(secret.as_str()))
        {
            out.push_str(GONE);
            return secret.len();
        }
        if let Some(found) = pattern::anywhere(rest) {
            return self.put(found, rest, out);
        }
        if !begins {
            return 0;
        }
        if let Some((name, kind)) = self.known(rest) {
            out.push_str(&self.stand_in(kind, name));
            return name.len();
        }
        let is_start = rest.starts_with(|c: char| is_word(c) || c == ':');
        match pattern::at_word(rest).filter(|_| is_start) {
            Some(found) => self.put(found, rest, out),
            None => 0,
        }
    }

    /// The longest known name that this text begins with, and that ends where a word does.
    fn known<'t>(&self, rest: &'t str) -> Option<(&'t str, &'static str)> {
        let lengths = &self.lengths[usize::from(*rest.as_bytes().first()?)];
        lengths.iter().rev().find_map(|&length| {
            let name = rest.get(..length)?;
            let kind = self.names.get(name)?;
            let ends = !name.ends_with(is_word) || !rest[length..].starts_with(is_word);
            ends.then_some((name, *kind))
        })
    }

    fn put(&self, found: Found, rest: &str, out: &mut String) -> usize {
        let mut hide = |kind: &str, length: usize| {
            match self.shown {
                Names::Shown => out.push_str(&rest[..length]),
                Names::Hidden => out.push_str(&self.stand_in(kind, &rest[..length])),
            }
            length
        };
        match found {
            Found::Address(length) => hide("address", length),
            Found::Hardware(length) => hide("hardware", length),
            Found::Name(length) => hide("name", length),
            Found::Mail(length) => hide("mail", length),
            // Secrets and digests look alike: neither stays, and equal ones can still be seen to be equal.
            Found::Opaque(length) => {
                out.push_str(&self.stand_in("opaque", &rest[..length]));
                length
            }
            Found::Plain(length) => {
                out.push_str(&rest[..length]);
                length
            }
            Found::Secret(length) => {
                out.push_str(GONE);
                length
            }
            Found::Labelled { label, secret } => {
                out.push_str(&rest[..label]);
                out.push_str(GONE);
                label + secret
            }
            Found::Home { prefix, folder } => {
                out.push_str(&rest[..prefix]);
                out.push_str(&self.name("user", &rest[prefix..prefix + folder]));
                prefix + folder
            }
            Found::Web { scheme, login, host } => {
                out.push_str(&rest[..scheme]);
                if login > 0 {
                    out.push_str(GONE);
                    out.push('@');
                }
                let name = &rest[scheme + login..scheme + login + host];
                let is_own = ["localhost", "127.0.0.1", "[::1]"].contains(&name);
                match is_own || self.shown == Names::Shown {
                    true => out.push_str(name),
                    false => out.push_str(&self.name("name", name)),
                }
                scheme + login + host
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn redactor(shown: Names) -> Redactor {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]);
        let mut redactor = Redactor::new(key, shown);
        redactor.hide_secret("swordfish!");
        for (bearer, name) in [
            (Bearer::Host, "web"),
            (Bearer::Host, "web 1 of Ada"),
            (Bearer::Tenant, "<b>Ärzte</b>"),
            (Bearer::Site, "main"),
        ] {
            redactor.hide_name(bearer, name);
        }
        redactor
    }

    #[test]
    fn a_name_has_one_stand_in_and_is_found_as_a_whole_word_only() {
        let redactor = redactor(Names::Hidden);
        let web = redactor.stand_in("host", "web");
        assert_eq!(
            redactor.text("web said: web! webs cobweb, main"),
            format!("{web} said: {web}! webs cobweb, main")
        );
        let longer = redactor.text("web 1 of Ada is up");
        assert!(longer.starts_with("host-") && !longer.contains("Ada"), "{longer}");
        assert!(!redactor.text("of <b>Ärzte</b>:").contains("rzte"));
        let other = Redactor::new(hmac::Key::new(hmac::HMAC_SHA256, &[8; 32]), Names::Hidden);
        assert_ne!(other.stand_in("host", "web"), web, "the key decides");
    }

    #[test]
    fn secrets_go_whether_names_are_shown_or_not() {
        for shown in [Names::Hidden, Names::Shown] {
            let redactor = redactor(shown);
            for text in [
                "it was swordfish!",
                "xswordfish!x",
                "postgres://ada:swordfish!@db.example/x",
                "password = swordfish!",
                "-----BEGIN PRIVATE KEY-----\nswordfish!\n-----END PRIVATE KEY-----",
            ] {
                let told = redactor.text(text);
                assert!(!told.contains("swordfish"), "{told}");
                assert!(told.contains(GONE), "{told}");
            }
        }
        let told = redactor(Names::Shown).text("web at 192.0.2.7, http://ada:x1@db.example/");
        assert_eq!(told, "web at 192.0.2.7, http://[secret]@db.example/");
    }

    #[test]
    fn a_member_that_is_named_like_a_secret_has_none() {
        let redactor = redactor(Names::Hidden);
        let told = redactor.value(&serde_json::json!({ "db_password": [1, 2], "port": 5, "token": null }));
        assert_eq!(
            told,
            serde_json::json!({ "db_password": GONE, "port": 5, "token": null })
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_it_fail_or_lets_a_secret_or_a_name_through(before in ".{0,40}", after in ".{0,40}") {
            let redactor = redactor(Names::Hidden);
            let told = redactor.text(&format!("{before}swordfish!{after}"));
            prop_assert!(!told.contains("swordfish"), "{told}");
            let told = redactor.text(&format!("{before} web 1 of Ada {after}"));
            prop_assert!(!told.contains("of Ada"), "{told}");
        }
    }
}
