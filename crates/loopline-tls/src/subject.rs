//! Whom a certificate names.

use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::{FromDer as _, X509Certificate, X509Name};

/// Whom a certificate names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// The common name: the user.
    pub common_name: String,
    /// The organisations: the groups.
    pub organizations: Vec<String>,
}

impl Subject {
    /// Returns the subject of a certificate in DER; nothing where it cannot be read or names
    /// nobody.
    pub fn of_certificate(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        Self::of_name(certificate.subject())
    }

    /// Returns the subject of a request for a certificate in DER; nothing where it cannot be read
    /// or names nobody.
    pub fn of_request(der: &[u8]) -> Option<Self> {
        let (_, request) = X509CertificationRequest::from_der(der).ok()?;
        Self::of_name(&request.certification_request_info.subject)
    }

    fn of_name(name: &X509Name<'_>) -> Option<Self> {
        let common_name = name.iter_common_name().next()?.as_str().ok()?.to_owned();
        if common_name.is_empty() {
            return None;
        }
        let organizations = name
            .iter_organization()
            .map(|one| one.as_str().map(str::to_owned))
            .collect::<Result<_, _>>()
            .ok()?;
        Some(Self { common_name, organizations })
    }
}
