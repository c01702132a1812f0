//! `loopline image tag`, `alias`, `rm` and `prune`.

use loopline_image::reference::Reference;
use loopline_image::store::{Collected, Target};
use loopline_node::Builder;
use loopline_units::show_bytes;
use serde_json::json;

use super::store;
use crate::arguments::{
    ImageAliasArguments, ImagePruneArguments, ImageRmArguments, ImageTagArguments,
};
use crate::commands::{Context, Outcome, open};
use crate::error::{Class, CommandError, Status};

pub(super) fn tag(context: &Context<'_>, arguments: &ImageTagArguments) -> Outcome {
    let store = store()?;
    let lease = store.lease()?;
    let from = store.resolve(&arguments.image)?;
    let name = name(&arguments.name)?;
    let descriptor = store.look_up(&from)?.ok_or_else(|| {
        CommandError::usage(format!("there is no image `{}` here", arguments.image))
    })?;
    store.set(&name, &descriptor, &lease)?;
    said(context, "loopline.image-tag/v1", &name, &format!("is {}", from.familiar()));
    Ok(Status::Ok)
}

pub(super) fn alias(context: &Context<'_>, arguments: &ImageAliasArguments) -> Outcome {
    let store = store()?;
    let (Some(alias), Some(image)) = (&arguments.name, &arguments.image) else {
        if arguments.name.is_some() {
            return Err(CommandError::usage("an alias needs the name that it means")
                .hint("`loopline image alias NAME IMAGE`; `loopline image rm NAME` removes one"));
        }
        let mut aliases = Vec::new();
        for named in store.names()? {
            if let Target::Alias { alias } = named.target {
                let other: Reference = alias.parse()?;
                aliases.push((named.reference.familiar(), other.familiar()));
            }
        }
        if context.printer.json {
            let list: Vec<_> = aliases
                .iter()
                .map(|(name, image)| json!({ "name": name, "image": image }))
                .collect();
            context
                .printer
                .json(&json!({ "schema": "loopline.image-aliases/v1", "aliases": list }));
        } else {
            for (name, image) in aliases {
                context.printer.out(&format!("{name} -> {image}"));
            }
        }
        return Ok(Status::Ok);
    };
    let (alias, image) = (name(alias)?, store.resolve(image)?);
    store.set_alias(&alias, &image)?;
    said(context, "loopline.image-alias/v1", &alias, &format!("means {}", image.familiar()));
    Ok(Status::Ok)
}

/// Reads a name that an image is to have.
pub(super) fn name(text: &str) -> Result<Reference, CommandError> {
    let name: Reference = text.parse()?;
    match name.digest() {
        Some(_) => Err(CommandError::usage(format!("`{text}` has a digest, which is not given"))
            .hint("give a name with a tag: NAME:TAG")),
        None => Ok(name),
    }
}

fn said(context: &Context<'_>, schema: &str, name: &Reference, what: &str) {
    if context.printer.json {
        let what = what.split_once(' ').map_or("", |(_, image)| image);
        context.printer.json(&json!({ "schema": schema, "name": name.familiar(), "image": what }));
    } else {
        context.printer.out(&format!("{} {what}", name.familiar()));
    }
}

pub(super) fn remove(context: &Context<'_>, arguments: &ImageRmArguments) -> Outcome {
    let store = store()?;
    let mut removed = Vec::new();
    for text in &arguments.images {
        // A name that means nothing any more is removed as well: a left-over alias.
        let reference = match text.parse::<Reference>() {
            Ok(reference) if store.target(&reference)?.is_some() => reference,
            _ => store.resolve(text)?,
        };
        store.remove_name(&reference)?;
        removed.push(reference.familiar());
    }
    let collected = store.collect()?;
    finish(context, &removed, collected);
    Ok(Status::Ok)
}

pub(super) fn prune(context: &Context<'_>, arguments: &ImagePruneArguments) -> Outcome {
    let store = store()?;
    let mut removed = Vec::new();
    if arguments.all {
        for named in store.names()? {
            store.remove_name(&named.reference)?;
            removed.push(named.reference.familiar());
        }
    }
    if arguments.builds {
        let data = open::data_folder()?;
        Builder::open(data.root(), store.clone(), store.clock().clone())
            .clear_cache()
            .map_err(|error| CommandError::new(Class::Failed, error.to_string()))?;
    }
    let collected = store.collect()?;
    finish(context, &removed, collected);
    Ok(Status::Ok)
}

fn finish(context: &Context<'_>, removed: &[String], collected: Collected) {
    if context.printer.json {
        context.printer.json(&json!({
            "schema": "loopline.image-prune/v1",
            "names": removed,
            "blobs": collected.blobs,
            "layers": collected.layers,
            "bytes": collected.bytes,
        }));
        return;
    }
    for name in removed {
        context.printer.out(&format!("removed {name}"));
    }
    context.printer.out(&format!(
        "{} blobs ({}) and {} unpacked layers removed",
        collected.blobs,
        show_bytes(collected.bytes),
        collected.layers
    ));
}
