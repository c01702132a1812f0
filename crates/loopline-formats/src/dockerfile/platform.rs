//! Platforms: `linux/arm64/v8` and its short forms.

use std::fmt;

/// What an image runs on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Platform {
    /// The operating system.
    pub os: String,
    /// The processor.
    pub architecture: String,
    /// What of it; empty for the usual.
    pub variant: String,
}

/// A text that is no platform.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is no platform: expected `os/architecture` or `os/architecture/variant`")]
pub struct Error(pub String);

impl Platform {
    /// Reads `linux/amd64`, `arm64`, `linux` and their like; aliases become the usual names.
    ///
    /// `host` fills in what is left out.
    ///
    /// # Errors
    /// [`Error`] for anything else.
    pub fn parse(text: &str, host: &Self) -> Result<Self, Error> {
        let error = || Error(text.to_owned());
        let parts: Vec<&str> = text.split('/').collect();
        let valid = |part: &&str| {
            !part.is_empty()
                && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
        };
        if !parts.iter().all(valid) {
            return Err(error());
        }
        match parts.as_slice() {
            [one] => {
                let lower = one.to_lowercase();
                let os = os(&lower);
                if SYSTEMS.contains(&os) {
                    return Ok(Self { os: os.to_owned(), ..host.clone() });
                }
                let (architecture, variant) = architecture(&lower, "");
                if !ARCHITECTURES.contains(&architecture.as_str()) {
                    return Err(error());
                }
                Ok(Self { os: host.os.clone(), architecture, variant })
            }
            [os_name, processor] => {
                let (architecture, variant) = architecture(&processor.to_lowercase(), "");
                Ok(Self { os: os(&os_name.to_lowercase()).to_owned(), architecture, variant })
            }
            [os_name, processor, variant] => {
                let (architecture, variant) =
                    architecture(&processor.to_lowercase(), &variant.to_lowercase());
                Ok(Self { os: os(&os_name.to_lowercase()).to_owned(), architecture, variant })
            }
            _ => Err(error()),
        }
    }

    /// Returns `linux/amd64`.
    pub fn linux_amd64() -> Self {
        Self { os: "linux".to_owned(), architecture: "amd64".to_owned(), variant: String::new() }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if self.variant.is_empty() { Ok(()) } else { write!(f, "/{}", self.variant) }
    }
}

const SYSTEMS: [&str; 11] = [
    "aix",
    "android",
    "darwin",
    "dragonfly",
    "freebsd",
    "illumos",
    "linux",
    "netbsd",
    "openbsd",
    "plan9",
    "windows",
];

const ARCHITECTURES: [&str; 15] = [
    "386", "amd64", "arm", "arm64", "loong64", "mips", "mipsle", "mips64", "mips64le", "ppc64",
    "ppc64le", "riscv64", "s390x", "sparc64", "wasm",
];

fn os(name: &str) -> &str {
    if name == "macos" { "darwin" } else { name }
}

/// Returns the usual name of a processor and its variant.
fn architecture(name: &str, variant: &str) -> (String, String) {
    let (name, variant) = match (name, variant) {
        ("i386", _) => ("386", ""),
        ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
        ("x86_64" | "x86-64", variant) => ("amd64", variant),
        ("aarch64" | "arm64", "8" | "v8") => ("arm64", ""),
        ("aarch64", variant) => ("arm64", variant),
        ("armhf", _) => ("arm", "v7"),
        ("armel", _) => ("arm", "v6"),
        ("arm", "" | "7") => ("arm", "v7"),
        ("arm", "5") => ("arm", "v5"),
        ("arm", "6") => ("arm", "v6"),
        ("arm", "8") => ("arm", "v8"),
        other => other,
    };
    (name.to_owned(), variant.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_read_in_all_their_forms() {
        let host = Platform::linux_amd64();
        let read = |text| Platform::parse(text, &host).map(|platform| platform.to_string());
        for (text, expected) in [
            ("linux/amd64", "linux/amd64"),
            ("Linux/x86_64", "linux/amd64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/arm/v6", "linux/arm/v6"),
            ("arm64", "linux/arm64"),
            ("armhf", "linux/arm/v7"),
            ("windows", "windows/amd64"),
            ("windows/amd64", "windows/amd64"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(expected), "{text}");
        }
        for text in ["", "a/b/c/d", "linux/", "nonsense", "linux/a b"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
