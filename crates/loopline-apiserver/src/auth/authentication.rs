//! Who asks: bearer tokens, client certificates, or nobody in particular.

use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use sha2::{Digest as _, Sha256};

use super::keys::Keys;
use super::{AUTHENTICATED, User};
use crate::Server;
use crate::status::{Result, Status};

/// How requests of the network say who they come from.
#[derive(Clone, Debug, Default)]
pub struct Authentication {
    /// Everybody who reaches the server is its administrator: for servers of tests.
    open: bool,
    tokens: Vec<Token>,
    keys: Option<Arc<Keys>>,
    anonymous: bool,
}

/// A token that stands for a user for as long as the server runs. Only its digest is kept.
#[derive(Clone, Debug)]
struct Token {
    digest: [u8; 32],
    user: User,
}

/// What is known of a request's connection.
#[derive(Clone, Debug, Default)]
pub struct Connection {
    /// Whom the client's certificate names.
    pub certified: Option<User>,
    /// The client's address.
    pub address: String,
}

impl Authentication {
    /// Everybody who reaches the server is its administrator.
    pub fn open() -> Self {
        Self { open: true, ..Self::default() }
    }

    /// Nobody is let in but by what is added; who says nothing is `system:anonymous`.
    pub fn closed() -> Self {
        Self { anonymous: true, ..Self::default() }
    }

    /// Takes a token for a user.
    #[must_use]
    pub fn with_token(mut self, token: &str, user: User) -> Self {
        self.tokens.push(Token { digest: digest(token), user });
        self
    }

    /// Signs and takes tokens of service accounts with these keys.
    #[must_use]
    pub fn with_keys(mut self, keys: Arc<Keys>) -> Self {
        self.keys = Some(keys);
        self
    }

    /// Returns the keys for tokens of service accounts.
    pub fn keys(&self) -> Option<&Arc<Keys>> {
        self.keys.as_ref()
    }
}

impl Server {
    /// Returns who a request comes from.
    ///
    /// # Errors
    /// 401 for credentials that are not valid.
    pub async fn authenticate(&self, headers: &HeaderMap, connection: &Connection) -> Result<User> {
        let authentication = self.authentication();
        if authentication.open {
            return Ok(User::administrator());
        }
        if let Some(token) = bearer(headers) {
            let (user, _) = self.user_of_token(token, &[]).await?;
            return Ok(user);
        }
        if let Some(user) = &connection.certified {
            return Ok(user.clone());
        }
        if headers.contains_key(AUTHORIZATION) || !authentication.anonymous {
            return Err(Status::unauthorized());
        }
        Ok(User::anonymous())
    }

    /// Returns whose a token is, and for which of the audiences asked for (none means the API
    /// itself) it holds.
    ///
    /// # Errors
    /// 401 for tokens that are not valid.
    pub async fn user_of_token(
        &self,
        token: &str,
        audiences: &[String],
    ) -> Result<(User, Vec<String>)> {
        let authentication = self.authentication();
        let digest = digest(token);
        // Digests are compared, so the time this takes says nothing about the token.
        let known = authentication.tokens.iter().find(|one| one.digest == digest);
        if let Some(known) = known {
            let mut user = known.user.clone();
            if !user.is_in(AUTHENTICATED) {
                user.groups.push(AUTHENTICATED.to_owned());
            }
            return Ok((user, Vec::new()));
        }
        match &authentication.keys {
            Some(keys) => self.user_of_signed(keys, token, audiences).await,
            None => Err(Status::unauthorized()),
        }
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}
