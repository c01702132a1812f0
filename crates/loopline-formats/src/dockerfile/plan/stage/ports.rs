//! `EXPOSE`: ports of the container, as `80/tcp`.

use super::super::ErrorKind;

/// Reads `80`, `80/udp`, `8000-8010/tcp`; what names the host's side is dropped, as the builder
/// does.
pub(super) fn read(text: &str) -> Result<Vec<String>, ErrorKind> {
    let container = text.rsplit(':').next().unwrap_or(text);
    let (ports, protocol) = container.split_once('/').unwrap_or((container, ""));
    let protocol = match protocol.to_lowercase().as_str() {
        "" | "tcp" => "tcp",
        "udp" => "udp",
        "sctp" => "sctp",
        _ => return Err(ErrorKind::Protocol(protocol.to_owned())),
    };
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u16>().ok()).flatten()
    };
    let range = match ports.split_once('-') {
        Some((first, last)) => number(first).zip(number(last)),
        None => number(ports).map(|port| (port, port)),
    };
    match range {
        Some((first, last)) if first <= last => {
            Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
        }
        _ => Err(ErrorKind::Port(ports.to_owned())),
    }
}
