//! Bodies in protobuf, as `kubectl` and client-go send and take them: the envelope `k8s\0` +
//! `runtime.Unknown`, and objects by the field numbers that the types carry.
//!
//! An object is decoded to the JSON that the API's own types would give; fields that they do not
//! have are passed over, as every protobuf decoder does.

mod decode;
mod encode;
pub(crate) mod wire;

pub use decode::decode;
pub use encode::encode;

use crate::TypeRef;

/// The media type of such bodies.
pub const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";

/// What every body begins with.
const MAGIC: &[u8] = b"k8s\0";

/// How many messages may stand in one another.
const MAXIMUM_MESSAGE_DEPTH: usize = 100;

/// How many values one body may hold: two bytes can stand for a whole object.
const MAXIMUM_VALUES: usize = 500_000;

/// Why a body cannot be decoded or encoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The envelope's first bytes are others.
    #[error(
        "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]"
    )]
    Magic,
    /// The envelope says that the object is encoded once more.
    #[error("unsupported content encoding {0:?} in a protobuf body")]
    ContentEncoding(String),
    /// The envelope holds something other than protobuf or JSON.
    #[error("unsupported content type {0:?} in a protobuf body")]
    ContentType(String),
    /// There is no such kind.
    #[error("no kind {kind:?} is registered for version {api_version:?}")]
    Kind {
        /// The envelope's `apiVersion`.
        api_version: String,
        /// The envelope's `kind`.
        kind: String,
    },
    /// The body ends within a field.
    #[error("unexpected EOF")]
    Truncated,
    /// A number takes more bytes than it may.
    #[error("proto: integer overflow")]
    Overflow,
    /// A field has a form that its type does not have.
    #[error("proto: wrong wireType = {wire} for field {field}")]
    WireType {
        /// The field.
        field: String,
        /// The form it has.
        wire: u8,
    },
    /// A string is no UTF-8.
    #[error("proto: field {0} contains invalid UTF-8")]
    Utf8(String),
    /// A field that holds JSON holds something else.
    #[error("field {field}: {message}")]
    Json {
        /// The field.
        field: String,
        /// What the JSON parser says.
        message: String,
    },
    /// Messages are nested too deeply.
    #[error("exceeded max depth of {MAXIMUM_MESSAGE_DEPTH} messages")]
    Depth,
    /// There are too many values.
    #[error("more than {MAXIMUM_VALUES} values in one body")]
    Size,
}

/// Returns the type of a kind that may stand in an envelope. Options of requests are part of
/// every group.
fn kind_type(api_version: &str, kind: &str) -> Result<TypeRef<'static>, Error> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let options = || {
        let name =
            matches!(kind, "DeleteOptions" | "CreateOptions" | "UpdateOptions" | "PatchOptions");
        name.then(|| crate::definition(&format!("apimachinery.pkg.apis.meta.v1.{kind}"))).flatten()
    };
    crate::builtin(group, version, kind)
        .or_else(options)
        .ok_or_else(|| Error::Kind { api_version: api_version.to_owned(), kind: kind.to_owned() })
}
