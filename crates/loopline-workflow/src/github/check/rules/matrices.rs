//! Matrices: values that appear twice, exclusions that match nothing.

use loopline_diagnostic::rule_set as rules;

use crate::github::check::findings::Findings;
use crate::github::check::model::{
    Combination, Combinations, Matrix, MatrixRow, Raw, RawData, Workflow,
};
use crate::github::check::text::{Tag, tag};

pub(super) fn check(workflow: &Workflow, findings: &mut Findings<'_>) {
    for job in &workflow.jobs {
        if let Some(matrix) = job.strategy.as_ref().and_then(|strategy| strategy.matrix.as_ref())
            && matrix.expression.is_none()
        {
            duplicates(matrix, findings);
            exclusions(matrix, findings);
        }
    }
}

fn duplicates(matrix: &Matrix, findings: &mut Findings<'_>) {
    for row in &matrix.rows {
        let MatrixRow::Values(values) = &row.value else { continue };
        for (index, value) in values.iter().enumerate() {
            if let Some(first) = values[..index].iter().find(|first| equal(first, value)) {
                let (file, first) = (findings.file.clone(), first.span);
                let message = format!("this value appears twice in `{}`", row.name.value);
                if let Some(found) = findings.add(&rules::MATRIX, value.span, message) {
                    *found = found.clone().also(&file, first, "first here");
                }
            }
        }
    }
}

/// Returns whether two values are written the same; expressions may differ at run time.
fn equal(a: &Raw, b: &Raw) -> bool {
    match (&a.data, &b.data) {
        (RawData::Scalar(a), RawData::Scalar(b)) => {
            a.value == b.value && tag(&a.node) == tag(&b.node) || numbers_equal(&a.node, &b.node)
        }
        (RawData::List(a), RawData::List(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
        }
        (RawData::Mapping(a), RawData::Mapping(b)) => {
            a.len() == b.len()
                && a.iter().all(|(key, a)| b.iter().any(|(k, b)| k == key && equal(a, b)))
        }
        _ => false,
    }
}

fn numbers_equal(a: &loopline_source::yaml::Node, b: &loopline_source::yaml::Node) -> bool {
    let number = |node: &loopline_source::yaml::Node| match tag(node) {
        Tag::Integer | Tag::Float => node.as_str()?.parse::<f64>().ok(),
        Tag::Null | Tag::Bool | Tag::String => None,
    };
    number(a).zip(number(b)).is_some_and(|(a, b)| a == b)
}

/// Returns whether an exclusion's value may take `value` away.
fn matches(value: &Raw, exclusion: &Raw) -> bool {
    if computed(value) || computed(exclusion) {
        return true;
    }
    match (&value.data, &exclusion.data) {
        (RawData::Mapping(value), RawData::Mapping(exclusion)) => exclusion
            .iter()
            .all(|(key, wanted)| value.iter().any(|(k, own)| k == key && matches(own, wanted))),
        (RawData::List(value), RawData::List(exclusion)) => {
            value.len() == exclusion.len()
                && value.iter().zip(exclusion).all(|(own, wanted)| matches(own, wanted))
        }
        (RawData::Scalar(value), RawData::Scalar(exclusion)) => {
            // GitHub compares texts without their case.
            value.value.eq_ignore_ascii_case(&exclusion.value)
                || numbers_equal(&value.node, &exclusion.node)
        }
        _ => false,
    }
}

fn computed(value: &Raw) -> bool {
    matches!(&value.data, RawData::Scalar(text) if text.has_expression())
}

fn exclusions(matrix: &Matrix, findings: &mut Findings<'_>) {
    let Some(Combinations::List(exclusions)) = &matrix.exclude else { return };
    if matrix.rows.is_empty() {
        let message = "`exclude` takes values out of a matrix that has no rows";
        findings.add(&rules::MATRIX, matrix.at, message);
        return;
    }
    let include = match &matrix.include {
        Some(Combinations::Expression(_)) => return,
        Some(Combinations::List(list)) => list.as_slice(),
        None => &[],
    };
    let mut rows: Vec<(String, Option<Vec<&Raw>>)> = matrix
        .rows
        .iter()
        .map(|row| {
            let values = match &row.value {
                MatrixRow::Expression(_) => None,
                MatrixRow::Values(values) => Some(values.iter().collect()),
            };
            (row.name.lower(), values)
        })
        .collect();
    for combination in include {
        let Combination::Assigns(assigns) = combination else { return };
        for assign in assigns {
            let name = assign.name.lower();
            match rows.iter_mut().find(|(row, _)| *row == name) {
                Some((_, Some(values))) => values.push(&assign.value),
                Some((_, None)) => {}
                None => rows.push((name, Some(vec![&assign.value]))),
            }
        }
    }
    for combination in exclusions {
        let Combination::Assigns(assigns) = combination else { continue };
        for assign in assigns {
            let Some((_, values)) = rows.iter().find(|(row, _)| *row == assign.name.lower()) else {
                let known = rows.iter().map(|(name, _)| name.as_str());
                let name = &assign.name;
                let message = format!("the matrix has no row `{}` to exclude from", name.value);
                findings.add_unknown(&rules::MATRIX, name.span, message, &name.value, known);
                continue;
            };
            if let Some(values) = values
                && !values.iter().any(|value| matches(value, &assign.value))
            {
                let message =
                    format!("no value of `{}` is this, so nothing is excluded", assign.name.value);
                findings.add(&rules::MATRIX, assign.value.span, message);
            }
        }
    }
}
