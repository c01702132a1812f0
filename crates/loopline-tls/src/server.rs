//! What a listener needs to encrypt.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivatePkcs8KeyDer;
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
