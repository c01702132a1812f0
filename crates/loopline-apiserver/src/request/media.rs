//! Media types: what a client accepts, and which of our representations it gets.

use crate::status::{Result, Status};

/// One entry of an `Accept` header.
#[derive(Clone, Debug)]
struct Range {
    media: String,
    parameters: Vec<(String, String)>,
    quality: f32,
}

/// An `Accept` header.
#[derive(Clone, Debug)]
pub struct Accept(Vec<Range>);

/// How an object or a list is represented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Representation {
    /// As itself.
    Object,
    /// As a `Table` of `meta.k8s.io`, in this version.
    Table(&'static str),
    /// As `PartialObjectMetadata` or a list of them, in this version.
    Metadata(&'static str),
}

/// How the reply is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

impl Encoding {
    /// Returns the media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Yaml => "application/yaml",
        }
    }
}

/// The media types that objects can be had in.
const KNOWN: &str = "application/json, application/yaml";

impl Accept {
    /// Reads the header; a missing one accepts everything.
    pub fn parse(header: Option<&str>) -> Self {
        let Some(header) = header.filter(|header| !header.trim().is_empty()) else {
            return Self(vec![Range {
                media: "*/*".to_owned(),
                parameters: Vec::new(),
                quality: 1.0,
            }]);
        };
        let mut ranges: Vec<Range> = header
            .split(',')
            .filter_map(|entry| {
                let mut parts = entry.split(';').map(str::trim);
                let media = parts.next()?.to_ascii_lowercase();
                let mut range = Range { media, parameters: Vec::new(), quality: 1.0 };
                for part in parts {
                    let (key, value) = part.split_once('=').unwrap_or((part, ""));
                    if key == "q" {
                        range.quality = value.parse().unwrap_or(0.0);
                    } else {
                        range.parameters.push((key.to_owned(), value.trim_matches('"').to_owned()));
                    }
                }
                Some(range)
            })
            .collect();
        // Stable: equals keep the order of the header.
        ranges.sort_by(|a, b| b.quality.total_cmp(&a.quality));
        Self(ranges)
    }

    /// Chooses how an object or list is represented and written.
    ///
    /// # Errors
    /// 406 where nothing that is accepted can be had.
    pub fn choose(&self) -> Result<(Representation, Encoding)> {
        self.0
            .iter()
            .filter(|range| range.quality > 0.0)
            .find_map(|range| Some((range.representation()?, range.encoding()?)))
            .ok_or_else(|| Status::not_acceptable(KNOWN))
    }

    /// Chooses the encoding of what has one representation only.
    ///
    /// # Errors
    /// 406 where nothing that is accepted can be had.
    pub fn encoding(&self) -> Result<Encoding> {
        self.0
            .iter()
            .filter(|range| range.quality > 0.0)
            .find_map(Range::encoding)
            .ok_or_else(|| Status::not_acceptable(KNOWN))
    }

    /// Returns the version of the aggregated discovery document that is asked for before any
    /// other form, if it is.
    pub fn discovery(&self) -> Option<&'static str> {
        for range in self.0.iter().filter(|range| range.quality > 0.0) {
            range.encoding()?;
            match range.kind() {
                Some(("apidiscovery.k8s.io", "v2", "APIGroupDiscoveryList")) => return Some("v2"),
                Some(("apidiscovery.k8s.io", "v2beta1", "APIGroupDiscoveryList")) => {
                    return Some("v2beta1");
                }
                Some(_) => {}
                None => return None,
            }
        }
        None
    }
}

impl Range {
    fn encoding(&self) -> Option<Encoding> {
        match &*self.media {
            "application/json" | "*/*" | "application/*" => Some(Encoding::Json),
            "application/yaml" => Some(Encoding::Yaml),
            _ => None,
        }
    }

    /// Returns the group, version and kind that are asked for by `g`, `v` and `as`.
    fn kind(&self) -> Option<(&str, &str, &str)> {
        let parameter = |name: &str| {
            self.parameters.iter().find(|(key, _)| key == name).map(|(_, value)| &**value)
        };
        Some((parameter("g")?, parameter("v")?, parameter("as")?))
    }

    fn representation(&self) -> Option<Representation> {
        let version = |version: &str| match version {
            "v1" => Some("v1"),
            "v1beta1" => Some("v1beta1"),
            _ => None,
        };
        match self.kind() {
            None => Some(Representation::Object),
            Some(("meta.k8s.io", v, "Table")) => version(v).map(Representation::Table),
            Some(("meta.k8s.io", v, "PartialObjectMetadata" | "PartialObjectMetadataList")) => {
                version(v).map(Representation::Metadata)
            }
            Some(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_can_be_had_is_chosen() {
        let table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
        let choose = |header: &str| Accept::parse(Some(header)).choose();
        assert_eq!(choose(table).unwrap(), (Representation::Table("v1"), Encoding::Json));
        let protobuf = "application/vnd.kubernetes.protobuf, */*";
        assert_eq!(choose(protobuf).unwrap().0, Representation::Object);
        assert_eq!(choose("application/yaml").unwrap().1, Encoding::Yaml);
        assert_eq!(
            choose("application/json;q=0, application/yaml;q=0.1").unwrap().1,
            Encoding::Yaml
        );
        assert_eq!(choose("text/html").unwrap_err().code, 406);
        let partial = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
        assert_eq!(choose(partial).unwrap().0, Representation::Metadata("v1"));
        let discovery = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
                         application/json";
        assert_eq!(Accept::parse(Some(discovery)).discovery(), Some("v2"));
        assert_eq!(Accept::parse(Some("application/json")).discovery(), None);
        assert_eq!(Accept::parse(None).choose().unwrap().0, Representation::Object);
    }
}
