//! Who may use a registry: names and passwords, kept as salted hashes.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fs_err as fs;
use http::HeaderValue;
use loopline_clock::Clock;
use ring::pbkdf2;

use crate::digest::Digest;

/// How often a password is hashed: what OWASP asks of PBKDF2 with SHA-256.
pub const ROUNDS: NonZeroU32 = NonZeroU32::new(600_000).unwrap();
/// The most headers that are remembered as right.
const MAX_REMEMBERED: usize = 1024;
/// The longest header that is looked at.
const MAX_HEADER: usize = 4096;
/// The length of a hash and of a salt, in bytes.
const HASH_BYTES: usize = 32;
const SALT_BYTES: usize = 16;

/// Why the users cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// A line is not what it should be.
    #[error("{path}:{line}: not `NAME:ROUNDS:SALT:HASH`, as `loopline registry --add-user` writes")]
    Line {
        /// The file.
        path: String,
        /// The line.
        line: usize,
    },
    /// Such a name cannot be.
    #[error("`{0}` cannot be a user's name: it is empty or has a colon or a space")]
    Name(String),
    /// The file cannot be read or written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// The users of a registry.
pub struct Users {
    users: HashMap<String, Password>,
    /// Digests of headers that were right: hashing every request's password would make each as
    /// slow as it has to be for those who guess.
    right: Mutex<HashSet<Digest>>,
}

struct Password {
    rounds: NonZeroU32,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

impl std::fmt::Debug for Users {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Users({})", self.users.len())
    }
}

impl Users {
    /// Reads the users' file; nobody, where there is none.
    ///
    /// # Errors
    /// [`AccessError`].
    pub fn read(path: &Path) -> Result<Self, AccessError> {
        let mut users = HashMap::new();
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            other => other?,
        };
        for (index, line) in text.lines().enumerate() {
            let bad = || AccessError::Line { path: path.display().to_string(), line: index + 1 };
            let parts: Vec<&str> = line.split(':').collect();
            let [name, rounds, salt, hash] = parts[..] else { return Err(bad()) };
            let password = Password {
                rounds: rounds.parse().map_err(|_| bad())?,
                salt: STANDARD.decode(salt).map_err(|_| bad())?,
                hash: STANDARD.decode(hash).map_err(|_| bad())?,
            };
            users.insert(name.to_owned(), password);
        }
        Ok(Self { users, right: Mutex::default() })
    }

    /// Adds a user to the file at `path`, or gives one another password, which is hashed `rounds`
    /// times ([`ROUNDS`], unless it is a test).
    ///
    /// # Errors
    /// [`AccessError`].
    pub fn add(
        path: &Path,
        name: &str,
        password: &str,
        rounds: NonZeroU32,
        clock: &Clock,
    ) -> Result<(), AccessError> {
        if name.is_empty() || name.contains([':', ' ', '\n']) {
            return Err(AccessError::Name(name.to_owned()));
        }
        let mut all = Self::read(path)?.users;
        let mut salt = vec![0; SALT_BYTES];
        clock.fill_random(&mut salt);
        let mut hash = vec![0; HASH_BYTES];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, &salt, password.as_bytes(), &mut hash);
        all.insert(name.to_owned(), Password { rounds, salt, hash });
        let mut lines: Vec<String> = all
            .iter()
            .map(|(name, it)| {
                let (salt, hash) = (STANDARD.encode(&it.salt), STANDARD.encode(&it.hash));
                format!("{name}:{}:{salt}:{hash}\n", it.rounds)
            })
            .collect();
        lines.sort();
        crate::store::make_private(path.parent().unwrap_or(Path::new(".")))?;
        crate::store::write_whole(path, lines.concat().as_bytes(), clock)?;
        Ok(())
    }

    /// Returns whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// Says whether an `Authorization` header names a user and the password.
    pub(super) fn admit(&self, header: &HeaderValue) -> bool {
        if header.len() > MAX_HEADER {
            return false;
        }
        let known = Digest::of(header.as_bytes());
        if self.right().contains(&known) {
            return true;
        }
        let admitted = self.check(header).unwrap_or(false);
        if admitted {
            let mut right = self.right();
            if right.len() >= MAX_REMEMBERED {
                right.clear();
            }
            right.insert(known);
        }
        admitted
    }

    fn check(&self, header: &HeaderValue) -> Option<bool> {
        let (scheme, encoded) = header.to_str().ok()?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
        let (name, password) = decoded.split_once(':')?;
        let user = self.users.get(name)?;
        let algorithm = pbkdf2::PBKDF2_HMAC_SHA256;
        let right =
            pbkdf2::verify(algorithm, user.rounds, &user.salt, password.as_bytes(), &user.hash);
        Some(right.is_ok())
    }

    fn right(&self) -> std::sync::MutexGuard<'_, HashSet<Digest>> {
        self.right.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_checked_and_not_kept() {
        let scratch = tempfile::tempdir().expect("a folder");
        let path = scratch.path().join("users");
        let clock = Clock::real();
        let rounds = NonZeroU32::MIN;
        Users::add(&path, "ada", "s3cret:with", rounds, &clock).expect("a user");
        Users::add(&path, "bob", "other", rounds, &clock).expect("a user");
        assert!(Users::add(&path, "a:b", "x", rounds, &clock).is_err());
        let text = fs::read_to_string(&path).expect("the file");
        assert!(!text.contains("s3cret") && text.lines().count() == 2);
        let users = Users::read(&path).expect("users");
        let header = |text: &str| {
            HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(text))).expect("a header")
        };
        assert!(users.admit(&header("ada:s3cret:with")));
        assert!(users.admit(&header("ada:s3cret:with")));
        for wrong in ["ada:other", "ada:", "eve:other", "ada", ""] {
            assert!(!users.admit(&header(wrong)), "{wrong}");
        }
        assert!(!users.admit(&HeaderValue::from_static("Bearer x")));
        fs::write(&path, "ada:plain\n").expect("the file");
        assert!(Users::read(&path).is_err());
    }
}
