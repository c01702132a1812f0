//! Numbers as text and back, as the runner's platform does it.

use std::borrow::Cow;

/// How many significant digits are shown (.NET's `G15`).
const DIGITS: i32 = 15;
/// Below this, a whole number is shown without an exponent and without rounding.
const PLAIN_BELOW: f64 = 1e15;

/// Returns the number a string stands for, or NaN.
///
/// White space around it does not count, nothing at all is zero; decimals with an exponent, `0x`
/// and `0o` within 32 bits, and infinities are numbers.
pub fn parse_number(text: &str) -> f64 {
    let text = text.trim();
    if text.is_empty() {
        return 0.0;
    }
    if is_decimal(text.as_bytes()) {
        return text.parse().unwrap_or(f64::NAN);
    }
    if let Some(digits) = text.strip_prefix("0x") {
        return integer(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return integer(digits, 8);
    }
    let (sign, name) = match text.as_bytes()[0] {
        b'-' => (-1.0, &text[1..]),
        b'+' => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    if name.eq_ignore_ascii_case("infinity") { sign * f64::INFINITY } else { f64::NAN }
}

fn integer(digits: &str, radix: u32) -> f64 {
    if digits.is_empty() || !digits.bytes().all(|byte| char::from(byte).is_digit(radix)) {
        return f64::NAN;
    }
    // The platform reads 32 bits as two's complement: 0xFFFFFFFF is -1.
    u32::from_str_radix(digits, radix).map_or(f64::NAN, |bits| f64::from(bits.cast_signed()))
}

fn is_decimal(bytes: &[u8]) -> bool {
    let skip_digits =
        |from: usize| from + bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut start = usize::from(matches!(bytes.first(), Some(b'+' | b'-')));
    let mut end = skip_digits(start);
    let mut digits = end - start;
    if bytes.get(end) == Some(&b'.') {
        start = end + 1;
        end = skip_digits(start);
        digits += end - start;
    }
    if digits == 0 {
        return false;
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        start = end + 1 + usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        if start >= bytes.len() {
            return false;
        }
        end = skip_digits(start);
        if end == start {
            return false;
        }
    }
    end == bytes.len()
}

/// Returns a number as GitHub shows it: at most 15 digits, an exponent where it is shorter.
pub fn format_number(value: f64) -> Cow<'static, str> {
    if value == 0.0 {
        return Cow::Borrowed("0");
    }
    if value.is_nan() {
        return Cow::Borrowed("NaN");
    }
    if value.is_infinite() {
        return Cow::Borrowed(if value > 0.0 { "Infinity" } else { "-Infinity" });
    }
    if value.fract() == 0.0 && value.abs() < PLAIN_BELOW {
        #[expect(clippy::cast_possible_truncation, reason = "whole and below 1e15")]
        return Cow::Owned((value as i64).to_string());
    }
    Cow::Owned(general(value))
}

fn general(value: f64) -> String {
    let scientific = format!("{:.*e}", (DIGITS - 1).unsigned_abs() as usize, value.abs());
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let mantissa = mantissa.replace('.', "");
    let digits = mantissa.trim_end_matches('0');
    let mut text = String::with_capacity(24);
    if value < 0.0 {
        text.push('-');
    }
    if !(-4..DIGITS).contains(&exponent) {
        text.push_str(&digits[..1]);
        if digits.len() > 1 {
            text.push('.');
            text.push_str(&digits[1..]);
        }
        let sign = if exponent < 0 { '-' } else { '+' };
        text.push_str(&format!("E{sign}{:02}", exponent.abs()));
        return text;
    }
    let Ok(whole) = usize::try_from(exponent + 1) else {
        text.push_str("0.");
        text.extend(std::iter::repeat_n('0', exponent.unsigned_abs() as usize - 1));
        text.push_str(digits);
        return text;
    };
    if whole == 0 {
        text.push_str("0.");
        text.push_str(digits);
    } else if digits.len() <= whole {
        text.push_str(digits);
        text.extend(std::iter::repeat_n('0', whole - digits.len()));
    } else {
        text.push_str(&digits[..whole]);
        text.push('.');
        text.push_str(&digits[whole..]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{format_number, parse_number};

    #[test]
    fn numbers_are_shown_with_fifteen_digits() {
        let cases = [
            (0.0, "0"),
            (-0.0, "0"),
            (1.0, "1"),
            (-12.5, "-12.5"),
            (0.1, "0.1"),
            (0.1 + 0.2, "0.3"),
            (0.012, "0.012"),
            (0.0001, "0.0001"),
            (0.000_01, "1E-05"),
            (0.000_012_5, "1.25E-05"),
            (999_999_999_999_999.0, "999999999999999"),
            (1e15, "1E+15"),
            (1_234_567_890_123_456_789.0, "1.23456789012346E+18"),
            (123_456_789.123_456_78, "123456789.123457"),
            (1e100, "1E+100"),
            (f64::MAX, "1.79769313486232E+308"),
            (5e-324, "4.94065645841247E-324"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "Infinity"),
            (f64::NEG_INFINITY, "-Infinity"),
        ];
        for (value, text) in cases {
            assert_eq!(format_number(value), text);
        }
    }

    #[test]
    fn strings_become_numbers() {
        let cases = [
            ("", 0.0),
            (" \t\n", 0.0),
            (" 12 ", 12.0),
            ("+.5", 0.5),
            ("5.", 5.0),
            ("1e3", 1000.0),
            ("-1E-2", -0.01),
            ("1e400", f64::INFINITY),
            ("0x10", 16.0),
            ("0xFFFFFFFF", -1.0),
            ("0o17", 15.0),
            ("0o37777777777", -1.0),
            ("+Infinity", f64::INFINITY),
            ("-infinity", f64::NEG_INFINITY),
        ];
        for (text, value) in cases {
            assert_eq!(parse_number(text), value, "{text:?}");
        }
        for text in [
            "a",
            ".",
            "+",
            "-",
            "e1",
            "1e",
            "1e+",
            "1 2",
            "1_0",
            "0x",
            "0X1",
            "-0x1",
            "0x1FFFFFFFF",
            "0o8",
            "0o",
            "0b1",
            "Inf",
            "NaN",
            "--1",
            "1.2.3",
            "\u{661}",
        ] {
            assert!(parse_number(text).is_nan(), "{text:?}");
        }
    }
}
