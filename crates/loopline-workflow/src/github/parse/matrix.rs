//! What of `strategy.matrix` can be checked before expressions are evaluated.

use super::convert::Converter;
use super::problem::Problem;
use crate::github::template::Token;

/// Checks a literal `strategy`.
pub(super) fn check(converter: &mut Converter<'_>, strategy: &Token) {
    let Some(matrix) = strategy.get("matrix") else { return };
    let Some(pairs) = matrix.as_mapping() else { return };
    let mut has_vector = false;
    let mut has_include = false;
    for pair in pairs {
        let Some(name) = pair.key.as_str() else {
            has_vector = true;
            continue;
        };
        let items = pair.value.as_sequence().unwrap_or_default();
        match name {
            "include" => has_include = pair.value.has_expressions() || !items.is_empty(),
            "exclude" => {}
            _ => {
                has_vector = true;
                if items.is_empty() && !pair.value.has_expressions() {
                    let problem = Problem::EmptyVector(name.to_owned());
                    converter.problem(pair.value.span, problem);
                }
            }
        }
    }
    if !has_vector && !has_include {
        converter.problem(matrix.span, Problem::EmptyMatrix);
    }
    if !strategy.has_expressions() {
        check_filters(converter, matrix);
    }
}

fn check_filters(converter: &mut Converter<'_>, matrix: &Token) {
    let items = |name| matrix.get(name).and_then(Token::as_sequence).unwrap_or_default();
    for item in items("include") {
        if item.as_mapping().is_some_and(<[_]>::is_empty) {
            converter.problem(item.span, Problem::EmptyInclude);
        }
    }
    let vectors = matrix.as_mapping().unwrap_or_default();
    let is_vector = |key: &str| {
        !matches!(key, "include" | "exclude")
            && vectors
                .iter()
                .any(|pair| pair.key.as_str().is_some_and(|name| name.eq_ignore_ascii_case(key)))
    };
    for item in items("exclude") {
        let Some(pairs) = item.as_mapping() else { continue };
        if pairs.is_empty() {
            converter.problem(item.span, Problem::EmptyExclude);
        }
        for pair in pairs {
            if let Some(key) = pair.key.as_str()
                && !is_vector(key)
            {
                let problem = Problem::UnknownExcludeKey(key.to_owned());
                converter.problem(pair.key.span, problem);
            }
        }
    }
}
