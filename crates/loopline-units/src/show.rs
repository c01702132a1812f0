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

/// Returns an age as kubectl prints it: `45s`, `5m30s`, `3h`, `3d4h`, `2y30d`.
pub fn show_age(seconds: i64) -> String {
    let with = |large: i64, unit: char, small: i64, part: char| match small {
        0 => format!("{large}{unit}"),
        _ => format!("{large}{unit}{small}{part}"),
    };
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    let days = hours / 24;
    match seconds {
        ..-1 => "<invalid>".to_owned(),
        -1 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        120..600 => with(minutes, 'm', seconds % 60, 's'),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => with(hours, 'h', minutes % 60, 'm'),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => with(days, 'd', hours % 24, 'h'),
        691_200..63_072_000 => format!("{days}d"),
        63_072_000..252_288_000 => with(days / 365, 'y', days % 365, 'd'),
        _ => format!("{}y", days / 365),
    }
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

    #[test]
    fn ages_read_as_kubectl_prints_them() {
        for (seconds, shown) in [
            (-5, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (330, "5m30s"),
            (600, "10m"),
            (10_799, "179m"),
            (10_800, "3h"),
            (11_100, "3h5m"),
            (28_800, "8h"),
            (172_799, "47h"),
            (273_600, "3d4h"),
            (691_200, "8d"),
            (63_072_000, "2y"),
            (63_072_000 + 30 * 86_400, "2y30d"),
            (252_288_000, "8y"),
        ] {
            assert_eq!(show_age(seconds), shown, "{seconds}");
        }
    }
}
