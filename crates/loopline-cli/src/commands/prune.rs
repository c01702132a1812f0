//! `loopline prune`: removes what is old or too much.

use std::time::Duration;

use loopline_clock::Clock;
use loopline_runner::actions::source::remove_stale_fetches;
use loopline_runner::services::disk::Disk;
use loopline_store::{Area, Policy};
use loopline_units::show_bytes;
use serde_json::json;

use super::{Context, Outcome, image, open};
use crate::arguments::PruneArguments;
use crate::error::{CommandError, Status};

pub(crate) fn run(context: &Context<'_>, arguments: &PruneArguments) -> Outcome {
    let printer = context.printer;
    let data = open::data_folder()?;
    let clock = Clock::real();
    if !arguments.dry_run {
        remove_stale_fetches(&data.area(Area::Actions))?;
    }
    for area in Area::ALL {
        let policy = if arguments.all {
            Policy { bytes: 0, age: Duration::ZERO }
        } else {
            Policy::default_of(area)
        };
        let before = data.kept(area, &clock)?;
        let pruned = if arguments.dry_run { None } else { Some(data.prune(area, policy, &clock)?) };
        let mut removed = pruned.unwrap_or_default();
        if area == Area::Artifacts {
            // What the workflows themselves limited (`retention-days`).
            let disk = Disk::new(data.area(area), data.area(Area::Caches), clock.clone());
            let (_, bytes) = disk.prune_expired(!arguments.dry_run)?;
            if !arguments.dry_run {
                removed.bytes += bytes;
            }
        }
        if printer.json {
            printer.json(&json!({
                "schema": "loopline.prune/v1",
                "area": area.name(),
                "entries": before.entries - removed.entries,
                "bytes": before.bytes.saturating_sub(removed.bytes),
                "removed_entries": removed.entries,
                "removed_bytes": removed.bytes,
                "quota_bytes": policy.bytes,
                "age_seconds": policy.age.as_secs(),
            }));
            continue;
        }
        printer.out(&format!(
            "{:<10} {:>5} kept, {:>9}   {:>5} removed, {:>9}",
            area.name(),
            before.entries - removed.entries,
            show_bytes(before.bytes.saturating_sub(removed.bytes)),
            removed.entries,
            show_bytes(removed.bytes),
        ));
    }
    prune_images(context, &data, arguments)?;
    Ok(Status::Ok)
}

/// Removes what no image's name leads to; names are for `loopline image` to remove.
fn prune_images(
    context: &Context<'_>,
    data: &loopline_store::DataFolder,
    arguments: &PruneArguments,
) -> Result<(), CommandError> {
    if arguments.dry_run || !data.root().join(image::FOLDER).exists() {
        return Ok(());
    }
    let store = image::store()?;
    let collected = store.collect()?;
    let names = store.names()?.len();
    if context.printer.json {
        context.printer.json(&json!({
            "schema": "loopline.prune/v1",
            "area": image::FOLDER,
            "entries": names,
            "removed_entries": collected.blobs + collected.layers,
            "removed_bytes": collected.bytes,
        }));
    } else {
        context.printer.out(&format!(
            "{:<10} {names:>5} kept, {:>9}   {:>5} removed, {:>9}",
            image::FOLDER,
            "",
            collected.blobs + collected.layers,
            show_bytes(collected.bytes),
        ));
    }
    Ok(())
}
