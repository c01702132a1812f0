//! `loopline container ps`, `logs`, `inspect` and `stats`: what is known of containers.

use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::time::Duration;

use jiff::Timestamp;
use loopline_clock::Clock;
use loopline_node::{Containers, Found};
use loopline_sandbox::{Container, Event, HealthStatus, LogLine, Status as Life, log_files};
use loopline_units::{show_age, show_bytes};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::{Value, json};

use super::arguments::{ContainerLogsArguments, ListArguments, NamesArguments, StatsArguments};
use super::{Context, Outcome, failed};
use crate::error::Status;

/// Over how long the use of processors is looked at.
const SAMPLE: Duration = Duration::from_millis(500);
/// How long a log that is followed rests where nothing is printed.
const REST: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
/// The widest command a list shows, in characters.
const COMMAND_WIDTH: usize = 24;

pub(super) fn list(
    context: &Context<'_>,
    containers: &Containers,
    arguments: &ListArguments,
) -> Outcome {
    let mut all = containers.list().map_err(failed)?;
    all.retain(|it| arguments.all || is_running(it));
    let printer = context.printer;
    let now = Clock::real().now();
    if !printer.json && !arguments.quiet {
        printer.out(&row(["CONTAINER ID", "IMAGE", "COMMAND", "STATUS", "PORTS", "NAMES"]));
    }
    for found in &all {
        if printer.json {
            printer.json(&described(found));
        } else if arguments.quiet {
            printer.out(found.record.short_id());
        } else {
            let record = &found.record;
            let mut command = record.command.join(" ");
            if command.chars().count() > COMMAND_WIDTH {
                command = command.chars().take(COMMAND_WIDTH - 1).chain(['…']).collect();
            }
            let ports: Vec<_> = found
                .state
                .ports
                .iter()
                .map(|port| format!("{}->{}/tcp", port.host, port.container))
                .collect();
            printer.out(&row([
                record.short_id(),
                &record.image,
                &format!("\"{command}\""),
                &status(found, now),
                &ports.join(", "),
                &record.name,
            ]));
        }
    }
    Ok(Status::Ok)
}

fn row(cells: [&str; 6]) -> String {
    let widths = [14, 22, COMMAND_WIDTH + 4, 26, 28, 0];
    let mut line = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        line.push_str(&format!("{cell:<width$}"));
        if cell.chars().count() >= width && width > 0 {
            line.push(' ');
        }
    }
    line.trim_end().to_owned()
}

fn is_running(found: &Found) -> bool {
    !matches!(found.state.status, Life::Created | Life::Exited)
}

/// Says how it goes, in Docker's words.
fn status(found: &Found, now: Timestamp) -> String {
    let state = &found.state;
    let since = |at: Option<Timestamp>| {
        at.map(|at| show_age(now.as_second() - at.as_second())).unwrap_or_default()
    };
    let code = state.ended.map_or(0, |ended| ended.code);
    match state.status {
        Life::Created => "Created".to_owned(),
        Life::Exited => format!("Exited ({code}) {}", since(state.finished_at)),
        Life::Restarting => format!("Restarting ({code}) {}", since(state.finished_at)),
        Life::Paused => format!("Up {} (Paused)", since(state.started_at)),
        Life::Running => {
            let health = match state.health {
                None => "",
                Some(HealthStatus::Starting) => " (health: starting)",
                Some(HealthStatus::Healthy) => " (healthy)",
                Some(HealthStatus::Unhealthy) => " (unhealthy)",
            };
            format!("Up {}{health}", since(state.started_at))
        }
    }
}

fn described(found: &Found) -> Value {
    json!({
        "schema": "loopline.container/v1",
        "id": found.record.id,
        "name": found.record.name,
        "image": found.record.image,
        "imageId": found.record.image_id,
        "created": found.record.created,
        "command": found.record.command,
        "labels": found.record.labels,
        "state": found.state,
    })
}

pub(super) fn inspect(
    context: &Context<'_>,
    containers: &Containers,
    names: &NamesArguments,
) -> Outcome {
    let mut all = Vec::new();
    for name in &names.names {
        let found = containers.find(name).map_err(failed)?;
        let mut value = described(&found);
        value["folder"] = json!(found.folder);
        value["spec"] = json!(found.record.spec);
        value["supervision"] = json!(found.record.supervision);
        all.push(value);
    }
    if context.printer.json {
        all.iter().for_each(|value| context.printer.json(value));
    } else {
        context.printer.out(&serde_json::to_string_pretty(&all).unwrap_or_default());
    }
    Ok(Status::Ok)
}

pub(super) fn stats(
    context: &Context<'_>,
    containers: &Containers,
    arguments: &StatsArguments,
) -> Outcome {
    let all = if arguments.names.is_empty() {
        containers.list().map_err(failed)?
    } else {
        let found = arguments.names.iter().map(|name| containers.find(name));
        found.collect::<Result<_, _>>().map_err(failed)?
    };
    let running: Vec<(Found, Container)> = all
        .into_iter()
        .filter_map(|found| Some((Container::connect(&found.folder).ok()?, found)))
        .map(|(container, found)| (found, container))
        .collect();
    let mut before = Vec::new();
    for (_, container) in &running {
        before.push(container.usage()?.cpu_ns);
    }
    let nothing: &mut [PollFd<'_>] = &mut [];
    let rest = Timespec { tv_sec: 0, tv_nsec: i64::from(SAMPLE.subsec_nanos()) };
    // An early end makes the sample shorter, no more.
    let _ = poll(nothing, Some(&rest));
    let printer = context.printer;
    if !printer.json {
        printer.out(&format!(
            "{:<14}{:<20}{:<9}{:<26}PIDS",
            "CONTAINER ID", "NAME", "CPU %", "MEM USAGE / LIMIT"
        ));
    }
    for ((found, container), before) in running.iter().zip(before) {
        let usage = container.usage()?;
        let cpu = usage.cpu_ns.zip(before).map(|(now, before)| {
            let spent = u32::try_from(now.saturating_sub(before) / 1000).unwrap_or(u32::MAX);
            f64::from(spent) / SAMPLE.as_secs_f64() / 10_000.0
        });
        let limit = found.record.spec.limits.memory_bytes;
        if printer.json {
            printer.json(&json!({
                "schema": "loopline.container-usage/v1",
                "id": found.record.id,
                "name": found.record.name,
                "cpuPercent": cpu,
                "usage": usage,
                "memoryLimitBytes": limit,
            }));
            continue;
        }
        let shown = |bytes: Option<u64>| bytes.map_or_else(|| "-".to_owned(), show_bytes);
        printer.out(&format!(
            "{:<14}{:<20}{:<9}{:<26}{}",
            found.record.short_id(),
            found.record.name,
            cpu.map_or_else(|| "-".to_owned(), |cpu| format!("{cpu:.1}")),
            format!("{} / {}", shown(usage.memory_bytes), shown(limit)),
            usage.processes.map_or_else(|| "-".to_owned(), |it| it.to_string()),
        ));
    }
    Ok(Status::Ok)
}

pub(super) fn logs(
    context: &Context<'_>,
    containers: &Containers,
    arguments: &ContainerLogsArguments,
) -> Outcome {
    let found = containers.find(&arguments.name).map_err(failed)?;
    let container = Container::connect(&found.folder).ok().filter(|_| arguments.follow);
    if let Some(container) = &container {
        container.follow(false)?;
    }
    let mut lines: Vec<LogLine> = Vec::new();
    let mut end = 0;
    for file in log_files(&found.folder) {
        let mut reader = BufReader::new(fs_err::File::open(&file)?);
        read_lines(&mut reader, &mut lines)?;
        end = reader.stream_position()?;
    }
    let first = arguments.tail.map_or(0, |count| lines.len().saturating_sub(count));
    for line in lines.get(first..).unwrap_or_default() {
        print(context, arguments, line)?;
    }
    let Some(container) = container else { return Ok(Status::Ok) };
    let mut is_over = false;
    loop {
        let path = found.folder.join("log.ndjson");
        let mut file = fs_err::File::open(&path)?;
        if file.metadata()?.len() < end {
            // It was put by, and a new one begun.
            end = 0;
        }
        file.seek(SeekFrom::Start(end))?;
        let mut reader = BufReader::new(file);
        let mut new = Vec::new();
        read_lines(&mut reader, &mut new)?;
        end = reader.stream_position()?;
        for line in &new {
            print(context, arguments, line)?;
        }
        if is_over {
            return Ok(Status::Ok);
        }
        let mut polled = [PollFd::from_borrowed_fd(container.descriptor(), PollFlags::IN)];
        if poll(&mut polled, Some(&REST)).is_ok_and(|count| count > 0)
            && matches!(container.next(), Ok(Event::Ended(_)) | Err(_))
        {
            is_over = true;
        }
    }
}

/// Reads whole lines; what has no end yet is left for the next time.
fn read_lines(
    reader: &mut BufReader<fs_err::File>,
    lines: &mut Vec<LogLine>,
) -> std::io::Result<()> {
    let mut text = Vec::new();
    loop {
        text.clear();
        let count = reader.by_ref().read_until(b'\n', &mut text)?;
        if !text.ends_with(b"\n") {
            let back = i64::try_from(count).map_err(std::io::Error::other)?;
            reader.seek_relative(-back)?;
            return Ok(());
        }
        // A line that a full disk has cut short is no line.
        lines.extend(serde_json::from_slice::<LogLine>(&text).ok());
    }
}

fn print(
    context: &Context<'_>,
    arguments: &ContainerLogsArguments,
    line: &LogLine,
) -> std::io::Result<()> {
    let printer = context.printer;
    if printer.json {
        printer.json(&json!({
            "schema": "loopline.container-log/v1",
            "stream": line.stream,
            "time": line.time,
            "log": line.log,
        }));
        return Ok(());
    }
    let mut text = Vec::new();
    if arguments.timestamps {
        write!(text, "{} ", line.time)?;
    }
    text.extend(line.log.as_bytes());
    if line.stream == "stderr" {
        printer.err_raw(&text)
    } else {
        printer.out_raw(&text)
    }
    Ok(())
}
