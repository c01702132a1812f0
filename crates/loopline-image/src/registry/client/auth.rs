//! Saying who asks: by name and password, or by a token that another server gives for them.

use std::sync::PoisonError;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, Uri};
use serde_json::Value;

use super::Client;
use super::connection::{Answer, Asking, Origin, Payload, error_text};
use super::docker_config::Credentials;
use super::endpoint::Endpoint;
use super::error::Cause;
use crate::registry::text::{Challenge, challenge};

impl Client {
    /// Returns what to send as `Authorization`, if it is known already.
    pub(super) fn token(&self, base: &str, scope: &str) -> Option<String> {
        let tokens = self.0.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.get(&(base.to_owned(), scope.to_owned())).cloned()
    }

    /// Answers a registry that asks who it is, and remembers the answer.
    pub(super) async fn log_in(
        &self,
        at: &Endpoint,
        scope: &str,
        answer: Answer,
    ) -> Result<(), Cause> {
        let challenges: Vec<Challenge> = answer
            .response
            .headers()
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .map(challenge)
            .collect();
        let find = |scheme: &str| challenges.iter().find(|it| it.scheme == scheme);
        let config = std::sync::Arc::clone(&self.0.options.credentials);
        let registry = at.registry.clone();
        // A helper is a program that may ask its user something.
        let credentials = tokio::task::spawn_blocking(move || config.credentials(&registry));
        let credentials = credentials.await.map_err(std::io::Error::other)??;
        let header = if let Some(bearer) = find("bearer") {
            format!("Bearer {}", self.fetch_token(at, scope, bearer, credentials.as_ref()).await?)
        } else if find("basic").is_some() {
            match credentials {
                Some(Credentials::Password { user, password }) => basic(&user, &password),
                Some(Credentials::Identity(_)) => {
                    let why = "it wants a password, and only a token is kept for it".to_owned();
                    return Err(Cause::Unauthorized { why, message: String::new() });
                }
                None => {
                    let why = format!("none is kept for {}", at.registry);
                    let message = match answer.refusal().await {
                        Cause::Status { message, .. } => message,
                        _ => String::new(),
                    };
                    return Err(Cause::Unauthorized { why, message });
                }
            }
        } else {
            let why = "it says 401 without a way of logging in that is known here";
            return Err(Cause::Protocol(why.to_owned()));
        };
        let mut tokens = self.0.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.insert((at.base.clone(), scope.to_owned()), header);
        Ok(())
    }

    /// Gets a token from the server that the registry names.
    async fn fetch_token(
        &self,
        at: &Endpoint,
        scope: &str,
        bearer: &Challenge,
        credentials: Option<&Credentials>,
    ) -> Result<String, Cause> {
        let realm = bearer
            .get("realm")
            .ok_or_else(|| Cause::Protocol("a bearer challenge has no realm".to_owned()))?;
        let realm: Uri = realm
            .parse()
            .map_err(|error| Cause::Protocol(format!("its realm is `{realm}`: {error}")))?;
        let origin = Origin::of(&realm)?;
        // The realm comes from whoever answered; a password goes nowhere unencrypted for it.
        if !origin.encrypted && (at.base.starts_with("https:") || !origin.is_here()) {
            let why = "it is not encrypted, and gets the password";
            return Err(Cause::Redirect { to: origin.shown(), why });
        }
        let asking = token_request(&realm, bearer, scope, credentials)?;
        let answer = self.0.connections.send(&asking).await?;
        let status = answer.response.status();
        let body = answer.whole().await?;
        if !status.is_success() {
            let kept = match credentials {
                Some(_) => "refused the login that is kept",
                None => "wants a login, and none is kept",
            };
            let why = format!("{} {kept} for {} ({status})", origin.shown(), at.registry);
            return Err(Cause::Unauthorized { why, message: error_text(&body) });
        }
        let value: Value = serde_json::from_slice(&body)
            .map_err(|error| Cause::Protocol(format!("{}: {error}", origin.shown())))?;
        let token = value["token"].as_str().or(value["access_token"].as_str());
        let token = token.filter(|token| !token.is_empty());
        Ok(token
            .ok_or_else(|| Cause::Protocol(format!("{} gave no token", origin.shown())))?
            .to_owned())
    }
}

/// Returns the request for a token.
fn token_request(
    realm: &Uri,
    bearer: &Challenge,
    scope: &str,
    credentials: Option<&Credentials>,
) -> Result<Asking, Cause> {
    let mut query = form_urlencoded::Serializer::new(String::new());
    if let Some(service) = bearer.get("service") {
        query.append_pair("service", service);
    }
    query.append_pair("scope", bearer.get("scope").unwrap_or(scope));
    let mut headers = HeaderMap::new();
    Ok(match credentials {
        Some(Credentials::Identity(token)) => {
            query.append_pair("grant_type", "refresh_token");
            query.append_pair("refresh_token", token);
            query.append_pair("client_id", "loopline");
            let form = HeaderValue::from_static("application/x-www-form-urlencoded");
            headers.insert(CONTENT_TYPE, form);
            let payload = Payload::Bytes(Bytes::from(query.finish()));
            Asking { method: Method::POST, uri: realm.clone(), headers, payload }
        }
        other => {
            if let Some(Credentials::Password { user, password }) = other {
                query.append_pair("account", user);
                let mut value = HeaderValue::from_str(&basic(user, password))
                    .map_err(|_| Cause::Protocol("the login is no text".to_owned()))?;
                value.set_sensitive(true);
                headers.insert(AUTHORIZATION, value);
            }
            let joint = if realm.query().is_some() { '&' } else { '?' };
            let text = format!("{realm}{joint}{}", query.finish());
            let uri = text
                .parse()
                .map_err(|error| Cause::Protocol(format!("its realm is `{realm}`: {error}")))?;
            Asking { method: Method::GET, uri, headers, payload: Payload::Empty }
        }
    })
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}
