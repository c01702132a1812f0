//! Whether a `cron` value has the form GitHub takes.

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

struct Field {
    min: u32,
    max: u32,
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field { min: 0, max: 59, names: &[] },
    Field { min: 0, max: 23, names: &[] },
    Field { min: 1, max: 31, names: &[] },
    Field { min: 1, max: 12, names: &MONTHS },
    Field { min: 0, max: 6, names: &DAYS },
];

/// Returns whether `text` is five valid fields.
pub(super) fn is_valid(text: &str) -> bool {
    let mut parts = text.split(' ').filter(|part| !part.is_empty());
    let valid = FIELDS.iter().all(|field| parts.next().is_some_and(|part| field.takes_list(part)));
    valid && parts.next().is_none()
}

impl Field {
    fn takes_list(&self, text: &str) -> bool {
        text.split(',').all(|part| self.takes_step(part))
    }

    fn takes_step(&self, text: &str) -> bool {
        match text.split_once('/') {
            Some((start, step)) => {
                let step_is_good = step
                    .parse::<u32>()
                    .is_ok_and(|step| step > 0 && (self.min..=self.max).contains(&step));
                step_is_good && self.takes_range(start)
            }
            None => self.takes_range(text),
        }
    }

    fn takes_range(&self, text: &str) -> bool {
        if text == "*" {
            return true;
        }
        match text.split_once('-') {
            Some((start, end)) => match (self.value(start), self.value(end)) {
                (Some(start), Some(end)) => start <= end,
                _ => false,
            },
            None => self.value(text).is_some(),
        }
    }

    fn value(&self, text: &str) -> Option<u32> {
        let name = self.names.iter().position(|name| name.eq_ignore_ascii_case(text));
        if let Some(index) = name {
            return u32::try_from(index).ok().map(|index| index + self.min);
        }
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        text.parse().ok().filter(|value| (self.min..=self.max).contains(value))
    }
}

#[cfg(test)]
mod tests {
    use super::is_valid;

    #[test]
    fn five_fields_within_their_ranges() {
        for good in ["* * * * *", "*/15 0-6,8 1 jan-MAR sun", "0  4 * * 1-5/2", "30 5 31 12 6"] {
            assert!(is_valid(good), "{good}");
        }
        for bad in [
            "",
            "* * * *",
            "* * * * * *",
            "60 * * * *",
            "* * 0 * *",
            "*/0 * * * *",
            "5-1 * * * *",
            "a * * * *",
            "1, * * * *",
            "* * * * 7",
            "@daily",
        ] {
            assert!(!is_valid(bad), "{bad}");
        }
    }
}
