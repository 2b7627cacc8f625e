//! Signing keys and signatures for tests: honest ones by default, and by [`Design`] whatever a test wants to see
//! refused. The bytes themselves are put together in [`packets`]. A key depends on its user id only, so that test
//! data is the same in every run.

pub mod packets;

use packets::{Algorithm, Secret, Signature, armor, packet};

/// When keys are created unless a design says otherwise: 2024-01-01 00:00 UTC, in seconds since 1970.
pub const CREATED: u32 = 1_704_067_200;
/// When signatures are made unless a test says otherwise: 2024-06-01 00:00 UTC, in seconds since 1970.
pub const SIGNED: u32 = 1_717_200_000;

/// What a certificate shall look like. [`Design::honest`] is where to begin.
#[derive(Clone, Debug)]
pub struct Design {
    /// The primary key's algorithm.
    pub algorithm: Algorithm,
    /// When it is created, in seconds since 1970.
    pub created: u32,
    /// Key expiration time after `created`, in seconds.
    pub expires_after: Option<u32>,
    /// Key flags (RFC 9580 §5.2.3.29): 1 certify, 2 sign. None leaves the subpacket out.
    pub flags: Option<u8>,
    /// Digest of the certificate's own signatures: 8 is SHA-256, 2 SHA-1.
    pub digest: u8,
    /// Further hashed subpackets of the self-signature.
    pub extra: Vec<(u8, Vec<u8>)>,
    /// The reason of a key revocation (RFC 9580 §5.2.3.31): 0, 1, 2 or 3. None makes none.
    pub revoked: Option<u8>,
    /// A second key that signs instead of the primary.
    pub subkey: Option<Subkey>,
}

/// A signing subkey of a [`Design`].
#[derive(Clone, Debug)]
pub struct Subkey {
    /// Its algorithm.
    pub algorithm: Algorithm,
    /// Key flags; 2 is sign.
    pub flags: Option<u8>,
    /// Key expiration time after its creation, in seconds.
    pub expires_after: Option<u32>,
    /// The back signature.
    pub back: Back,
    /// Digest of its binding: 8 is SHA-256, 2 SHA-1.
    pub digest: u8,
    /// The reason of a subkey revocation. None makes none.
    pub revoked: Option<u8>,
}

/// The signature by which a subkey says that it belongs to its primary key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Back {
    /// As it should be.
    Good,
    /// Not there.
    Missing,
    /// There, over something else.
    Wrong,
}

impl Design {
    /// An Ed25519 key that certifies and signs, never expires, with SHA-256.
    pub fn honest() -> Self {
        Self {
            algorithm: Algorithm::Ed25519,
            created: CREATED,
            expires_after: None,
            flags: Some(3),
            digest: 8,
            extra: Vec::new(),
            revoked: None,
            subkey: None,
        }
    }
}

impl Subkey {
    /// An Ed25519 subkey that may sign and is bound both ways.
    pub fn honest() -> Self {
        Self {
            algorithm: Algorithm::Ed25519,
            flags: Some(2),
            expires_after: None,
            back: Back::Good,
            digest: 8,
            revoked: None,
        }
    }
}

/// A key with its certificate.
#[derive(Clone, Debug)]
pub struct SigningKey {
    primary: Secret,
    subkey: Option<Secret>,
    certificate: Vec<u8>,
}

impl SigningKey {
    /// An Ed25519 key: fast, and known to every GnuPG since 2.1.
    pub fn ed25519(user_id: &str) -> Self {
        Self::design(user_id, &Design::honest())
    }

    /// An RSA key; 4096 bits take seconds to make.
    pub fn rsa(user_id: &str, bits: u32) -> Self {
        Self::design(
            user_id,
            &Design {
                algorithm: Algorithm::Rsa(bits),
                ..Design::honest()
            },
        )
    }

    /// A key to taste.
    pub fn design(user_id: &str, design: &Design) -> Self {
        let primary = Secret::generate(design.algorithm, user_id, design.created);
        let subkey = design
            .subkey
            .as_ref()
            .map(|subkey| Secret::generate(subkey.algorithm, &format!("{user_id}, subkey"), design.created));
        let mut certificate = packet(6, primary.body());
        if let Some(reason) = design.revoked {
            let revocation = Signature::plain(0x20, &primary, design.created + 60).with(29, &[reason]);
            certificate.extend(packet(2, &revocation.sign(&primary, &primary.hashed())));
        }
        certificate.extend(packet(13, user_id.as_bytes()));
        certificate.extend(packet(2, &self_signature(&primary, user_id, design)));
        if let (Some(subkey), Some(plan)) = (&subkey, &design.subkey) {
            certificate.extend(bound_subkey(&primary, subkey, plan, design.created));
        }
        Self {
            primary,
            subkey,
            certificate,
        }
    }

    /// The certificate with further packets at its end.
    pub fn with_packets(mut self, packets: &[u8]) -> Self {
        self.certificate.extend_from_slice(packets);
        self
    }

    /// The certificate (public key) in binary.
    pub fn certificate(&self) -> Vec<u8> {
        self.certificate.clone()
    }

    /// The certificate in ASCII armour.
    pub fn armored(&self) -> String {
        armor("PUBLIC KEY BLOCK", &self.certificate)
    }

    /// The certificate's fingerprint: 40 upper-case hexadecimal digits.
    pub fn fingerprint(&self) -> String {
        hexadecimal(&self.primary.fingerprint())
    }

    /// The fingerprint of the key that signs: the subkey's where there is one.
    pub fn signing_fingerprint(&self) -> String {
        hexadecimal(&self.signer().fingerprint())
    }

    /// The primary key itself.
    pub fn primary(&self) -> &Secret {
        &self.primary
    }

    /// The key that signs documents: the subkey where there is one.
    pub fn signer(&self) -> &Secret {
        self.subkey.as_ref().unwrap_or(&self.primary)
    }

    /// An InRelease: the text clear-signed with SHA-256, dated [`SIGNED`].
    pub fn sign_inline(&self, text: &[u8]) -> Vec<u8> {
        let signature = Signature::plain(1, self.signer(), SIGNED);
        let body = signature.sign(self.signer(), &canonical(text));
        clear_signed("SHA256", text, &armor("SIGNATURE", &packet(2, &body)))
    }

    /// A Release.gpg: an armoured signature of exactly these bytes with SHA-256, dated [`SIGNED`].
    pub fn sign_detached(&self, text: &[u8]) -> Vec<u8> {
        let signature = Signature::plain(0, self.signer(), SIGNED);
        armor("SIGNATURE", &packet(2, &signature.sign(self.signer(), text))).into_bytes()
    }
}

/// The user id's certification by its own key.
fn self_signature(primary: &Secret, user_id: &str, design: &Design) -> Vec<u8> {
    let mut signature = Signature::plain(0x13, primary, design.created).digest(design.digest);
    if let Some(flags) = design.flags {
        signature = signature.with(27, &[flags]);
    }
    if let Some(seconds) = design.expires_after {
        signature = signature.with(9, &seconds.to_be_bytes());
    }
    for (kind, body) in &design.extra {
        signature = signature.with(*kind, body);
    }
    signature.sign(primary, &certified(primary, user_id))
}

/// What a certification of `user_id` signs (RFC 9580 §5.2.4).
pub fn certified(primary: &Secret, user_id: &str) -> Vec<u8> {
    let length = u32::try_from(user_id.len()).expect("short").to_be_bytes();
    [&primary.hashed()[..], &[0xb4], &length, user_id.as_bytes()].concat()
}

fn bound_subkey(primary: &Secret, subkey: &Secret, plan: &Subkey, created: u32) -> Vec<u8> {
    let both = [primary.hashed(), subkey.hashed()].concat();
    let mut binding = Signature::plain(0x18, primary, created).digest(plan.digest);
    if let Some(flags) = plan.flags {
        binding = binding.with(27, &[flags]);
    }
    if let Some(seconds) = plan.expires_after {
        binding = binding.with(9, &seconds.to_be_bytes());
    }
    let back = Signature::plain(0x19, subkey, created);
    match plan.back {
        Back::Good => binding = binding.with(32, &back.sign(subkey, &both)),
        Back::Wrong => binding = binding.with(32, &back.sign(subkey, &subkey.hashed())),
        Back::Missing => {}
    }
    let mut packets = packet(14, subkey.body());
    packets.extend(packet(2, &binding.sign(primary, &both)));
    if let Some(reason) = plan.revoked {
        let revocation = Signature::plain(0x28, primary, created + 60).with(29, &[reason]);
        packets.extend(packet(2, &revocation.sign(primary, &both)));
    }
    packets
}

/// The text as a clear-text signature signs it: lines without trailing blanks, joined by CR LF (RFC 9580 §7.2).
pub fn canonical(text: &[u8]) -> Vec<u8> {
    lines(text).join(&b"\r\n"[..])
}

/// The clear-text framework around a text and a finished signature block (RFC 9580 §7).
pub fn clear_signed(digests: &str, text: &[u8], block: &str) -> Vec<u8> {
    let mut file = format!("-----BEGIN PGP SIGNED MESSAGE-----\nHash: {digests}\n\n").into_bytes();
    for line in lines(text) {
        if line.starts_with(b"-") {
            file.extend_from_slice(b"- ");
        }
        file.extend_from_slice(line);
        file.push(b'\n');
    }
    file.extend_from_slice(block.as_bytes());
    file
}

/// The lines of a text without the blanks at their ends; a final newline begins no further line.
fn lines(text: &[u8]) -> Vec<&[u8]> {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r');
    let trimmed = |line: &[u8]| {
        line.iter()
            .rposition(|byte| !blank(byte))
            .map_or(0, |last| last + 1)
    };
    text.split(|byte| *byte == b'\n')
        .map(|line| &line[..trimmed(line)])
        .collect()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}
