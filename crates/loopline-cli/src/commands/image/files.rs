//! `loopline image save` and `load`.

use std::io::{self, BufWriter, IsTerminal as _};

use fs_err as fs;
use loopline_image::archive::{self, Form};
use loopline_image::reference::Reference;
use serde_json::json;

use super::{names, platform, store};
use crate::arguments::{ImageLoadArguments, ImageSaveArguments, SaveFormat};
use crate::commands::{Context, Outcome};
use crate::error::{CommandError, Status};

pub(super) fn save(context: &Context<'_>, arguments: &ImageSaveArguments) -> Outcome {
    let store = store()?;
    let lease = store.lease()?;
    let platform = platform(arguments.platform.as_ref())?;
    let mut images: Vec<Reference> = Vec::new();
    for text in &arguments.images {
        images.push(store.resolve(text)?);
    }
    let form = match arguments.format {
        SaveFormat::Docker => Form::Docker,
        SaveFormat::Oci => Form::Oci,
        SaveFormat::OciDir => {
            let Some(folder) = &arguments.output else {
                return Err(CommandError::usage("a folder has no place on standard output")
                    .hint("--output DIR names it"));
            };
            archive::save_layout(&images, platform.as_ref(), &lease, folder)?;
            return Ok(said(context, arguments));
        }
    };
    match &arguments.output {
        Some(path) => {
            let output = BufWriter::new(fs::File::create(path)?);
            archive::save(&images, platform.as_ref(), form, &lease, output)?;
            Ok(said(context, arguments))
        }
        None if io::stdout().is_terminal() => {
            Err(CommandError::usage("an archive is nothing for a terminal")
                .hint("--output FILE writes it to a file"))
        }
        None => {
            let output = BufWriter::new(io::stdout().lock());
            archive::save(&images, platform.as_ref(), form, &lease, output)?;
            Ok(Status::Ok)
        }
    }
}

fn said(context: &Context<'_>, arguments: &ImageSaveArguments) -> Status {
    let output = arguments.output.as_deref().unwrap_or(std::path::Path::new("-"));
    if context.printer.json {
        context.printer.json(&json!({
            "schema": "loopline.image-save/v1",
            "images": arguments.images,
            "output": output,
        }));
    } else {
        context.printer.out(&format!("{} -> {}", arguments.images.join(", "), output.display()));
    }
    Status::Ok
}

pub(super) fn load(context: &Context<'_>, arguments: &ImageLoadArguments) -> Outcome {
    let store = store()?;
    let lease = store.lease()?;
    let tag = arguments.tag.as_deref().map(names::name).transpose()?;
    let mut loaded = archive::load(&arguments.file, &lease)?;
    if let Some(tag) = tag {
        let [image] = &mut loaded[..] else {
            return Err(CommandError::usage(format!(
                "{} holds {} images, and --tag names one",
                arguments.file.display(),
                loaded.len()
            )));
        };
        store.set(&tag, &image.descriptor, &lease)?;
        image.references.push(tag);
    }
    for image in &loaded {
        let names: Vec<String> = image.references.iter().map(Reference::familiar).collect();
        let digest = image.descriptor.digest();
        if names.is_empty() {
            return Err(CommandError::usage(format!(
                "{} does not say what its image {digest} is called",
                arguments.file.display()
            ))
            .hint("--tag NAME does"));
        }
        if context.printer.json {
            context.printer.json(&json!({
                "schema": "loopline.image-load/v1",
                "names": names,
                "digest": digest.to_string(),
            }));
        } else {
            context.printer.out(&format!("{} {digest}", names.join(", ")));
        }
    }
    Ok(Status::Ok)
}
