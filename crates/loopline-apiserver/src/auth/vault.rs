//! Secrets at rest: sealed with ChaCha20-Poly1305 under a key in a file of its own.
//!
//! Only `Secret` objects are sealed. The key under which an object stands is authenticated with
//! it, so a sealed value cannot be moved to another name.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use loopline_clock::Clock;
use loopline_store::object::{ListOptions, ObjectStore, StoreError};
use loopline_tls::{PrivateError, read_private, write_private};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use crate::registry::{Entry, prefix};
use crate::status::{Result, Status};
use crate::storage::Vault;

/// What a sealed value begins with; no JSON text does.
const MAGIC: &[u8] = b"\0loopline-sealed-1\0";

/// The length of a key, in bytes.
const KEY_BYTES: usize = 32;

/// Why there is no vault.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The key's file cannot be used.
    #[error(transparent)]
    File(#[from] PrivateError),
    /// The key's file holds something else.
    #[error("{} holds no key of {KEY_BYTES} bytes; next: put back the file that was there", .0.display())]
    Malformed(PathBuf),
    /// The store holds sealed secrets, and the key is gone.
    #[error("the store holds sealed secrets and their key {} is missing; next: put it back from where the data folder was copied from", .0.display())]
    Missing(PathBuf),
    /// The store's secrets were sealed with another key.
    #[error("the secret {key} was not sealed with {}; next: put back the key file that belongs to this store", .path.display())]
    Wrong {
        /// The key of the object.
        key: String,
        /// The key's file.
        path: PathBuf,
    },
    /// The store cannot be read.
    #[error("read the store")]
    Store(#[from] StoreError),
}

/// Seals secrets.
pub struct Sealed {
    key: LessSafeKey,
    clock: Clock,
}

impl Sealed {
    /// Opens the vault of a store; its key is made where the store holds no secrets yet.
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn open(
        path: &Path,
        store: &dyn ObjectStore,
        clock: &Clock,
    ) -> std::result::Result<Self, VaultError> {
        let secrets = prefix("", "secrets");
        let options = ListOptions { prefix: secrets, limit: Some(1), ..ListOptions::default() };
        let first = store.list(options).await?.records.into_iter().next();
        let bytes = match (read_private(path)?, &first) {
            (Some(bytes), _) => bytes,
            (None, Some(_)) => return Err(VaultError::Missing(path.to_owned())),
            (None, None) => {
                let mut bytes = vec![0; KEY_BYTES];
                clock.fill_random(&mut bytes);
                write_private(path, &bytes)?;
                bytes
            }
        };
        let key = UnboundKey::new(&CHACHA20_POLY1305, &bytes)
            .map_err(|_| VaultError::Malformed(path.to_owned()))?;
        let vault = Self { key: LessSafeKey::new(key), clock: clock.clone() };
        if let Some(record) = first
            && vault.unseal(&record.key, &record.value).is_none()
        {
            return Err(VaultError::Wrong { key: record.key, path: path.to_owned() });
        }
        Ok(vault)
    }

    fn unseal(&self, key: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let rest = sealed.strip_prefix(MAGIC)?;
        let (nonce, rest) = rest.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut bytes = rest.to_vec();
        let plain = self.key.open_in_place(nonce, Aad::from(key.as_bytes()), &mut bytes).ok()?;
        Some(plain.to_vec())
    }
}

impl Vault for Sealed {
    fn seal(&self, entry: &Entry, key: &str, plain: Vec<u8>) -> Result<Bytes> {
        if !is_secret(entry) {
            return Ok(Bytes::from(plain));
        }
        // Random nonces of 96 bits: safe for far more writes (2^32) than a store lives to see.
        let mut nonce = [0; NONCE_LEN];
        self.clock.fill_random(&mut nonce);
        let mut bytes = plain;
        self.key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(key.as_bytes()),
                &mut bytes,
            )
            .map_err(|_| Status::internal("seal a secret"))?;
        Ok(Bytes::from([MAGIC, &nonce, &bytes].concat()))
    }

    fn open(&self, entry: &Entry, key: &str, sealed: &Bytes) -> Result<Bytes> {
        if !is_secret(entry) {
            return Ok(sealed.clone());
        }
        let plain = self.unseal(key, sealed).ok_or_else(|| {
            Status::internal(format_args!("the secret {key} was sealed with another key"))
        })?;
        Ok(Bytes::from(plain))
    }
}

fn is_secret(entry: &Entry) -> bool {
    entry.storage.group.is_empty() && entry.resource.plural == "secrets"
}

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealed")
    }
}
