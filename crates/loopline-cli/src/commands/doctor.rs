//! `loopline doctor`: what this machine can do, and what to do about the rest.

use std::path::{Path, PathBuf};

use loopline_clock::Clock;
use loopline_store::{Area, Policy};
use loopline_units::show_bytes;
use serde_json::json;

use super::{Context, Outcome, open};
use crate::environment;
use crate::error::Status;
use crate::printer::Tone;

/// Programs that steps often call, with what needs them.
const PROGRAMS: &[(&str, &str)] = &[
    ("bash", "the default shell of steps"),
    ("git", "steps that call git"),
    ("node", "JavaScript actions"),
    ("npm", "actions/setup-node for versions that are not here"),
    ("python3", "`shell: python`"),
    ("pwsh", "`shell: pwsh`"),
];

pub(crate) fn run(context: &Context<'_>) -> Outcome {
    let printer = context.printer;
    let say = |ok: bool, what: &str, detail: &str| {
        if printer.json {
            printer.json(&json!({
                "schema": "loopline.doctor/v1", "check": what, "ok": ok, "detail": detail,
            }));
        } else {
            let word = if ok {
                printer.tone_out(Tone::Good, "ok     ")
            } else {
                printer.tone_out(Tone::Care, "missing")
            };
            printer.out(&format!("{word}  {what:<12} {detail}"));
        }
    };
    let data = open::data_folder()?;
    say(true, "data", &data.root().display().to_string());
    let clock = Clock::real();
    for area in Area::ALL {
        let kept = data.kept(area, &clock)?;
        let quota = Policy::default_of(area).bytes;
        let detail = format!(
            "{} in {} entries, of {}{}",
            show_bytes(kept.bytes),
            kept.entries,
            show_bytes(quota),
            if kept.bytes > quota { "; `loopline prune` makes room" } else { "" },
        );
        say(kept.bytes <= quota, area.name(), &detail);
    }
    for (program, purpose) in PROGRAMS {
        match find_program(program) {
            Some(path) => say(true, program, &path.display().to_string()),
            None => say(false, program, &format!("not on PATH; needed for {purpose}")),
        }
    }
    Ok(Status::Ok)
}

/// Returns where PATH has `program`.
fn find_program(program: &str) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    let executable = |path: &Path| {
        fs_err::metadata(path)
            .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    let path = environment::PATH.get_os()?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|path| executable(path))
}
