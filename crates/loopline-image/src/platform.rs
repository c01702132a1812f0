//! Platforms: what an image is for, and what this machine runs.

use std::fmt;
use std::str::FromStr;

use oci_spec::image::{Descriptor, ImageConfiguration};

/// An operating system and a processor: `linux/arm64/v8`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Platform {
    /// The operating system, as Go names it.
    pub os: String,
    /// The processor, as Go names it.
    pub architecture: String,
    /// The processor's variant, where there are several.
    pub variant: Option<String>,
}

/// Why a text is no platform.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no platform: `linux/amd64` and `linux/arm/v7` are")]
pub struct BadPlatform(String);

impl Platform {
    /// Returns the platform of images that run here.
    pub fn of_this_machine() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "x86" => "386",
            "powerpc64" => "ppc64le",
            other => other,
        };
        Self::new("linux", architecture, None)
    }

    fn new(os: &str, architecture: &str, variant: Option<&str>) -> Self {
        // One processor has several names; these are the ones that images use.
        let (architecture, variant) = match (architecture, variant) {
            ("x86_64" | "x86-64", variant) => ("amd64", variant),
            ("aarch64", variant) => ("arm64", variant),
            ("i386" | "i686", variant) => ("386", variant),
            ("armhf", None) => ("arm", Some("v7")),
            ("armel", None) => ("arm", Some("v6")),
            other => other,
        };
        let variant = match (architecture, variant) {
            ("arm64", Some("v8" | "8")) | ("amd64", Some("v1")) => None,
            ("arm", None) => Some("v7"),
            ("arm", Some("7")) => Some("v7"),
            ("arm", Some("6")) => Some("v6"),
            ("arm", Some("5")) => Some("v5"),
            (_, variant) => variant.filter(|it| !it.is_empty()),
        };
        Self {
            os: os.to_owned(),
            architecture: architecture.to_owned(),
            variant: variant.map(str::to_owned),
        }
    }

    /// Returns the platform that a configuration says it is for.
    pub fn of_configuration(configuration: &ImageConfiguration) -> Self {
        Self::new(
            &configuration.os().to_string(),
            &configuration.architecture().to_string(),
            configuration.variant().as_deref(),
        )
    }

    fn of_descriptor(descriptor: &Descriptor) -> Option<Self> {
        let platform = descriptor.platform().as_ref()?;
        Some(Self::new(
            &platform.os().to_string(),
            &platform.architecture().to_string(),
            platform.variant().as_deref(),
        ))
    }

    /// Says whether a machine of this platform runs images for `image`.
    pub fn runs(&self, image: &Self) -> bool {
        self.os == image.os && self.distance(image).is_some()
    }

    /// Returns how far below its own best an image would run here, if it runs at all.
    fn distance(&self, image: &Self) -> Option<u32> {
        if self.architecture == image.architecture {
            return match (self.level(), image.level()) {
                // Levels of one processor are upwards compatible.
                (Some(ours), Some(theirs)) => ours.checked_sub(theirs),
                _ => (self.variant == image.variant).then_some(0),
            };
        }
        // 64-bit processors run programs of their 32-bit kin; better their own.
        match (self.architecture.as_str(), image.architecture.as_str()) {
            ("amd64", "386") => Some(100),
            ("arm64", "arm") => Some(100 - image.level().unwrap_or(0)),
            _ => None,
        }
    }

    fn level(&self) -> Option<u32> {
        match (self.architecture.as_str(), self.variant.as_deref()) {
            ("amd64", None) => Some(1),
            ("arm64", None) => Some(8),
            ("amd64" | "arm64" | "arm", Some(variant)) => variant.strip_prefix('v')?.parse().ok(),
            _ => None,
        }
    }

    /// Chooses from an index what runs best here. Entries without a platform are taken where
    /// nothing names one; attestations, which are no images, never.
    pub fn choose<'a>(&self, manifests: &'a [Descriptor]) -> Option<&'a Descriptor> {
        let of = |descriptor: &'a Descriptor| {
            let platform = Self::of_descriptor(descriptor)?;
            let distance = (platform.os == self.os).then(|| self.distance(&platform))??;
            Some((distance, descriptor))
        };
        let best = manifests.iter().filter_map(of).min_by_key(|(distance, _)| *distance);
        best.map(|(_, descriptor)| descriptor).or_else(|| match manifests {
            [only] if only.platform().is_none() => Some(only),
            _ => None,
        })
    }
}

/// Returns the platforms of an index, for messages.
pub(crate) fn list(manifests: &[Descriptor]) -> String {
    let found: Vec<String> = manifests
        .iter()
        .filter_map(Platform::of_descriptor)
        .filter(|platform| platform.os != "unknown")
        .map(|platform| platform.to_string())
        .collect();
    if found.is_empty() { "no platform".to_owned() } else { found.join(", ") }
}

impl FromStr for Platform {
    type Err = BadPlatform;

    fn from_str(text: &str) -> Result<Self, BadPlatform> {
        let bad = || BadPlatform(text.to_owned());
        let parts: Vec<&str> = text.split('/').collect();
        let is_word = |part: &&str| {
            !part.is_empty()
                && part.bytes().all(|it| it.is_ascii_alphanumeric() || b"-_.".contains(&it))
        };
        if !parts.iter().all(is_word) {
            return Err(bad());
        }
        match parts[..] {
            [architecture] if architecture != "linux" => Ok(Self::new("linux", architecture, None)),
            [os, architecture] => Ok(Self::new(os, architecture, None)),
            [os, architecture, variant] => Ok(Self::new(os, architecture, Some(variant))),
            _ => Err(bad()),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(platforms: &[&str]) -> Vec<Descriptor> {
        let entry = |text: &&str| {
            let parts: Vec<&str> = text.split('/').collect();
            let mut platform = serde_json::json!({ "os": parts[0], "architecture": parts[1] });
            if let Some(variant) = parts.get(2) {
                platform["variant"] = (*variant).into();
            }
            serde_json::from_value(serde_json::json!({
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": crate::digest::Digest::of(text.as_bytes()),
                "size": 1,
                "platform": platform,
            }))
            .expect("a descriptor")
        };
        platforms.iter().map(entry).collect()
    }

    #[test]
    fn the_best_platform_is_chosen() {
        let all = [
            "unknown/unknown",
            "linux/386",
            "linux/arm/v5",
            "linux/arm/v7",
            "linux/arm64/v8",
            "linux/amd64",
            "linux/amd64/v3",
            "windows/amd64",
        ];
        let manifests = index(&all);
        for (wanted, chosen) in [
            ("linux/amd64", Some("linux/amd64")),
            ("amd64", Some("linux/amd64")),
            ("linux/amd64/v2", Some("linux/amd64")),
            ("linux/amd64/v4", Some("linux/amd64/v3")),
            ("linux/arm64", Some("linux/arm64/v8")),
            ("linux/arm", Some("linux/arm/v7")),
            ("linux/arm/v6", Some("linux/arm/v5")),
            ("linux/x86_64", Some("linux/amd64")),
            ("linux/s390x", None),
            ("windows/arm64", None),
        ] {
            let wanted: Platform = wanted.parse().expect("a platform");
            let digest = |text: &str| crate::digest::Digest::of(text.as_bytes()).to_string();
            let found = wanted.choose(&manifests).map(|it| it.digest().to_string());
            assert_eq!(found, chosen.map(digest), "{wanted}");
        }
        let old: Platform = "linux/amd64".parse().expect("a platform");
        assert!(old.choose(&index(&["linux/386", "linux/amd64/v2"])).is_some());
        assert!(old.choose(&index(&["linux/amd64/v2"])).is_none());
        assert!("linux".parse::<Platform>().is_err());
        assert!("linux//v7".parse::<Platform>().is_err());
    }
}
