//! Tokens of service accounts: signed with a key of the server's own (ES256), and checked against
//! the objects they are bound to.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
    UnparsedPublicKey,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{AUTHENTICATED, User};
use crate::Server;
use crate::object;
use crate::status::{Result, Status};

/// Who issues tokens, and whom they are for where nothing else is asked for.
pub const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

/// The longest token that is looked at.
const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// How far clocks may be apart, in seconds.
const LEEWAY_SECONDS: i64 = 10;

/// A key that signs tokens.
pub struct Keys {
    pair: EcdsaKeyPair,
    id: String,
    random: SystemRandom,
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The randomness failed.
    #[error("make a key: no randomness")]
    Random,
    /// The key cannot be read.
    #[error("the key is no PKCS#8 key for ES256")]
    Unreadable,
}

impl Keys {
    /// Makes a new key and returns it as PKCS#8.
    ///
    /// # Errors
    /// [`KeyError::Random`].
    pub fn generate() -> std::result::Result<Vec<u8>, KeyError> {
        EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
            .map(|document| document.as_ref().to_vec())
            .map_err(|_| KeyError::Random)
    }

    /// Reads a key.
    ///
    /// # Errors
    /// [`KeyError::Unreadable`].
    pub fn from_pkcs8(bytes: &[u8]) -> std::result::Result<Self, KeyError> {
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, bytes, &random)
            .map_err(|_| KeyError::Unreadable)?;
        let id = BASE64.encode(Sha256::digest(pair.public_key().as_ref()));
        Ok(Self { pair, id, random })
    }

    /// Signs claims.
    ///
    /// # Errors
    /// 500 where the randomness fails.
    pub fn sign(&self, claims: &Value) -> Result<String> {
        let header = json!({"alg": "ES256", "kid": self.id, "typ": "JWT"});
        let text =
            format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()));
        let signature = self
            .pair
            .sign(&self.random, text.as_bytes())
            .map_err(|_| Status::internal("sign a token: no randomness"))?;
        Ok(format!("{text}.{}", BASE64.encode(signature.as_ref())))
    }

    /// Returns the claims of a token that this key signed.
    fn verify(&self, token: &str) -> Option<Value> {
        if token.len() > MAX_TOKEN_BYTES {
            return None;
        }
        let (text, signature) = token.rsplit_once('.')?;
        let (header, claims) = text.split_once('.')?;
        let header: Value = serde_json::from_slice(&BASE64.decode(header).ok()?).ok()?;
        if header["alg"] != "ES256" || header["kid"] != *self.id {
            return None;
        }
        let signature = BASE64.decode(signature).ok()?;
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.pair.public_key().as_ref())
            .verify(text.as_bytes(), &signature)
            .ok()?;
        serde_json::from_slice(&BASE64.decode(claims).ok()?).ok()
    }

    /// Returns the public key, as `/openid/v1/jwks` serves it.
    pub fn public_set(&self) -> Value {
        // An uncompressed point: a four, then both coordinates.
        let point = self.pair.public_key().as_ref();
        let (x, y) = point[1..].split_at((point.len() - 1) / 2);
        json!({"keys": [{
            "use": "sig",
            "kty": "EC",
            "kid": self.id,
            "crv": "P-256",
            "alg": "ES256",
            "x": BASE64.encode(x),
            "y": BASE64.encode(y),
        }]})
    }
}

/// Returns how others check tokens, as `/.well-known/openid-configuration` serves it.
pub fn configuration() -> Value {
    json!({
        "issuer": ISSUER,
        "jwks_uri": format!("{ISSUER}/openid/v1/jwks"),
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    })
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Server {
    /// Returns whose a signed token is, and for which of the audiences asked for it holds.
    pub(super) async fn user_of_signed(
        &self,
        keys: &Keys,
        token: &str,
        audiences: &[String],
    ) -> Result<(User, Vec<String>)> {
        let claims = keys.verify(token).ok_or_else(Status::unauthorized)?;
        let now = self.clock().now().as_second();
        let until = claims["exp"].as_i64().unwrap_or(0);
        let from = claims["nbf"].as_i64().unwrap_or(i64::MAX);
        if claims["iss"] != ISSUER || now >= until || now + LEEWAY_SECONDS < from {
            return Err(Status::unauthorized());
        }
        let own = [ISSUER.to_owned()];
        let wanted = if audiences.is_empty() { &own } else { audiences };
        let held = claims["aud"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let held: Vec<String> =
            held.filter(|one| wanted.iter().any(|other| other == one)).map(str::to_owned).collect();
        if held.is_empty() {
            return Err(Status::unauthorized());
        }
        let bound = &claims["kubernetes.io"];
        let namespace = bound["namespace"].as_str().unwrap_or("");
        let account = &bound["serviceaccount"];
        self.check_bound("serviceaccounts", namespace, account).await?;
        let mut extra = vec![(
            "authentication.kubernetes.io/credential-id".to_owned(),
            vec![format!("JTI={}", claims["jti"].as_str().unwrap_or(""))],
        )];
        for (key, plural) in [("pod", "pods"), ("secret", "secrets"), ("node", "nodes")] {
            let one = &bound[key];
            if one.is_null() {
                continue;
            }
            let of = if key == "node" { "" } else { namespace };
            self.check_bound(plural, of, one).await?;
            for field in ["name", "uid"] {
                if let Some(text) = one[field].as_str().filter(|_| key != "secret") {
                    let key = format!("authentication.kubernetes.io/{key}-{field}");
                    extra.push((key, vec![text.to_owned()]));
                }
            }
        }
        let mut user = User::service_account(namespace, account["name"].as_str().unwrap_or(""));
        user.uid = account["uid"].as_str().unwrap_or("").to_owned();
        user.extra = extra;
        // Without audiences in the question the API asks for itself, and nothing is to be said.
        Ok((user, held))
    }

    /// Refuses tokens that are bound to an object that is gone, or going for longer than its
    /// grace period.
    async fn check_bound(&self, plural: &str, namespace: &str, bound: &Value) -> Result<()> {
        let name = bound["name"].as_str().unwrap_or("");
        let entry = self.registry().get("", "v1", plural).ok_or_else(Status::unauthorized)?;
        let found = self.find(&entry, namespace, name).await?;
        match found {
            Some(stored)
                if object::uid(&stored.object) == bound["uid"].as_str().unwrap_or("")
                    && !self.is_past(object::meta(&stored.object, "deletionTimestamp")) =>
            {
                Ok(())
            }
            _ => Err(Status::unauthorized()),
        }
    }

    fn is_past(&self, time: &str) -> bool {
        time.parse::<loopline_clock::Timestamp>().is_ok_and(|time| time < self.clock().now())
    }
}

impl User {
    /// Returns a service account.
    pub fn service_account(namespace: &str, name: &str) -> Self {
        Self {
            name: format!("system:serviceaccount:{namespace}:{name}"),
            groups: vec![
                "system:serviceaccounts".to_owned(),
                format!("system:serviceaccounts:{namespace}"),
                AUTHENTICATED.to_owned(),
            ],
            ..Self::default()
        }
    }
}
