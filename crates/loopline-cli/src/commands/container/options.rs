//! Turns Docker's flags into what a container is asked to be.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use loopline_node::{Options, Volume, VolumeSource};
use loopline_sandbox::{ContainerNetwork, Limits, Port, Restart, signal_number};
use loopline_units::GoDuration;

use super::arguments::CreateArguments;
use crate::environment;
use crate::error::CommandError;

/// The mode of a file system in memory, as Docker has it.
const MEMORY_MODE: u32 = 0o1777;
/// The most ports that one range names.
const MOST_PORTS: usize = 1024;

/// Reads the flags of `run` and `create`.
pub(super) fn read(arguments: &CreateArguments) -> Result<Options, CommandError> {
    let mut volumes = Vec::new();
    for text in &arguments.volume {
        volumes.push(volume(text)?);
    }
    for text in &arguments.mount {
        volumes.push(mount(text)?);
    }
    for text in &arguments.tmpfs {
        volumes.push(tmpfs(text)?);
    }
    let mut ports = Vec::new();
    for text in &arguments.publish {
        ports.extend(publish(text)?);
    }
    let pairs = |list: &[String], flag: &str| -> Result<BTreeMap<String, String>, CommandError> {
        list.iter().map(|text| pair(text, flag)).collect()
    };
    let duration = |text: &Option<String>, flag: &str| {
        text.as_deref().map(|text| go_duration(text, flag)).transpose()
    };
    let health_command = match &arguments.health_cmd {
        _ if arguments.no_healthcheck => Some(Vec::new()),
        Some(command) => Some(vec!["/bin/sh".to_owned(), "-c".to_owned(), command.clone()]),
        None => None,
    };
    let (mut no_new_privileges, mut unfiltered) = (false, false);
    for text in &arguments.security_opt {
        match text.as_str() {
            "no-new-privileges" | "no-new-privileges:true" | "no-new-privileges=true" => {
                no_new_privileges = true;
            }
            "no-new-privileges:false" | "no-new-privileges=false" => no_new_privileges = false,
            "seccomp=unconfined" | "seccomp:unconfined" => unfiltered = true,
            other => {
                return Err(bad(
                    "--security-opt",
                    other,
                    "`no-new-privileges` and \
                    `seccomp=unconfined` are known",
                ));
            }
        }
    }
    Ok(Options {
        name: arguments.name.clone(),
        command: arguments.command.clone(),
        entrypoint: arguments
            .entrypoint
            .as_ref()
            .map(|it| if it.is_empty() { Vec::new() } else { vec![it.clone()] }),
        env: variables(&arguments.env, &arguments.env_file)?,
        workdir: arguments.workdir.clone(),
        user: arguments.user.clone(),
        groups: arguments.group_add.clone(),
        hostname: arguments.hostname.clone(),
        volumes,
        ports,
        network: arguments.network.as_deref().map(network).transpose()?,
        hosts: arguments.add_host.iter().map(|it| host(it)).collect::<Result<_, _>>()?,
        read_only: arguments.read_only,
        privileged: arguments.privileged,
        cap_add: arguments.cap_add.clone(),
        cap_drop: arguments.cap_drop.clone(),
        no_new_privileges,
        unfiltered,
        ulimits: arguments.ulimit.iter().map(|it| ulimit(it)).collect::<Result<_, _>>()?,
        sysctls: pairs(&arguments.sysctl, "--sysctl")?,
        limits: limits(arguments)?,
        oom_score_adj: arguments.oom_score_adj,
        shm_bytes: optional_bytes(arguments.shm_size.as_ref(), "--shm-size")?,
        devices: arguments.device.iter().map(|it| device(it)).collect(),
        init: arguments.init,
        terminal: arguments.tty,
        interactive: arguments.interactive,
        detached: arguments.detach,
        auto_remove: arguments.rm,
        restart: arguments.restart.as_deref().map(restart).transpose()?,
        stop_signal: arguments.stop_signal.as_deref().map(signal).transpose()?,
        stop_timeout: arguments.stop_timeout.map(Duration::from_secs),
        health_command,
        health_interval: duration(&arguments.health_interval, "--health-interval")?,
        health_timeout: duration(&arguments.health_timeout, "--health-timeout")?,
        health_retries: arguments.health_retries,
        health_start_period: duration(&arguments.health_start_period, "--health-start-period")?,
        health_start_interval: duration(
            &arguments.health_start_interval,
            "--health-start-interval",
        )?,
        labels: pairs(&arguments.label, "--label")?,
    })
}

fn bad(flag: &str, text: &str, why: &str) -> CommandError {
    CommandError::usage(format!("{flag} `{text}`: {why}"))
}

fn pair(text: &str, flag: &str) -> Result<(String, String), CommandError> {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    if name.is_empty() {
        return Err(bad(flag, text, "it begins with a name, as in NAME=VALUE"));
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// Reads variables; one without a value is taken from here, or not set.
pub(super) fn variables(list: &[String], files: &[PathBuf]) -> Result<Vec<String>, CommandError> {
    let mut found = Vec::new();
    let mut add = |line: &str, place: &str| -> Result<(), CommandError> {
        let (name, value) = match line.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (line, environment::of_name(line)),
        };
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(bad(place, line, "a variable's name has no spaces and is not empty"));
        }
        found.extend(value.map(|value| format!("{name}={value}")));
        Ok(())
    };
    for file in files {
        let text = fs_err::read_to_string(file)
            .map_err(|error| CommandError::usage(format!("--env-file: {error}")))?;
        for (number, line) in text.lines().enumerate() {
            let line = line.trim_start();
            if !line.is_empty() && !line.starts_with('#') {
                add(line, &format!("{}:{}", file.display(), number + 1))?;
            }
        }
    }
    for text in list {
        add(text, "--env")?;
    }
    Ok(found)
}

fn go_duration(text: &str, flag: &str) -> Result<Duration, CommandError> {
    let parsed = GoDuration::parse(text)
        .map_err(|error| bad(flag, text, &format!("it is no duration such as 30s: {error}")))?;
    u64::try_from(parsed.0)
        .map(Duration::from_nanos)
        .map_err(|_| bad(flag, text, "it is below zero"))
}

/// Reads a number of bytes as Docker does: a number, with b, k, m, g or t and perhaps `b` or `ib`.
fn bytes(text: &str, flag: &str) -> Result<u64, CommandError> {
    let wrong = || bad(flag, text, "it is no size such as 512m");
    let lower = text.trim().to_ascii_lowercase();
    let split = lower.find(|it: char| !it.is_ascii_digit() && it != '.').unwrap_or(lower.len());
    let (number, unit) = lower.split_at(split);
    let shift = match unit.trim() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return Err(wrong()),
    };
    let unit = 1_u64 << shift;
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(unit).ok_or_else(wrong);
    }
    // A fraction: thousandths are as fine as anybody writes them.
    let (whole, part) = number.split_once('.').ok_or_else(wrong)?;
    let whole: u64 = whole.parse().map_err(|_| wrong())?;
    let part: u64 = format!("{part:0<3}")[..3].parse().map_err(|_| wrong())?;
    let all = whole.checked_mul(unit).and_then(|it| it.checked_add(part * (unit / 1000)));
    all.ok_or_else(wrong)
}

fn optional_bytes(text: Option<&String>, flag: &str) -> Result<Option<u64>, CommandError> {
    text.map(|text| bytes(text, flag)).transpose()
}

fn limits(arguments: &CreateArguments) -> Result<Limits, CommandError> {
    let memory = optional_bytes(arguments.memory.as_ref(), "--memory")?;
    let swap = match arguments.memory_swap.as_deref() {
        Some("-1") => None,
        Some(text) => Some(bytes(text, "--memory-swap")?),
        None => None,
    };
    if let (Some(swap), Some(memory)) = (swap, memory)
        && swap < memory
    {
        return Err(CommandError::usage("--memory-swap is less than --memory, which it includes"));
    }
    let cpu_milli = match &arguments.cpus {
        None => None,
        Some(text) => {
            let quantity = loopline_units::quantity::Quantity::parse(text)
                .map_err(|error| bad("--cpus", text, &error.to_string()))?;
            let milli = u64::try_from(quantity.milli()).ok().filter(|it| *it > 0);
            Some(milli.ok_or_else(|| bad("--cpus", text, "it is not above zero"))?)
        }
    };
    Ok(Limits {
        memory_bytes: memory,
        memory_and_swap_bytes: swap,
        memory_reservation_bytes: optional_bytes(
            arguments.memory_reservation.as_ref(),
            "--memory-reservation",
        )?,
        cpu_milli,
        cpu_shares: arguments.cpu_shares,
        cpuset: arguments.cpuset_cpus.clone(),
        processes: arguments.pids_limit,
    })
}

fn target(text: &str, flag: &str, whole: &str) -> Result<PathBuf, CommandError> {
    let path = Path::new(text);
    if !path.is_absolute() || path == Path::new("/") {
        return Err(bad(flag, whole, "the path inside is absolute, and not `/`"));
    }
    Ok(path.to_owned())
}

fn source(text: &str) -> Result<VolumeSource, CommandError> {
    // A path begins with a slash or a dot; all else is the name of a volume.
    if text.starts_with('/') || text.starts_with('.') || text.starts_with('~') {
        return Ok(VolumeSource::Host(std::path::absolute(text)?));
    }
    Ok(VolumeSource::Named(text.to_owned()))
}

fn volume(text: &str) -> Result<Volume, CommandError> {
    let flag = "--volume";
    let parts: Vec<_> = text.split(':').collect();
    let (from, to, options) = match parts[..] {
        [to] => (VolumeSource::Anonymous, to, ""),
        [from, to] => (source(from)?, to, ""),
        [from, to, options] => (source(from)?, to, options),
        _ => return Err(bad(flag, text, "it is SOURCE:TARGET[:ro]")),
    };
    let mut read_only = false;
    for option in options.split(',').filter(|it| !it.is_empty()) {
        match option {
            "ro" => read_only = true,
            // Labels of SELinux and consistency are nothing here, and cost nothing.
            "rw" | "z" | "Z" | "cached" | "delegated" | "consistent" => {}
            other => return Err(bad(flag, text, &format!("no option is called `{other}`"))),
        }
    }
    Ok(Volume { source: from, target: target(to, flag, text)?, read_only })
}

fn mount(text: &str) -> Result<Volume, CommandError> {
    let flag = "--mount";
    let (mut kind, mut from, mut to, mut read_only) = ("volume", None, None, false);
    let (mut size, mut mode) = (None, MEMORY_MODE);
    for part in text.split(',') {
        let (name, value) = part.split_once('=').unwrap_or((part, "true"));
        match name {
            "type" => kind = value,
            "source" | "src" => from = Some(value),
            "target" | "destination" | "dst" => to = Some(value),
            "readonly" | "ro" => read_only = value == "true" || value == "1",
            "tmpfs-size" => size = Some(bytes(value, flag)?),
            "tmpfs-mode" => mode = octal(value, flag, text)?,
            other => return Err(bad(flag, text, &format!("no option is called `{other}`"))),
        }
    }
    let to = to.ok_or_else(|| bad(flag, text, "it has no target"))?;
    let source = match (kind, from) {
        ("bind", Some(path)) => {
            let path = std::path::absolute(path)?;
            if !path.exists() {
                return Err(bad(flag, text, &format!("{} does not exist", path.display())));
            }
            VolumeSource::Host(path)
        }
        ("bind", None) => return Err(bad(flag, text, "a bind has a source")),
        ("volume", Some(name)) => VolumeSource::Named(name.to_owned()),
        ("volume", None) => VolumeSource::Anonymous,
        ("tmpfs", None) => VolumeSource::Memory(size, mode),
        ("tmpfs", Some(_)) => return Err(bad(flag, text, "memory has no source")),
        (other, _) => return Err(bad(flag, text, &format!("no type is called `{other}`"))),
    };
    Ok(Volume { source, target: target(to, flag, text)?, read_only })
}

fn octal(text: &str, flag: &str, whole: &str) -> Result<u32, CommandError> {
    u32::from_str_radix(text, 8).map_err(|_| bad(flag, whole, "a mode is a number such as 1777"))
}

fn tmpfs(text: &str) -> Result<Volume, CommandError> {
    let flag = "--tmpfs";
    let (to, options) = text.split_once(':').unwrap_or((text, ""));
    let (mut size, mut mode, mut read_only) = (None, MEMORY_MODE, false);
    for option in options.split(',').filter(|it| !it.is_empty()) {
        match option.split_once('=').unwrap_or((option, "")) {
            ("size", value) => size = Some(bytes(value, flag)?),
            ("mode", value) => mode = octal(value, flag, text)?,
            ("ro", "") => read_only = true,
            // What such a mount is anyway.
            ("rw" | "noexec" | "nosuid" | "nodev", "") => {}
            (other, _) => return Err(bad(flag, text, &format!("no option is called `{other}`"))),
        }
    }
    let source = VolumeSource::Memory(size, mode);
    Ok(Volume { source, target: target(to, flag, text)?, read_only })
}

fn publish(text: &str) -> Result<Vec<Port>, CommandError> {
    let flag = "--publish";
    let wrong = || bad(flag, text, "it is [ADDRESS:]HOST:CONTAINER, with numbers for ports");
    let ports = match text.rsplit_once('/') {
        Some((ports, "tcp")) => ports,
        Some((_, other)) => {
            return Err(bad(flag, text, &format!("only TCP ports are published, not {other}")));
        }
        None => text,
    };
    let (rest, inside) = ports.rsplit_once(':').unwrap_or(("", ports));
    let (address, outside) = match rest.rsplit_once(':') {
        Some((address, outside)) => (Some(address), outside),
        None => (None, rest),
    };
    let address: IpAddr = match address {
        Some(text) => {
            text.trim_start_matches('[').trim_end_matches(']').parse().map_err(|_| wrong())?
        }
        None => Ipv4Addr::LOCALHOST.into(),
    };
    let range = |text: &str| -> Result<Vec<u16>, CommandError> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let first: u16 = first.parse().map_err(|_| wrong())?;
        let last: u16 = last.parse().map_err(|_| wrong())?;
        Ok((first..=last).take(MOST_PORTS).collect())
    };
    let inside = range(inside)?;
    let outside = if outside.is_empty() { vec![0; inside.len()] } else { range(outside)? };
    if inside.len() != outside.len() || inside.is_empty() {
        return Err(bad(flag, text, "both ranges have as many ports"));
    }
    Ok(outside
        .into_iter()
        .zip(inside)
        .map(|(outside, container)| Port { host: SocketAddr::new(address, outside), container })
        .collect())
}

fn network(text: &str) -> Result<ContainerNetwork, CommandError> {
    match text {
        "default" | "bridge" => Ok(ContainerNetwork::User),
        "none" => Ok(ContainerNetwork::None),
        "host" => Ok(ContainerNetwork::Host),
        other => Err(bad("--network", other, "`default`, `none` and `host` are known")),
    }
}

fn host(text: &str) -> Result<(String, String), CommandError> {
    let (name, address) = text
        .split_once([':', '='])
        .filter(|(name, address)| !name.is_empty() && address.parse::<IpAddr>().is_ok())
        .ok_or_else(|| bad("--add-host", text, "it is NAME:ADDRESS"))?;
    Ok((name.to_owned(), address.to_owned()))
}

fn ulimit(text: &str) -> Result<(String, (u64, u64)), CommandError> {
    let wrong = || bad("--ulimit", text, "it is NAME=SOFT[:HARD]");
    let (name, value) = text.split_once('=').ok_or_else(wrong)?;
    let (soft, hard) = value.split_once(':').unwrap_or((value, value));
    let number = |text: &str| match text {
        "-1" | "unlimited" => Ok(u64::MAX),
        text => text.parse().map_err(|_| wrong()),
    };
    let (soft, hard) = (number(soft)?, number(hard)?);
    if soft > hard {
        return Err(bad("--ulimit", text, "the soft limit is above the hard one"));
    }
    Ok((name.to_owned(), (soft, hard)))
}

fn device(text: &str) -> (PathBuf, PathBuf) {
    let mut parts = text.split(':');
    let source = parts.next().unwrap_or_default();
    let target = parts.next().filter(|it| it.starts_with('/')).unwrap_or(source);
    (source.into(), target.into())
}

fn restart(text: &str) -> Result<Restart, CommandError> {
    match text.split_once(':').unwrap_or((text, "")) {
        ("no", "") => Ok(Restart::No),
        ("always" | "unless-stopped", "") => Ok(Restart::Always),
        ("on-failure", "") => Ok(Restart::OnFailure(None)),
        ("on-failure", times) => times
            .parse()
            .map(|times| Restart::OnFailure(Some(times)))
            .map_err(|_| bad("--restart", text, "on-failure has a number behind its colon")),
        _ => Err(bad("--restart", text, "it is no, always, unless-stopped or on-failure[:TIMES]")),
    }
}

/// Reads a signal's name or number.
pub(super) fn signal(text: &str) -> Result<i32, CommandError> {
    signal_number(text).ok_or_else(|| bad("a signal", text, "none is called so"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_dockers() {
        let read = |text: &str| bytes(text, "--memory").map_err(|it| it.message);
        assert_eq!(read("512m"), Ok(512 << 20));
        assert_eq!(read("1GiB"), Ok(1 << 30));
        assert_eq!(read("1.5k"), Ok(1024 + 512 - 12));
        assert_eq!(read("100"), Ok(100));
        assert_eq!(read("x"), Err("--memory `x`: it is no size such as 512m".to_owned()));
        assert!(read("99999999999999g").is_err());
    }

    #[test]
    fn volumes_are_paths_names_or_neither() {
        let read = |text: &str| volume(text).map_err(|it| it.message);
        let named = VolumeSource::Named("data".to_owned());
        assert_eq!(
            read("data:/var/lib"),
            Ok(Volume { source: named, target: "/var/lib".into(), read_only: false })
        );
        let host = VolumeSource::Host("/srv".into());
        assert_eq!(
            read("/srv:/x:ro,z"),
            Ok(Volume { source: host, target: "/x".into(), read_only: true })
        );
        assert!(read("/x").is_ok_and(|it| it.source == VolumeSource::Anonymous));
        for wrong in ["a:b", "a:/", "a:/b:what", "a:/b:ro:rw"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn ports_are_published_on_loopback_unless_an_address_says_otherwise() {
        let read = |text: &str| {
            let ports = publish(text).map_err(|it| it.message)?;
            Ok::<_, String>(
                ports.iter().map(|it| format!("{} {}", it.host, it.container)).collect::<Vec<_>>(),
            )
        };
        assert_eq!(read("8080:80").unwrap(), ["127.0.0.1:8080 80"]);
        assert_eq!(read("0.0.0.0:8080:80/tcp").unwrap(), ["0.0.0.0:8080 80"]);
        assert_eq!(read("[::1]:1:2").unwrap(), ["[::1]:1 2"]);
        assert_eq!(read("80").unwrap(), ["127.0.0.1:0 80"]);
        assert_eq!(read("1-2:3-4").unwrap(), ["127.0.0.1:1 3", "127.0.0.1:2 4"]);
        for wrong in ["", "x:80", "1-3:1-2", "80:80/udp", "70000:1"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
