//! What a listener needs to encrypt.

use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;

use crate::{Authority, AuthorityError, Identity};

/// Returns what a listener needs: the server's certificate, and whose clients' certificates are
/// taken. Clients without one are let in, and have to say otherwise who they are.
///
/// # Errors
/// [`AuthorityError::Rustls`] for certificates that do not fit.
pub fn server_config(
    authority: &Authority,
    identity: &Identity,
) -> Result<Arc<ServerConfig>, AuthorityError> {
    let provider = Arc::new(ring::default_provider());
    let refuse = |error: rustls::Error| AuthorityError::Rustls(error.to_string());
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate().clone()).map_err(refuse)?;
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .allow_unauthenticated()
            .build()
            .map_err(|error| AuthorityError::Rustls(error.to_string()))?;
    let key = PrivatePkcs8KeyDer::from(identity.key_der.clone()).into();
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(refuse)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![identity.certificate.clone()], key)
        .map_err(refuse)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Returns what a listener needs that has a certificate (with those that vouch for it) and a key
/// in PEM files, and asks clients for none.
///
/// # Errors
/// [`AuthorityError::Rustls`] for files that cannot be read or do not fit together.
pub fn server_config_of_files(
    certificates: &Path,
    key: &Path,
) -> Result<Arc<ServerConfig>, AuthorityError> {
    let refuse = |path: &Path, error: &dyn std::fmt::Display| {
        AuthorityError::Rustls(format!("{}: {error}", path.display()))
    };
    let text = fs_err::read(certificates).map_err(|error| refuse(certificates, &error))?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let chain = chain.map_err(|error| refuse(certificates, &error))?;
    let secret = fs_err::read(key).map_err(|error| refuse(key, &error))?;
    let secret = PrivateKeyDer::from_pem_slice(&secret).map_err(|error| refuse(key, &error))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| refuse(certificates, &error))?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(|error| refuse(key, &error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
