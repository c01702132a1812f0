//! Sizes and durations as people read them.

use std::time::Duration;

/// Returns `duration` with two units at most: `0.4s`, `12.3s`, `4m 05s`, `2h 10m`, `3d 4h`.
pub fn show_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => {
            let tenths = duration.as_millis() / 100;
            if tenths == 0 {
                format!("{}ms", duration.as_millis())
            } else {
                format!("{}.{}s", tenths / 10, tenths % 10)
            }
        }
        60..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h {:02}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// Returns `bytes` in decimal units with one digit: `512 B`, `1.5 kB`, `2.0 GB`.
pub fn show_bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_read_well() {
        let durations = [0, 99, 100, 12_345, 59_999, 60_000, 245_000, 7_800_000, 273_600_000]
            .map(|ms| show_duration(Duration::from_millis(ms)));
        assert_eq!(
            durations,
            ["0ms", "99ms", "0.1s", "12.3s", "59.9s", "1m 00s", "4m 05s", "2h 10m", "3d 4h"]
        );
        let sizes = [0, 999, 1000, 999_949, 999_950, 2_000_000_000].map(show_bytes);
        assert_eq!(sizes, ["0 B", "999 B", "1.0 kB", "999.9 kB", "1.0 MB", "2.0 GB"]);
    }
}
