//! Bodies of requests: JSON, YAML or protobuf to values.

use loopline_schema::manifest;
use loopline_source::SourceFile;
use serde_json::Value;

use crate::status::{Result, Status};

/// The media types of objects that are read.
const KNOWN: &[&str] = &["application/json", "application/yaml", PROTOBUF];

/// The media type of Kubernetes' protobuf.
pub(crate) const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// A body that was read.
#[derive(Clone, Debug)]
pub struct Decoded {
    /// What it says.
    pub value: Value,
    /// The paths of fields that stand more than once.
    pub duplicates: Vec<String>,
}

/// Reads the body of a create or update.
///
/// # Errors
/// 415 for media types that are not known, 400 for texts that cannot be read.
pub fn decode(content_type: &str, bytes: &[u8]) -> Result<Decoded> {
    match content_type {
        // No type means JSON: kubectl sends none with some of its writes.
        "" | "application/json" | "*/*" => json(bytes),
        "application/yaml" | "application/x-yaml" | "text/yaml" => yaml(bytes),
        PROTOBUF => {
            let value = loopline_schema::protobuf::decode(bytes)
                .map_err(|error| Status::bad_request(format!("decode protobuf: {error}")))?;
            Ok(Decoded { value, duplicates: Vec::new() })
        }
        other => Err(Status::unsupported_media_type(other, KNOWN)),
    }
}

/// Reads JSON.
///
/// # Errors
/// 400 for texts that cannot be read.
pub fn json(bytes: &[u8]) -> Result<Decoded> {
    if bytes.is_empty() {
        return Err(Status::bad_request("the body of the request is empty"));
    }
    let manifest = manifest::from_json(bytes).map_err(|error| {
        Status::bad_request(format!("the body cannot be read as JSON: {error}"))
    })?;
    Ok(Decoded { value: manifest.value, duplicates: manifest.duplicates })
}

/// Reads one YAML document.
///
/// # Errors
/// 400 for texts that cannot be read, or hold several documents.
pub fn yaml(bytes: &[u8]) -> Result<Decoded> {
    let refuse =
        |why: String| Status::bad_request(format!("the body cannot be read as YAML: {why}"));
    let text = std::str::from_utf8(bytes).map_err(|error| refuse(error.to_string()))?;
    let documents = manifest::from_yaml(&SourceFile::new("the body", text))
        .map_err(|error| refuse(error.to_string()))?;
    let [document] = <[manifest::Manifest; 1]>::try_from(documents)
        .map_err(|documents| refuse(format!("{} documents instead of one", documents.len())))?;
    Ok(Decoded { value: document.value, duplicates: document.duplicates })
}
