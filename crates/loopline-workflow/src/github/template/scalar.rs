//! What a YAML scalar means to GitHub: the core schema of YAML 1.2, with .NET's numbers.

use loopline_source::SourceFile;
use loopline_source::yaml::{Node, Scalar, Style};

use super::error::ErrorKind;
use super::token::{Kind, Token};

const BOOLEAN: &str = "tag:yaml.org,2002:bool";
const FLOAT: &str = "tag:yaml.org,2002:float";
const INTEGER: &str = "tag:yaml.org,2002:int";
const NULL: &str = "tag:yaml.org,2002:null";
const STRING: &str = "tag:yaml.org,2002:str";

/// Reads a scalar node as a literal token.
///
/// # Errors
/// Returns what is wrong with the scalar's tag, style or range.
pub(super) fn literal(file: &SourceFile, node: &Node, scalar: &Scalar) -> Result<Token, ErrorKind> {
    let text = &*scalar.value;
    let place = file.position(node.start());
    let invalid = |tag: &str| ErrorKind::InvalidForTag {
        value: text.to_owned(),
        line: place.line,
        column: place.column,
        tag: tag.to_owned(),
    };
    let span = loopline_source::Span::new(node.start(), node.span.end);
    let string = || Token::string(span, scalar.value.clone());
    let token = |kind| Token { span, kind };
    if let Some(tag) = node.tag.as_deref() {
        if tag == STRING {
            return Ok(string());
        }
        // `!` alone says "not plain", which is a string.
        if tag == "!" {
            return Ok(string());
        }
        if scalar.style != Style::Plain {
            return Err(ErrorKind::StyleNotAllowed {
                style: style_name(scalar.style),
                line: place.line,
                column: place.column,
                tag: tag.to_owned(),
            });
        }
        let found = match tag {
            BOOLEAN => boolean(text).map(Kind::Boolean),
            FLOAT => float(text).map(Kind::Number),
            INTEGER => integer(text).map_err(|OutOfRange| invalid(tag))?.map(Kind::Number),
            NULL => is_null(text).then_some(Kind::Null),
            _ => return Err(ErrorKind::UnknownTag(tag.to_owned())),
        };
        return found.map(token).ok_or_else(|| invalid(tag));
    }
    if scalar.style != Style::Plain {
        return Ok(string());
    }
    if is_null(text) {
        return Ok(token(Kind::Null));
    }
    if let Some(value) = boolean(text) {
        return Ok(token(Kind::Boolean(value)));
    }
    // Most scalars are words; only what starts like a number is looked at as one.
    if text.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first)) {
        if let Some(value) = integer(text).map_err(|OutOfRange| invalid(INTEGER))? {
            return Ok(token(Kind::Number(value)));
        }
        if let Some(value) = float(text) {
            return Ok(token(Kind::Number(value)));
        }
    }
    Ok(string())
}

fn style_name(style: Style) -> &'static str {
    match style {
        Style::Plain => "Plain",
        Style::SingleQuoted => "SingleQuoted",
        Style::DoubleQuoted => "DoubleQuoted",
        Style::Literal => "Literal",
        Style::Folded => "Folded",
    }
}

fn is_null(text: &str) -> bool {
    matches!(text, "" | "null" | "Null" | "NULL" | "~")
}

fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" => Some(true),
        "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

/// A hexadecimal or octal integer of more than 32 bits.
struct OutOfRange;

fn integer(text: &str) -> Result<Option<f64>, OutOfRange> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(text.parse().ok());
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = text.strip_prefix(prefix)
            && !digits.is_empty()
            && digits.chars().all(|digit| digit.is_digit(radix))
        {
            // 32 bits, two's complement: `0xFFFFFFFF` is -1.
            let bits = u32::from_str_radix(digits, radix).map_err(|_| OutOfRange)?;
            return Ok(Some(f64::from(bits.cast_signed())));
        }
    }
    Ok(None)
}

fn float(text: &str) -> Option<f64> {
    match text {
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Some(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Some(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => return Some(f64::NAN),
        _ => {}
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    if let Some(exponent) = exponent {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        if exponent.is_empty() || !digits(exponent) {
            return None;
        }
    }
    text.parse().ok()
}
