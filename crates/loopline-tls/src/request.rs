//! Requests for certificates that others made the keys of.

use std::time::Duration;

use rcgen::{
    CertificateParams, CertificateSigningRequestParams, ExtendedKeyUsagePurpose, IsCa,
    KeyUsagePurpose, SanType,
};
use rustls::pki_types::CertificateSigningRequestDer;
use rustls::pki_types::pem::PemObject as _;

use crate::{Authority, AuthorityError, Subject};

/// A request for a certificate; its signature was checked.
pub struct Request {
    subject: Subject,
    params: CertificateSigningRequestParams,
}

/// How many names of each kind a request asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// DNS names.
    pub dns: usize,
    /// Addresses.
    pub addresses: usize,
    /// Mail addresses.
    pub emails: usize,
    /// URIs, and names of kinds that are not known.
    pub others: usize,
}

impl Request {
    /// Reads a request in PEM form.
    ///
    /// # Errors
    /// [`AuthorityError::Request`].
    pub fn from_pem(pem: &[u8]) -> Result<Self, AuthorityError> {
        let refuse = |why: String| AuthorityError::Request(why);
        let der = CertificateSigningRequestDer::from_pem_slice(pem)
            .map_err(|error| refuse(error.to_string()))?;
        let params = CertificateSigningRequestParams::from_der(&der)
            .map_err(|error| refuse(error.to_string()))?;
        let subject = Subject::of_request(&der).unwrap_or_default();
        Ok(Self { subject, params })
    }

    /// Returns whom the certificate is to name.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Returns how many further names the certificate is to have.
    pub fn names(&self) -> Names {
        let mut names = Names::default();
        for name in &self.params.params.subject_alt_names {
            match name {
                SanType::DnsName(_) => names.dns += 1,
                SanType::IpAddress(_) => names.addresses += 1,
                SanType::Rfc822Name(_) => names.emails += 1,
                _ => names.others += 1,
            }
        }
        names
    }
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request").field("subject", &self.subject).finish_non_exhaustive()
    }
}

impl Authority {
    /// Signs a request: for the names it asks for and its key, for these usages (as Kubernetes
    /// names them) and this long. What it asks for itself of usages, or to be an authority, it
    /// does not get. Returns the certificate as PEM.
    ///
    /// # Errors
    /// [`AuthorityError::Request`] for a usage that is not known, [`AuthorityError::Make`].
    pub fn sign(
        &self,
        request: Request,
        usages: &[String],
        lasts: Duration,
    ) -> Result<String, AuthorityError> {
        let mut params = request.params;
        params.params.is_ca = IsCa::ExplicitNoCa;
        params.params.key_usages = Vec::new();
        params.params.extended_key_usages = Vec::new();
        params.params.use_authority_key_identifier_extension = true;
        for usage in usages {
            add_usage(&mut params.params, usage)?;
        }
        self.sign_params(params, lasts)
    }
}

fn add_usage(params: &mut CertificateParams, usage: &str) -> Result<(), AuthorityError> {
    use ExtendedKeyUsagePurpose as Extended;
    use KeyUsagePurpose as Key;
    let key = match usage {
        "signing" | "digital signature" => Key::DigitalSignature,
        "content commitment" => Key::ContentCommitment,
        "key encipherment" => Key::KeyEncipherment,
        "data encipherment" => Key::DataEncipherment,
        "key agreement" => Key::KeyAgreement,
        "cert sign" => Key::KeyCertSign,
        "crl sign" => Key::CrlSign,
        "encipher only" => Key::EncipherOnly,
        "decipher only" => Key::DecipherOnly,
        other => {
            let extended = match other {
                "any" => Extended::Any,
                "server auth" => Extended::ServerAuth,
                "client auth" => Extended::ClientAuth,
                "code signing" => Extended::CodeSigning,
                "email protection" | "s/mime" => Extended::EmailProtection,
                "timestamping" => Extended::TimeStamping,
                "ocsp signing" => Extended::OcspSigning,
                _ => {
                    return Err(AuthorityError::Request(format!(
                        "the usage {other:?} is not signed here"
                    )));
                }
            };
            if !params.extended_key_usages.contains(&extended) {
                params.extended_key_usages.push(extended);
            }
            return Ok(());
        }
    };
    if !params.key_usages.contains(&key) {
        params.key_usages.push(key);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use loopline_clock::Clock;
    use rcgen::{BasicConstraints, DistinguishedName, DnType, KeyPair};
    use x509_parser::prelude::{FromDer as _, X509Certificate};

    use super::*;

    #[test]
    fn a_request_gets_what_it_is_given_and_no_more() {
        let folder = tempfile::tempdir().expect("a folder");
        let authority = Authority::open(folder.path(), &Clock::real()).expect("an authority");
        let mut wanted = CertificateParams::new(vec!["a.example".to_owned()]).expect("a name");
        wanted.distinguished_name = DistinguishedName::new();
        wanted.distinguished_name.push(DnType::OrganizationName, "dev");
        wanted.distinguished_name.push(DnType::CommonName, "ann");
        wanted.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        wanted.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().expect("a key");
        let pem = wanted.serialize_request(&key).expect("a request").pem().expect("a text");
        let request = Request::from_pem(pem.as_bytes()).expect("a request");
        assert_eq!(request.subject().common_name, "ann");
        assert_eq!(request.subject().organizations, ["dev"]);
        assert_eq!(request.names(), Names { dns: 1, ..Names::default() });
        let usages = ["digital signature", "client auth"].map(ToOwned::to_owned);
        let signed = authority.sign(request, &usages, Duration::from_secs(3600)).expect("signed");
        let der = rustls::pki_types::CertificateDer::from_pem_slice(signed.as_bytes())
            .expect("a certificate");
        let (_, certificate) = X509Certificate::from_der(&der).expect("a certificate");
        assert!(!certificate.is_ca());
        let usage = certificate.key_usage().expect("usages").expect("usages").value;
        assert!(usage.digital_signature() && !usage.key_cert_sign());
        let validity = certificate.validity();
        let lasts = validity.not_after.timestamp() - validity.not_before.timestamp();
        assert_eq!(lasts, 3600 + 300);
        let (_, own) = X509Certificate::from_der(authority.certificate()).expect("a certificate");
        certificate.verify_signature(Some(own.public_key())).expect("signed by the authority");
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for wrong in
            ["", "-----BEGIN CERTIFICATE REQUEST-----\nAA==\n-----END CERTIFICATE REQUEST-----\n"]
        {
            assert!(Request::from_pem(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
