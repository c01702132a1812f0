//! A certificate authority of one's own, kept in a folder.

use std::path::{Path, PathBuf};
use std::time::Duration;

use loopline_clock::{Clock, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SerialNumber,
    date_time_ymd,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::private::{PrivateError, read_private, write_private};

/// How long an authority lasts, in days.
const AUTHORITY_DAYS: i64 = 3650;

/// How long what it issues lasts, in days.
const ISSUED_DAYS: i64 = 365;

/// How long before it was signed a certificate is good, because clocks differ.
const BACKDATED: Duration = Duration::from_secs(5 * 60);

/// The file of the certificate.
const CERTIFICATE: &str = "ca.crt";

/// The file of the key.
const KEY: &str = "ca.key";

/// Why there are no certificates.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The files cannot be used.
    #[error(transparent)]
    Files(#[from] PrivateError),
    /// What is in the files is no authority.
    #[error("{} and {KEY} beside it are no certificate authority; next: move both away and start again, which makes new ones (issued client certificates end with the old)", .0.display())]
    Unreadable(PathBuf),
    /// A request for a certificate cannot be honoured.
    #[error("read the request for a certificate: {0}")]
    Request(String),
    /// A certificate cannot be made.
    #[error("make a certificate: {0}")]
    Make(String),
    /// The certificates do not fit together.
    #[error("set up TLS: {0}")]
    Rustls(String),
}

/// A certificate authority.
pub struct Authority {
    pem: String,
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    clock: Clock,
}

/// A certificate with its key.
pub struct Identity {
    /// The certificate.
    pub certificate: CertificateDer<'static>,
    /// The certificate as PEM.
    pub certificate_pem: String,
    /// The key as PKCS#8.
    pub key_der: Vec<u8>,
    /// The key as PEM.
    pub key_pem: String,
}

impl Authority {
    /// Opens the authority of a folder, made where there is none.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn open(folder: &Path, clock: &Clock) -> Result<Self, AuthorityError> {
        let key_path = folder.join(KEY);
        let certificate_path = folder.join(CERTIFICATE);
        let (key, pem) = match (read_private(&key_path)?, read_private(&certificate_path)?) {
            (Some(key), Some(pem)) => (key, pem),
            (None, None) => {
                let (key, pem) = make(clock)?;
                write_private(&key_path, key.as_bytes())?;
                write_private(&certificate_path, pem.as_bytes())?;
                (key.into_bytes(), pem.into_bytes())
            }
            _ => return Err(AuthorityError::Unreadable(certificate_path)),
        };
        let read = || {
            let key = KeyPair::from_pem(std::str::from_utf8(&key).ok()?).ok()?;
            let certificate = CertificateDer::from_pem_slice(&pem).ok()?;
            let issuer = Issuer::from_ca_cert_der(&certificate, key).ok()?;
            Some((certificate, issuer))
        };
        let (certificate, issuer) =
            read().ok_or_else(|| AuthorityError::Unreadable(certificate_path.clone()))?;
        let pem =
            String::from_utf8(pem).map_err(|_| AuthorityError::Unreadable(certificate_path))?;
        Ok(Self { pem, certificate, issuer, clock: clock.clone() })
    }

    /// Returns the authority's certificate.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Returns the authority's certificate as PEM.
    pub fn certificate_pem(&self) -> &str {
        &self.pem
    }

    /// Issues a server's certificate for names and addresses.
    ///
    /// # Errors
    /// [`AuthorityError::Make`].
    pub fn issue_server(&self, name: &str, names: &[String]) -> Result<Identity, AuthorityError> {
        let mut params = CertificateParams::new(names).map_err(unmade)?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(params)
    }

    /// Issues a client's certificate for a user and a group of theirs.
    ///
    /// # Errors
    /// [`AuthorityError::Make`].
    pub fn issue_client(
        &self,
        user: &str,
        group: Option<&str>,
    ) -> Result<Identity, AuthorityError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        if let Some(group) = group {
            params.distinguished_name.push(DnType::OrganizationName, group);
        }
        params.distinguished_name.push(DnType::CommonName, user);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(params)
    }

    /// Signs what was asked for, from now and for as long as told.
    pub(crate) fn sign_params(
        &self,
        mut request: CertificateSigningRequestParams,
        lasts: Duration,
    ) -> Result<String, AuthorityError> {
        let now = u64::try_from(self.clock.now().as_second()).unwrap_or(0);
        let at = |seconds: u64| date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds);
        request.params.not_before = at(now.saturating_sub(BACKDATED.as_secs()));
        request.params.not_after = at(now + lasts.as_secs());
        request.params.serial_number = Some(serial_number(&self.clock));
        Ok(request.signed_by(&self.issuer).map_err(unmade)?.pem())
    }

    fn issue(&self, mut params: CertificateParams) -> Result<Identity, AuthorityError> {
        lasting(&mut params, &self.clock, ISSUED_DAYS);
        params.key_usages =
            vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(unmade)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(unmade)?;
        Ok(Identity {
            certificate_pem: certificate.pem(),
            certificate: certificate.der().clone(),
            key_der: key.serialize_der(),
            key_pem: key.serialize_pem(),
        })
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority")
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity")
    }
}

/// Makes an authority: its key and its certificate, as PEM.
fn make(clock: &Clock) -> Result<(String, String), AuthorityError> {
    let key = KeyPair::generate().map_err(unmade)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let name = format!("loopline-ca-{}", clock.random_hex(4));
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
    ];
    lasting(&mut params, clock, AUTHORITY_DAYS);
    let certificate = params.self_signed(&key).map_err(unmade)?;
    Ok((key.serialize_pem(), certificate.pem()))
}

/// Sets from when and until when a certificate is good, and its number. Clocks may be a day apart.
fn lasting(params: &mut CertificateParams, clock: &Clock, days: i64) {
    const DAY_SECONDS: i64 = 24 * 60 * 60;
    let day = |offset: i64| {
        let now = clock.now().as_second();
        let time = Timestamp::from_second(now + offset * DAY_SECONDS).unwrap_or(Timestamp::MAX);
        let part = |format: &str| time.strftime(format).to_string().parse::<i32>().unwrap_or(1);
        let small = |format: &str| u8::try_from(part(format)).unwrap_or(1);
        date_time_ymd(part("%Y"), small("%m"), small("%d"))
    };
    params.not_before = day(-1);
    params.not_after = day(days);
    params.serial_number = Some(serial_number(clock));
}

fn serial_number(clock: &Clock) -> SerialNumber {
    let mut serial = [0; 16];
    clock.fill_random(&mut serial);
    // A serial number is positive.
    serial[0] = serial[0] & 0x7f | 0x01;
    SerialNumber::from_slice(&serial)
}

fn unmade(error: rcgen::Error) -> AuthorityError {
    AuthorityError::Make(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Subject, server_config};

    #[test]
    fn an_authority_is_kept_and_issues() {
        let folder = tempfile::tempdir().expect("a folder");
        let clock = Clock::real();
        let authority = Authority::open(folder.path(), &clock).expect("an authority");
        let again = Authority::open(folder.path(), &clock).expect("the same");
        assert_eq!(authority.certificate_pem(), again.certificate_pem());
        let server = again
            .issue_server("server", &["localhost".to_owned(), "127.0.0.1".to_owned()])
            .expect("a certificate");
        server_config(&authority, &server).expect("a set-up");
        let client = authority.issue_client("ann", Some("dev")).expect("a certificate");
        assert_eq!(
            Subject::of_certificate(&client.certificate),
            Some(Subject { common_name: "ann".to_owned(), organizations: vec!["dev".to_owned()] })
        );
    }

    #[test]
    fn half_an_authority_is_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let clock = Clock::real();
        Authority::open(folder.path(), &clock).expect("an authority");
        fs_err::remove_file(folder.path().join(CERTIFICATE)).expect("a file");
        let error = Authority::open(folder.path(), &clock).expect_err("half an authority");
        assert!(error.to_string().contains("next: move both away"), "{error}");
    }
}
