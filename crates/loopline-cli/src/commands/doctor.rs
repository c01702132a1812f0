//! `loopline doctor`: what this machine can do, and what to do about the rest.

use loopline_clock::Clock;
use loopline_sandbox::{Bounds, Means, Support};
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
    match super::run::sandbox_support(&data)? {
        Support::Full { notes } if notes.is_empty() => {
            say(true, "sandbox", "copy-on-write, with user-mode network");
        }
        Support::Full { notes } => say(true, "sandbox", &notes.join("; ")),
        Support::None { error, hint } => {
            let hint = hint.map_or(String::new(), |hint| format!("; {hint}"));
            say(false, "sandbox", &format!("{error}: jobs run on the host{hint}"));
        }
    }
    let bounds = Bounds::of_machine();
    let enforced = loopline_sandbox::enforced(&bounds);
    let processes = format!("{} processes", bounds.processes);
    let memory = format!("{} of memory", show_bytes(bounds.memory_bytes));
    for (name, bound, means) in
        [("processes", processes, enforced.processes), ("memory", memory, enforced.memory)]
    {
        match means {
            Means::ControlGroup => {
                say(true, name, &format!("{bound} for each sandbox, by control group"));
            }
            Means::ResourceLimit => {
                say(true, name, &format!("{bound} for each sandbox, by resource limit"));
            }
            Means::None => say(
                false,
                name,
                "not bounded in sandboxes: there is no control group this user may divide; \
                 `systemd-run --user --scope` starts in one, and so does a service with \
                 `Delegate=yes` and `DelegateSubgroup=`",
            ),
        }
    }
    for (program, purpose) in PROGRAMS {
        match environment::program(program) {
            Some(path) => say(true, program, &path.display().to_string()),
            None => say(false, program, &format!("not on PATH; needed for {purpose}")),
        }
    }
    Ok(Status::Ok)
}
