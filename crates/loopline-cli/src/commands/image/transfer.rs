//! `loopline image pull` and `push`.

use std::sync::Arc;

use loopline_image::platform::Platform;
use loopline_image::reference::Reference;
use loopline_image::registry::client::Platforms;
use loopline_units::show_bytes;
use serde_json::json;

use super::{client, names, platform, store};
use crate::arguments::{ImagePullArguments, ImagePushArguments, RegistryAccess};
use crate::commands::{Context, Outcome};
use crate::error::{CommandError, Status};

pub(super) fn pull(context: &Context<'_>, arguments: &ImagePullArguments) -> Outcome {
    let reference: Reference = arguments.image.parse()?;
    let platforms = match platform(arguments.platform.as_ref())? {
        _ if arguments.all_platforms => Platforms::All,
        Some(platform) => Platforms::One(platform),
        None => Platforms::One(Platform::of_this_machine()),
    };
    let store = store()?;
    let client = client(&arguments.access, context.printer)?;
    let lease = Arc::new(store.lease()?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let pulled = runtime.block_on(client.pull(&store, &reference, &platforms, &lease))?;
    let digest = pulled.descriptor.digest();
    if context.printer.json {
        context.printer.json(&json!({
            "schema": "loopline.image-pull/v1",
            "name": reference.familiar(),
            "digest": digest.to_string(),
            "blobs": pulled.blobs,
            "bytes": pulled.bytes,
            "known": pulled.known,
        }));
    } else {
        context.printer.out(&format!(
            "{} {digest}: {} blobs ({}) came, {} were here",
            reference.familiar(),
            pulled.blobs,
            show_bytes(pulled.bytes),
            pulled.known
        ));
    }
    Ok(Status::Ok)
}

/// Fetches an image for this machine, for a command that needs it.
pub(in crate::commands) fn fetch(
    context: &Context<'_>,
    reference: &Reference,
    access: &RegistryAccess,
) -> Result<(), CommandError> {
    let store = store()?;
    let client = client(access, context.printer)?;
    let lease = Arc::new(store.lease()?);
    let platforms = Platforms::One(Platform::of_this_machine());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(client.pull(&store, reference, &platforms, &lease))?;
    Ok(())
}

pub(super) fn push(context: &Context<'_>, arguments: &ImagePushArguments) -> Outcome {
    let store = store()?;
    let local = store.resolve(&arguments.image)?;
    let remote = match &arguments.target {
        Some(target) => names::name(target)?,
        None => local.clone(),
    };
    let client = client(&arguments.access, context.printer)?;
    let lease = store.lease()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let pushed = runtime.block_on(client.push(&store, &local, &remote, &lease))?;
    if context.printer.json {
        context.printer.json(&json!({
            "schema": "loopline.image-push/v1",
            "name": remote.familiar(),
            "digest": pushed.digest,
            "blobs": pushed.blobs,
            "bytes": pushed.bytes,
            "known": pushed.known,
            "mounted": pushed.mounted,
        }));
    } else {
        context.printer.out(&format!(
            "{} {}: {} blobs ({}) sent, {} were there",
            remote.familiar(),
            pushed.digest,
            pushed.blobs,
            show_bytes(pushed.bytes),
            pushed.known + pushed.mounted
        ));
    }
    Ok(Status::Ok)
}
