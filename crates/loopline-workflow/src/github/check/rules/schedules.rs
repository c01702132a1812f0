//! Schedules: cron fields, how often they are due, and time zones.

use loopline_diagnostic::rule_set as rules;
use loopline_units::cron;

use crate::github::check::findings::Findings;
use crate::github::check::model::{Event, Workflow};

/// GitHub starts no schedule more often than this.
const MIN_INTERVAL_MINUTES: u32 = 5;
/// The names of the IANA time zone database, one a line.
const TIME_ZONES: &str = include_str!("time_zones.txt");

pub(super) fn check(workflow: &Workflow, findings: &mut Findings<'_>) {
    let schedules = workflow.events.iter().filter_map(|event| match event {
        Event::Schedule(schedules) => Some(schedules),
        Event::Webhook(_)
        | Event::Dispatch { .. }
        | Event::RepositoryDispatch
        | Event::Call(_)
        | Event::ImageVersion { .. } => None,
    });
    for schedule in schedules.flatten() {
        if let Some(text) = schedule.cron.as_ref().filter(|text| !text.is_empty()) {
            match cron::Schedule::parse(&text.value) {
                Err(error) => {
                    let message = format!("`{}` is no cron schedule: {error}", text.value);
                    findings.add(&rules::SCHEDULE, text.span, message);
                }
                Ok(parsed) if parsed.is_more_often_than_minutes(MIN_INTERVAL_MINUTES) => {
                    let message =
                        format!("this is due more often than every {MIN_INTERVAL_MINUTES} minutes");
                    findings.add_hint(
                        &rules::SCHEDULE,
                        text.span,
                        message,
                        "GitHub does not start workflows more often",
                    );
                }
                Ok(_) if names_sunday_seven(&text.value) => {
                    findings.add_hint(
                        &rules::SCHEDULE,
                        text.span,
                        format!("`{}` is no cron schedule: days of the week end at 6", text.value),
                        "write Sunday as `0` or `SUN`",
                    );
                }
                Ok(parsed) if parsed.is_never() => {
                    findings.add_hint(
                        &rules::SCHEDULE,
                        text.span,
                        format!("`{}` is never due: no month has this day", text.value),
                        "check the day of the month and the month",
                    );
                }
                Ok(_) => {}
            }
        }
        if let Some(zone) = schedule.timezone.as_ref().filter(|zone| !zone.is_empty())
            && !TIME_ZONES.lines().any(|known| known == &*zone.value)
        {
            let message = format!("there is no time zone `{}`", zone.value);
            findings.add_unknown(
                &rules::SCHEDULE,
                zone.span,
                message,
                &zone.value,
                TIME_ZONES.lines(),
            );
        }
    }
}

/// Returns whether the day of the week is written with a 7: other systems read that as Sunday,
/// GitHub documents 0 to 6.
fn names_sunday_seven(cron: &str) -> bool {
    let days = cron.split_ascii_whitespace().nth(4).unwrap_or_default();
    days.split(',')
        .any(|item| item.split('/').next().unwrap_or_default().split('-').any(|day| day == "7"))
}
