//! What a client needs to encrypt: whom it believes.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

/// Why a client cannot encrypt.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The certificates of the authority cannot be read.
    #[error("read the authority's certificates: {0}")]
    Authority(String),
    /// rustls refused.
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
}

/// Whose certificates a client believes.
#[derive(Clone, Copy, Debug)]
pub enum Trust<'a> {
    /// This machine's authorities.
    Machine,
    /// Those in this PEM text alone.
    Only(&'a [u8]),
    /// This machine's and those in this PEM text.
    Also(&'a [u8]),
}

/// Returns what a client needs: whom it believes, and no certificate of its own.
///
/// # Errors
/// [`ClientError`].
pub fn client_config(trust: Trust<'_>) -> Result<ClientConfig, ClientError> {
    let mut roots = RootCertStore::empty();
    let (machine, pem) = match trust {
        Trust::Machine => (true, &b""[..]),
        Trust::Only(pem) => (false, pem),
        Trust::Also(pem) => (true, pem),
    };
    if machine {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| ClientError::Authority(error.to_string()))?;
        roots.add(certificate).map_err(|error| ClientError::Authority(error.to_string()))?;
    }
    let provider = Arc::new(ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}
