//! Levels and versions of the standards, as namespaces' labels name them.

use std::fmt;

/// The newest version of the standards that is known here: the second number of Kubernetes 1.x.
pub const LATEST_MINOR: u32 = 37;

/// A level of the standards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Everything is allowed.
    #[default]
    Privileged,
    /// Known ways out of a container are closed.
    Baseline,
    /// A pod is hardened as far as it goes.
    Restricted,
}

impl Level {
    /// Reads a level.
    ///
    /// # Errors
    /// [`ParseError::Level`].
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        match text {
            "privileged" => Ok(Self::Privileged),
            "baseline" => Ok(Self::Baseline),
            "restricted" => Ok(Self::Restricted),
            _ => Err(ParseError::Level),
        }
    }

    /// Returns the name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Privileged => "privileged",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        }
    }
}

/// A level in a version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// The level.
    pub level: Level,
    /// The version, as the second number of Kubernetes 1.x; nothing means the latest.
    pub minor: Option<u32>,
}

impl Policy {
    /// Reads a version: `latest`, or `v1.x`.
    ///
    /// # Errors
    /// [`ParseError::Version`].
    pub fn parse_version(text: &str) -> Result<Option<u32>, ParseError> {
        if text == "latest" {
            return Ok(None);
        }
        let digits = text.strip_prefix("v1.").filter(|digits| {
            *digits == "0"
                || !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit())
        });
        match digits.map(str::parse) {
            Some(Ok(minor)) => Ok(Some(minor)),
            _ => Err(ParseError::Version),
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.minor {
            None => write!(f, "{}:latest", self.level.name()),
            Some(minor) => write!(f, "{}:v1.{minor}", self.level.name()),
        }
    }
}

/// Why a label names no policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// There is no such level.
    #[error("must be one of privileged, baseline, restricted")]
    Level,
    /// It is no version.
    #[error("must be \"latest\" or \"v1.x\"")]
    Version,
}
