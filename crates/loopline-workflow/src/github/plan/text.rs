//! The plan as plain text, one line a thing, for `--plan` and for snapshots.

use std::fmt;

use super::describe::{Legs, Plan, PlannedJob, PlannedLeg, Verdict};

/// How many legs of a matrix are listed.
const MAX_LISTED_LEGS: usize = 20;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} ({})", self.name, self.workflow)?;
        let starts = if self.trigger.triggers { "starts" } else { "would not start" };
        writeln!(
            f,
            "{} on {}: GitHub {starts} it, {}",
            self.event, self.git_ref, self.trigger.reason
        )?;
        for job in &self.jobs {
            write_job(f, job)?;
        }
        for warning in &self.warnings {
            let position = warning.primary.file.position(warning.primary.span.start);
            let name = warning.primary.file.name();
            writeln!(f, "warning[{}]: {} ({name}:{position})", warning.rule.code, warning.message)?;
        }
        Ok(())
    }
}

fn write_job(f: &mut fmt::Formatter<'_>, job: &PlannedJob) -> fmt::Result {
    let indent = "  ".repeat(job.key.matches('/').count());
    write!(f, "{indent}{}", job.key)?;
    if let Legs::One(leg) = &job.legs {
        if leg.name != job.key {
            write!(f, " \"{}\"", leg.name)?;
        }
        write_machine(f, leg)?;
    }
    if !job.needs.is_empty() {
        write!(f, ", needs {}", job.needs.join(", "))?;
    }
    if let Some(environment) = &job.environment {
        write!(f, ", environment {environment}")?;
    }
    match &job.condition {
        Verdict::Runs | Verdict::RunsAfterSuccess => {}
        Verdict::Skipped { condition, .. } => write!(f, ", skipped: {condition}")?,
        Verdict::Dynamic { condition } => write!(f, ", decided later: {condition}")?,
    }
    writeln!(f)?;
    match &job.legs {
        Legs::One(_) => {}
        Legs::Dynamic => writeln!(f, "{indent}  * legs known later")?,
        Legs::Matrix { legs, fail_fast, max_parallel } => {
            for leg in legs.iter().take(MAX_LISTED_LEGS) {
                write!(f, "{indent}  * {} \"{}\"", leg.key, leg.name)?;
                write_machine(f, leg)?;
                writeln!(f)?;
            }
            if legs.len() > MAX_LISTED_LEGS {
                writeln!(f, "{indent}  * and {} more", legs.len() - MAX_LISTED_LEGS)?;
            }
            if !fail_fast || *max_parallel < legs.len() {
                writeln!(f, "{indent}  fail-fast {fail_fast}, {max_parallel} at once")?;
            }
        }
    }
    if let Some(calls) = &job.calls {
        writeln!(f, "{indent}  calls {calls}")?;
    }
    for step in &job.steps {
        write!(f, "{indent}  {}. {}", step.number, step.name)?;
        match &step.uses {
            Some(uses) if !step.name.ends_with(uses.as_str()) => writeln!(f, " [{uses}]")?,
            _ => writeln!(f)?,
        }
    }
    Ok(())
}

fn write_machine(f: &mut fmt::Formatter<'_>, leg: &PlannedLeg) -> fmt::Result {
    match &leg.runs_on {
        Some(labels) => write!(f, " on {}", labels.join("+"))?,
        None => return Ok(()),
    }
    if leg.refused { f.write_str(" (not this machine)") } else { Ok(()) }
}
