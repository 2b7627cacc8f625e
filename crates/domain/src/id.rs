//! The names that Patchyard gives to things: 16 bytes each, one type a kind, so that a site's name is never taken for a
//! host's. They are UUIDs of version 7 (RFC 9562, section 5.7), made from a time and chance that are handed in.

use std::fmt;
use std::str::FromStr;

/// A text that is no UUID: 32 hexadecimal digits in groups of 8, 4, 4, 4 and 12, joined by hyphens.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("an id is a UUID such as 018f0e6b-7c2a-7d31-9a4e-5b6c7d8e9f00")]
pub struct NotAnId;

/// Where the four hyphens stand in a UUID's text.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];
/// Characters of a UUID's text.
const TEXT_CHARS: usize = 36;

/// The 16 bytes of a UUIDv7: 48 bits of time in milliseconds since 1970 UTC, then 74 bits of chance around version and variant.
const fn version_7(now_millis: u64, random: [u8; 10]) -> [u8; 16] {
    let [_, _, t0, t1, t2, t3, t4, t5] = now_millis.to_be_bytes();
    let [r0, r1, r2, r3, r4, r5, r6, r7, r8, r9] = random;
    [
        t0,
        t1,
        t2,
        t3,
        t4,
        t5,
        0x70 | (r0 & 0x0f),
        r1,
        0x80 | (r2 & 0x3f),
        r3,
        r4,
        r5,
        r6,
        r7,
        r8,
        r9,
    ]
}

fn parse_text(text: &str) -> Result<[u8; 16], NotAnId> {
    let text = text.as_bytes();
    if text.len() != TEXT_CHARS || HYPHENS.iter().any(|&at| text[at] != b'-') {
        return Err(NotAnId);
    }
    let mut digits = text
        .iter()
        .enumerate()
        .filter(|(at, _)| !HYPHENS.contains(at))
        .map(|(_, digit)| char::from(*digit).to_digit(16).ok_or(NotAnId));
    let mut digit = || digits.next().unwrap_or(Err(NotAnId));
    let mut bytes = [0; 16];
    for byte in &mut bytes {
        *byte = (digit()? << 4 | digit()?) as u8;
    }
    Ok(bytes)
}

fn show(bytes: [u8; 16], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            f.write_str("-")?;
        }
        write!(f, "{byte:02x}")?;
    }
    Ok(())
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident,)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 16]);

        impl $name {
            /// A new id from milliseconds since 1970 UTC (the low 48 bits count) and ten bytes of chance. Ids of
            /// later milliseconds sort later.
            pub const fn new(now_millis: u64, random: [u8; 10]) -> Self {
                Self(version_7(now_millis, random))
            }

            /// Reads a hyphenated UUID in either case.
            ///
            /// # Errors
            /// [`NotAnId`] for any other text.
            pub fn parse(text: &str) -> Result<Self, NotAnId> {
                parse_text(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                show(self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), ":{}"), self)
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;
            fn from_str(text: &str) -> Result<Self, NotAnId> {
                Self::parse(text)
            }
        }
    )*};
}

ids! {
    /// A customer or department whose data nobody else sees.
    TenantId,
    /// A place of a tenant's hosts.
    SiteId,
    /// A managed computer.
    HostId,
    /// A person who may log in.
    UserId,
    /// A named set of permissions.
    RoleId,
    /// A role given to a user in a scope.
    GrantId,
    /// A log-in of a user.
    SessionId,
    /// A scoped token for programs.
    TokenId,
    /// A token with which hosts enrol.
    EnrolmentTokenId,
    /// An upstream feed.
    SourceId,
    /// A source exactly as published at one sync.
    SnapshotId,
    /// The row of an update; what it is says `catalog::update::UpdateId`.
    UpdateKey,
    /// A request for change.
    ChangeId,
    /// One release on one host.
    DeploymentId,
    /// An audit record.
    AuditId,
    /// A server process, as the holder of leases.
    NodeId,
    /// The server's life between two restores.
    EpochId,
    /// A backup.
    BackupId,
    /// What a client names a request with, so that its repetition is not done twice.
    RequestId,
}

/// The name of a signing key: the first 16 bytes of the SHA-256 digest of its 32-byte Ed25519 public key (RFC 8032),
/// shown as 32 hexadecimal digits. It is no secret; it says which key to try.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 16]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId:{self}")
    }
}

/// A text that is not 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("a key's name is 32 hexadecimal digits")]
pub struct NotAKeyId;

impl FromStr for KeyId {
    type Err = NotAKeyId;
    fn from_str(text: &str) -> Result<Self, NotAKeyId> {
        let digits: &[u8; 32] = text.as_bytes().try_into().map_err(|_| NotAKeyId)?;
        let value = |digit: u8| char::from(digit).to_digit(16).ok_or(NotAKeyId);
        let mut bytes = [0; 16];
        for (byte, [high, low]) in bytes.iter_mut().zip(digits.as_chunks::<2>().0) {
            *byte = (value(*high)? << 4 | value(*low)?) as u8;
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_version_7_uuid_of_the_rfc() {
        // RFC 9562, appendix A.6: the time is 2022-02-22T19:22:22Z, rand_a 0xCC3, rand_b 0x18C4DC0C0C07398F.
        let random = [0x0c, 0xc3, 0x18, 0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f];
        let id = HostId::new(0x017F_22E2_79B0, random);
        assert_eq!(id.to_string(), "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
    }

    #[test]
    fn an_id_reads_back_what_it_shows_and_nothing_else() {
        let id = TenantId::new(u64::MAX, [0xff; 10]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().to_uppercase().parse(), Ok(id));
        for wrong in [
            "",
            "017f22e279b07cc398c4dc0c0c07398f",
            "017f22e2-79b0-7cc3-98c4-dc0c0c07398",
            "017f22e2-79b0-7cc3-98c4-dc0c0c07398f0",
            "017f22e2-79b0-7cc3-98c4-dc0c0c07398g",
            "017f22e279b0--7cc3-98c4-dc0c0c07398f",
            "017f22e2-79b0-7cc3-98c4-dc0c0c0739é",
            "+17f22e2-79b0-7cc3-98c4-dc0c0c07398f",
        ] {
            assert_eq!(TenantId::parse(wrong), Err(NotAnId), "{wrong}");
        }
    }

    #[test]
    fn a_keys_name_reads_back_what_it_shows() {
        let id = KeyId([0xa7; 16]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!("a7".repeat(15).parse::<KeyId>(), Err(NotAKeyId));
        assert_eq!("g7".repeat(16).parse::<KeyId>(), Err(NotAKeyId));
    }

    #[test]
    fn later_ids_sort_later() {
        assert!(SiteId::new(1, [0xff; 10]) < SiteId::new(2, [0; 10]));
    }
}
