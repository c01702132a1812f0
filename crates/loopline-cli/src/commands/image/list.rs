//! `loopline image ls`, `inspect` and `history`.

use loopline_clock::Timestamp;
use loopline_image::digest::Digest;
use loopline_image::platform::Platform;
use loopline_image::store::{Image, Lease, Named, Store, StoreError, Target};
use loopline_units::{show_age, show_bytes};
use serde_json::{Value, json};

use super::{platform, store};
use crate::arguments::{ImageHistoryArguments, ImageInspectArguments, ImageListArguments};
use crate::commands::{Context, Outcome};
use crate::error::{CommandError, Status};

pub(super) fn list(context: &Context<'_>, arguments: &ImageListArguments) -> Outcome {
    let store = store()?;
    let lease = store.lease()?;
    let mut rows = Vec::new();
    for named in store.names()? {
        let name = named.reference.familiar();
        if arguments.filter.as_ref().is_none_or(|text| name.contains(text)) {
            rows.push(row(&store, &named, &lease)?);
        }
    }
    if context.printer.json {
        let images: Vec<&Value> = rows.iter().map(|row| &row.json).collect();
        context.printer.json(&json!({ "schema": "loopline.images/v1", "images": images }));
        return Ok(Status::Ok);
    }
    let width = rows.iter().map(|row| row.cells[0].len()).max().unwrap_or(0).max(4);
    context.printer.out(&format!(
        "{:<width$}  {:<12}  {:<14}  {:>8}  {:>9}",
        "NAME", "ID", "PLATFORM", "CREATED", "SIZE"
    ));
    for row in &rows {
        let [name, id, platform, created, size] = &row.cells;
        context
            .printer
            .out(&format!("{name:<width$}  {id:<12}  {platform:<14}  {created:>8}  {size:>9}"));
    }
    Ok(Status::Ok)
}

struct Row {
    cells: [String; 5],
    json: Value,
}

fn row(store: &Store, named: &Named, lease: &Lease) -> Result<Row, CommandError> {
    let name = named.reference.familiar();
    let mut json = json!({ "name": name });
    let alias = match &named.target {
        Target::Alias { alias } => Some(alias.parse::<loopline_image::reference::Reference>()?),
        Target::Manifest(_) => None,
    };
    if let Some(alias) = &alias {
        json["alias"] = json!(alias.familiar());
    }
    let shown = match &alias {
        Some(alias) => format!("{name} -> {}", alias.familiar()),
        None => name,
    };
    let image = match store.image(&named.reference, None, lease) {
        Ok(image) => image,
        // A list does not fail because of one of its entries; it says what is the matter.
        Err(error) => {
            let why = match &error {
                StoreError::NoImage(_) => "missing".to_owned(),
                StoreError::Platform { available, .. } => available.clone(),
                _ => "damaged".to_owned(),
            };
            json["error"] = json!(crate::error::chain(&error));
            let cells = [shown, String::new(), why, String::new(), String::new()];
            return Ok(Row { cells, json });
        }
    };
    let size: u64 = image.manifest.layers().iter().map(|layer| layer.size()).sum();
    let platform = Platform::of_configuration(&image.configuration).to_string();
    let created = image.configuration.created().clone();
    json["id"] = json!(image.id);
    json["digest"] = json!(store.look_up(&named.reference)?.map(|it| it.digest().to_string()));
    json["platform"] = json!(platform);
    json["created"] = json!(created);
    json["size_bytes"] = json!(size);
    let age = created.as_deref().map(|created| age(created, store)).unwrap_or_default();
    let cells = [shown, image.id.short().to_owned(), platform, age, show_bytes(size)];
    Ok(Row { cells, json })
}

/// Returns how long ago a document says that it was made.
fn age(created: &str, store: &Store) -> String {
    match created.parse::<Timestamp>() {
        Ok(created) => show_age(store.clock().now().as_second() - created.as_second()),
        Err(_) => "?".to_owned(),
    }
}

pub(super) fn inspect(context: &Context<'_>, arguments: &ImageInspectArguments) -> Outcome {
    let store = store()?;
    let lease = store.lease()?;
    let platform = platform(arguments.platform.as_ref())?;
    let names = store.names()?;
    let mut images = Vec::new();
    for text in &arguments.images {
        let reference = store.resolve(text)?;
        let image = store.image(&reference, platform.as_ref(), &lease)?;
        images.push(describe(&store, &image, &names)?);
    }
    let document = json!({ "schema": "loopline.image-details/v1", "images": images });
    if context.printer.json {
        context.printer.json(&document);
    } else {
        let text = serde_json::to_string_pretty(&document["images"])
            .map_err(|error| CommandError::usage(error.to_string()))?;
        context.printer.out(&text);
    }
    Ok(Status::Ok)
}

fn describe(store: &Store, image: &Image, names: &[Named]) -> Result<Value, CommandError> {
    let mut own = Vec::new();
    for named in names {
        let target = store.look_up(&named.reference)?;
        let is_same = target.is_some_and(|target| {
            let digest = Digest::try_from(target.digest());
            digest.is_ok_and(|digest| digest == image.manifest_digest)
        });
        if is_same {
            own.push(named.reference.familiar());
        }
    }
    Ok(json!({
        "id": image.id,
        "names": own,
        "digest": image.manifest_digest,
        "platform": Platform::of_configuration(&image.configuration).to_string(),
        "configuration": image.raw,
        "manifest": image.manifest,
    }))
}

pub(super) fn history(context: &Context<'_>, arguments: &ImageHistoryArguments) -> Outcome {
    /// How much of a command is shown.
    const MAX_COMMAND: usize = 60;
    let store = store()?;
    let lease = store.lease()?;
    let reference = store.resolve(&arguments.image)?;
    let platform = platform(arguments.platform.as_ref())?;
    let image = store.image(&reference, platform.as_ref(), &lease)?;
    let mut sizes = image.manifest.layers().iter();
    let mut rows = Vec::new();
    for step in image.configuration.history().as_deref().unwrap_or_default() {
        let layer = match step.empty_layer() {
            Some(true) => None,
            _ => sizes.next(),
        };
        rows.push(json!({
            "created": step.created(),
            "created_by": step.created_by(),
            "comment": step.comment(),
            "layer": layer.map(|layer| layer.digest().to_string()),
            "size_bytes": layer.map_or(0, |layer| layer.size()),
        }));
    }
    // The newest first, as Docker lists them.
    rows.reverse();
    if context.printer.json {
        let document =
            json!({ "schema": "loopline.image-history/v1", "id": image.id, "history": rows });
        context.printer.json(&document);
        return Ok(Status::Ok);
    }
    context.printer.out(&format!("{:>8}  {:>9}  CREATED BY", "CREATED", "SIZE"));
    for row in &rows {
        let by = row["created_by"].as_str().or(row["comment"].as_str()).unwrap_or_default();
        let by = by.replace(['\n', '\t'], " ");
        let by = if arguments.no_trunc || by.chars().count() <= MAX_COMMAND {
            by
        } else {
            format!("{}...", by.chars().take(MAX_COMMAND).collect::<String>())
        };
        let created = row["created"].as_str().map(|it| age(it, &store)).unwrap_or_default();
        let size = show_bytes(row["size_bytes"].as_u64().unwrap_or_default());
        context.printer.out(&format!("{created:>8}  {size:>9}  {by}"));
    }
    Ok(Status::Ok)
}
