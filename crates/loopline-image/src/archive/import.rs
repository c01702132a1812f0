//! Makes an image of a plain root file system.

use std::io::{Read, Write as _};

use oci_spec::image::Descriptor;
use serde_json::{Value, json};

use super::ArchiveError;
use crate::layer::{Compression, recompress};
use crate::platform::Platform;
use crate::store::{Lease, descriptor};

/// What is said of an imported image.
#[derive(Clone, Debug)]
pub struct ImportOptions {
    /// What it is for.
    pub platform: Platform,
    /// How its layer is compressed, where the archive is not compressed itself.
    pub compression: Compression,
    /// What containers of it do unless told otherwise: the `config` of an image's configuration.
    pub config: Value,
    /// When it was made, in seconds since 1970.
    pub created: i64,
    /// What its history says.
    pub comment: String,
}

/// Makes an image of one layer of the archive (compressed or not) in `input`. `lease` holds it.
///
/// # Errors
/// [`ArchiveError::Tar`] where it is no archive; [`ArchiveError::Store`].
pub fn import(
    input: impl Read + Send,
    shown: &str,
    options: &ImportOptions,
    lease: &Lease,
) -> Result<Descriptor, ArchiveError> {
    let mut writer = lease.blob_writer()?;
    let layer = recompress(input, options.compression, &mut writer)
        .map_err(|source| ArchiveError::Tar { path: shown.to_owned(), source })?;
    writer.flush()?;
    let blob = writer.commit(Some(&layer.digest))?;
    let layer_descriptor = descriptor(layer.compression.media_type(), &blob.digest, blob.size)?;
    let created = time_text(options.created);
    let mut configuration = json!({
        "created": created,
        "architecture": options.platform.architecture,
        "os": options.platform.os,
    });
    if let Some(variant) = &options.platform.variant {
        configuration["variant"] = json!(variant);
    }
    configuration["config"] = options.config.clone();
    configuration["rootfs"] = json!({ "type": "layers", "diff_ids": [layer.diff_id] });
    configuration["history"] = json!([{ "created": created, "comment": options.comment }]);
    Ok(lease.write_image(&configuration, vec![layer_descriptor])?)
}

/// Returns a time as documents have it.
fn time_text(seconds: i64) -> String {
    loopline_clock::Timestamp::from_second(seconds)
        .unwrap_or(loopline_clock::Timestamp::UNIX_EPOCH)
        .to_string()
}
