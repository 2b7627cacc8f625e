//! X.509 certificates (RFC 5280): made for the authorities, for the listener and for hosts; and read, as far as an expiry
//! alarm needs it, where somebody else made them.

use crate::clock::{Chance, draw};
use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber, SignatureAlgorithm, SigningKey,
};
use rustls_pki_types::CertificateDer;
use std::net::IpAddr;

/// When a certificate is valid, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// Not before this.
    pub from: Timestamp,
    /// Not after this.
    pub until: Timestamp,
}

impl Validity {
    /// From a little before `now`, for clocks that are behind, for `span` from now.
    pub fn starting(now: Timestamp, span: SignedDuration) -> Self {
        let edge = |moment: Result<Timestamp, jiff::Error>| moment.unwrap_or(now);
        Self {
            from: edge(now.checked_sub(CLOCKS_BEHIND)),
            until: edge(now.checked_add(span)),
        }
    }
}

/// How far a clock may be behind ours for a new certificate to be valid there.
const CLOCKS_BEHIND: SignedDuration = SignedDuration::from_hours(24);

/// What a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role<'a> {
    /// The root authority: it certifies issuing authorities.
    Root,
    /// The issuing authority: it certifies the listener and hosts.
    Issuing,
    /// The listener, under these names and addresses.
    Server(&'a [String]),
    /// A host, called by its id.
    Host(&'a str),
}

/// A certificate could not be made.
#[derive(Debug, thiserror::Error)]
#[error("make the certificate of {subject}")]
pub struct MakeError {
    /// Whom it is for.
    subject: String,
    #[source]
    cause: rcgen::Error,
}

/// The authority that signs.
pub enum Signer<'a, S: SigningKey> {
    /// The certificate's own key: a root.
    Itself(&'a S),
    /// Another authority, called so in its own certificate.
    Authority(&'a str, &'a S),
}

/// Makes a certificate of `key`, called `subject`, signed by `signer`.
pub fn make<S: SigningKey>(
    (role, subject): (Role<'_>, &str),
    key: &impl PublicKeyData,
    signer: Signer<'_, S>,
    validity: Validity,
    chance: &dyn Chance,
) -> Result<CertificateDer<'static>, MakeError> {
    let attempt = || -> Result<CertificateDer<'static>, rcgen::Error> {
        let params = params(role, subject, validity, chance)?;
        let made = match signer {
            Signer::Itself(own) => params.self_signed(&Borrowed(own)),
            Signer::Authority(name, own) => {
                params.signed_by(key, &Issuer::new(authority_params(name), Borrowed(own)))
            }
        }?;
        Ok(made.der().clone())
    };
    attempt().map_err(|cause| MakeError {
        subject: subject.to_owned(),
        cause,
    })
}

/// A signing key by reference: the library wants to own its issuer's key.
struct Borrowed<'a, S>(&'a S);

impl<S: SigningKey> SigningKey for Borrowed<'_, S> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.0.sign(message)
    }
}

impl<S: PublicKeyData> PublicKeyData for Borrowed<'_, S> {
    fn der_bytes(&self) -> &[u8] {
        self.0.der_bytes()
    }
    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.0.algorithm()
    }
}

/// An Ed25519 public key (RFC 8410) by its 32 bytes.
pub struct Ed25519Public<'a>(pub &'a [u8; 32]);

impl PublicKeyData for Ed25519Public<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0
    }
    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ED25519
    }
}

/// A new P-256 key pair, from the operating system's chance, as PKCS#8.
pub fn new_p256() -> Result<KeyPair, MakeError> {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(|cause| MakeError {
        subject: "a new key".to_owned(),
        cause,
    })
}

fn name(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "Patchyard");
    name.push(DnType::CommonName, common);
    name
}

fn authority_params(common: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = name(common);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn params(
    role: Role<'_>,
    subject: &str,
    validity: Validity,
    chance: &dyn Chance,
) -> Result<CertificateParams, rcgen::Error> {
    let mut params = match role {
        Role::Root | Role::Issuing => authority_params(subject),
        Role::Server(_) | Role::Host(_) => CertificateParams::default(),
    };
    params.distinguished_name = name(subject);
    let mut serial: [u8; 16] = draw(chance);
    serial[0] &= 0x7f;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    let moment = |moment: Timestamp| {
        let seconds = u64::try_from(moment.as_second()).unwrap_or(0);
        rcgen::date_time_ymd(1970, 1, 1) + std::time::Duration::from_secs(seconds)
    };
    params.not_before = moment(validity.from);
    params.not_after = moment(validity.until);
    match role {
        Role::Root => params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1)),
        Role::Issuing => params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)),
        Role::Server(names) => {
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            params.subject_alt_names = names
                .iter()
                .map(|name| match name.parse::<IpAddr>() {
                    Ok(address) => Ok(SanType::IpAddress(address)),
                    Err(_not_an_address) => Ok(SanType::DnsName(name.as_str().try_into()?)),
                })
                .collect::<Result<_, rcgen::Error>>()?;
        }
        Role::Host(_) => {
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        }
    }
    Ok(params)
}

/// When a certificate is valid, read from its DER (RFC 5280, section 4.1.2.5); `None` where that is malformed.
pub fn validity_of(certificate: &[u8]) -> Option<Validity> {
    let (outer, _) = element(certificate, SEQUENCE)?;
    let (mut fields, _) = element(outer, SEQUENCE)?;
    if let Some((_version, rest)) = element(fields, VERSION) {
        fields = rest;
    }
    for expected in [INTEGER, SEQUENCE, SEQUENCE] {
        (_, fields) = element(fields, expected)?;
    }
    let (validity, _) = element(fields, SEQUENCE)?;
    let (from, rest) = time(validity)?;
    let (until, _) = time(rest)?;
    Some(Validity { from, until })
}

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
/// `[0] EXPLICIT Version`.
const VERSION: u8 = 0xa0;

/// The content of the first DER element (X.690, section 8.1), if it has this tag, and what follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[found, length], rest) = bytes.split_first_chunk::<2>()?;
    if found != tag {
        return None;
    }
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        0x81..=0x83 => {
            let (digits, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            let length = digits
                .iter()
                .fold(0_usize, |length, &digit| length << 8 | usize::from(digit));
            (length, rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

/// A time in one of the two forms that certificates use, always in UTC and with seconds.
fn time(bytes: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (text, rest, century) = match element(bytes, UTC_TIME) {
        Some((text, rest)) => {
            let year: u8 = std::str::from_utf8(text.get(..2)?).ok()?.parse().ok()?;
            (text, rest, if year < 50 { "20" } else { "19" })
        }
        None => {
            let (text, rest) = element(bytes, GENERALIZED_TIME)?;
            (text, rest, "")
        }
    };
    let text = format!("{century}{}", std::str::from_utf8(text).ok()?);
    let digits = text.strip_suffix('Z').filter(|digits| digits.len() == 14)?;
    let moment = jiff::civil::DateTime::strptime("%Y%m%d%H%M%S", digits).ok()?;
    let moment = moment.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
    Some((moment, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SeededChance;

    fn made(span: SignedDuration) -> (Validity, CertificateDer<'static>) {
        let now = Timestamp::from_second(1_790_000_000).expect("a time");
        let key = new_p256().expect("a key");
        let validity = Validity::starting(now, span);
        let role = (Role::Root, "test root");
        let made = make(role, &key, Signer::Itself(&key), validity, &SeededChance::new(1));
        (validity, made.expect("a certificate"))
    }

    #[test]
    fn validity_is_read_back_on_both_sides_of_2050() {
        for days in [14, 365 * 20, 365 * 40] {
            let (validity, certificate) = made(SignedDuration::from_hours(24 * days));
            assert_eq!(validity_of(&certificate), Some(validity), "{days} days");
        }
    }

    #[test]
    fn validity_of_a_certificate_that_somebody_else_made_is_what_openssl_says() {
        let Ok(folder) = tempfile::tempdir() else {
            return testkit::skip::skip(&"no temporary folder");
        };
        let path = folder.path().join("c.pem");
        let made = std::process::Command::new("openssl")
            .args([
                "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "777", "-subj",
            ])
            .args([
                "/CN=deb.example",
                "-keyout",
                "/dev/null",
                "-outform",
                "DER",
                "-out",
            ])
            .arg(&path)
            .output();
        if !made.is_ok_and(|made| made.status.success()) {
            return testkit::skip::skip(&"no openssl here");
        }
        let validity = validity_of(&std::fs::read(&path).expect("written")).expect("well-formed");
        let said = std::process::Command::new("openssl")
            .args([
                "x509", "-inform", "DER", "-noout", "-enddate", "-dateopt", "iso_8601", "-in",
            ])
            .arg(&path)
            .output()
            .expect("openssl is here");
        let said = String::from_utf8_lossy(&said.stdout).replace(' ', "T");
        assert_eq!(said.trim(), format!("notAfter={}", validity.until));
    }

    #[test]
    fn a_cut_or_altered_certificate_has_no_validity_or_a_readable_one_and_never_panics() {
        let (_, certificate) = made(SignedDuration::from_hours(24));
        for at in 0..certificate.len() {
            let _read = validity_of(&certificate[..at]);
            let mut altered = certificate.to_vec();
            altered[at] ^= 0xff;
            let _read = validity_of(&altered);
        }
        assert_eq!(validity_of(&certificate[..40]), None);
    }
}
