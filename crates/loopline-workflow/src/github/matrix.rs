//! Matrices: from axes, `include` and `exclude` to the combinations that become jobs.
//!
//! Values in, combinations out; reading them from a workflow, and evaluating the expressions in
//! them, comes before.

use std::borrow::Cow;
use std::sync::Arc;

use super::expression::{Array, Object, Value, parse_number};

/// How many combinations a matrix may have (GitHub's limit of jobs a matrix makes).
pub const MAX_COMBINATIONS: usize = 256;
/// How many products of axes are looked at where `exclude` may still drop most of them.
pub const MAX_CANDIDATES: usize = 16_384;
/// How many items `include` and `exclude` may have each.
pub const MAX_FILTERS: usize = 1_024;
/// How long the name of a job may be, in UTF-16 units.
pub const MAX_NAME_LENGTH: usize = 100;
/// How deep values of a matrix are looked into.
const MAX_DEPTH: usize = 100;

const INCLUDE: &str = "include";
const EXCLUDE: &str = "exclude";

/// One job of a matrix.
#[derive(Clone, Debug)]
pub struct Combination {
    /// What the `matrix` context holds.
    pub values: Arc<Object>,
    /// What distinguishes the job's name: the texts of the axes' values.
    pub segments: Vec<String>,
}

/// What is wrong with a matrix, in GitHub's own words where it has some.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MatrixError {
    /// The matrix is not a mapping.
    #[error("A matrix must be a mapping")]
    NotMapping,
    /// There is neither an axis nor an `include`.
    #[error("Matrix must define at least one vector")]
    NoVector,
    /// An axis, `include` or `exclude` is not a sequence.
    #[error("The value of the matrix key '{key}' must be a sequence")]
    NotSequence {
        /// The key.
        key: Arc<str>,
    },
    /// An axis has no values.
    #[error("Matrix vector '{key}' does not contain any values")]
    EmptyVector {
        /// The key.
        key: Arc<str>,
    },
    /// An item of `include` or `exclude` is not a mapping.
    #[error("Item {index} of the matrix key '{key}' must be a mapping")]
    ItemNotMapping {
        /// `include` or `exclude`.
        key: Arc<str>,
        /// Which item, from zero.
        index: usize,
    },
    /// An item of `include` is empty.
    #[error("Matrix include mapping does not contain any values")]
    EmptyInclude {
        /// Which item, from zero.
        index: usize,
    },
    /// An item of `exclude` is empty.
    #[error("Matrix exclude filter must not be empty")]
    EmptyExclude {
        /// Which item, from zero.
        index: usize,
    },
    /// An item of `exclude` names an axis that is not there.
    #[error("Matrix exclude key '{key}' does not match any key within the matrix")]
    UnknownExcludeKey {
        /// The key.
        key: Arc<str>,
        /// Which item, from zero.
        index: usize,
    },
    /// There are more combinations than allowed.
    #[error(
        "The matrix makes {at_least} or more jobs, which is over the limit of {MAX_COMBINATIONS}"
    )]
    TooManyCombinations {
        /// How many there are at least.
        at_least: usize,
        /// The axis with most values, if axes are to blame.
        key: Option<Arc<str>>,
    },
    /// There are more products of axes than are looked at.
    #[error("The matrix has more than {MAX_CANDIDATES} combinations before 'exclude'")]
    TooManyCandidates {
        /// The axis with most values.
        key: Option<Arc<str>>,
    },
    /// `include` or `exclude` is too long.
    #[error("The matrix key '{key}' has {count} items, which is over the limit of {MAX_FILTERS}")]
    TooManyFilters {
        /// `include` or `exclude`.
        key: Arc<str>,
        /// How many.
        count: usize,
    },
}

/// Expands a matrix: the product of its axes, the first the slowest; less what `exclude` matches;
/// with what `include` adds to a combination; and what `include` could not add, as combinations
/// of its own.
///
/// # Errors
/// Returns what is wrong with it, before anything large is made.
pub fn expand(matrix: &Value) -> Result<Vec<Combination>, MatrixError> {
    let Value::Object(matrix) = matrix else { return Err(MatrixError::NotMapping) };
    let axes = Axes::read(matrix)?;
    let excludes = filters(matrix, EXCLUDE)?;
    let includes = filters(matrix, INCLUDE)?;
    if axes.0.is_empty() && includes.is_empty() {
        return Err(MatrixError::NoVector);
    }
    for (index, exclude) in excludes.iter().enumerate() {
        if exclude.is_empty() {
            return Err(MatrixError::EmptyExclude { index });
        }
        if let Some((key, _)) = exclude.iter().find(|(key, _)| !axes.has(key)) {
            return Err(MatrixError::UnknownExcludeKey { key: Arc::clone(key), index });
        }
    }
    if let Some(index) = includes.iter().position(|include| include.is_empty()) {
        return Err(MatrixError::EmptyInclude { index });
    }
    let product = axes.product();
    if excludes.is_empty() && product > MAX_COMBINATIONS {
        return Err(MatrixError::TooManyCombinations { at_least: product, key: axes.longest() });
    }
    if product > MAX_CANDIDATES {
        return Err(MatrixError::TooManyCandidates { key: axes.longest() });
    }
    let mut includes: Vec<_> = includes.iter().map(|it| Include::new(it, &axes)).collect();
    let mut combinations = Vec::new();
    for number in 0..product {
        let mut values = axes.combination(number, product);
        if excludes.iter().any(|filter| matches(filter.iter(), &values)) {
            continue;
        }
        if combinations.len() == MAX_COMBINATIONS {
            let at_least = MAX_COMBINATIONS + 1;
            return Err(MatrixError::TooManyCombinations { at_least, key: axes.longest() });
        }
        let segments = segments(&values);
        let mut added = Vec::new();
        for include in &mut includes {
            if matches(include.filter.iter().copied(), &values) {
                include.matched = true;
                added.extend(include.extra.iter().copied());
            }
        }
        for (key, value) in added {
            values.insert(Arc::clone(key), value.clone());
        }
        combinations.push(Combination { values: Arc::new(values), segments });
    }
    for include in includes.iter().filter(|include| !include.matched) {
        if combinations.len() == MAX_COMBINATIONS {
            let at_least = MAX_COMBINATIONS + 1;
            return Err(MatrixError::TooManyCombinations { at_least, key: None });
        }
        let pairs = include.filter.iter().chain(&include.extra);
        let values: Object =
            pairs.map(|(key, value)| (Arc::clone(key), Value::clone(value))).collect();
        let segments = segments(&values);
        combinations.push(Combination { values: Arc::new(values), segments });
    }
    Ok(combinations)
}

impl Combination {
    /// Returns the name of the job: the job's own with the combination in parentheses.
    pub fn name(&self, job: &str) -> String {
        let mut name = job.to_owned();
        if !self.segments.is_empty() {
            name.push_str(&format!(" ({})", self.segments.join(", ")));
        }
        shorten(name)
    }
}

/// Cuts a name that is too long, and says so with three dots.
fn shorten(mut name: String) -> String {
    const DOTS: &str = "...";
    let (mut units, mut cut) = (0, 0);
    for (index, character) in name.char_indices() {
        units += character.len_utf16();
        if units <= MAX_NAME_LENGTH - DOTS.len() {
            cut = index + character.len_utf8();
        }
    }
    if units > MAX_NAME_LENGTH {
        name.truncate(cut);
        name.push_str(DOTS);
    }
    name
}

/// The keys with a sequence of values each.
struct Axes(Vec<(Arc<str>, Arc<Array>)>);

impl Axes {
    fn read(matrix: &Object) -> Result<Self, MatrixError> {
        let mut axes = Vec::new();
        for (key, value) in matrix.iter().filter(|(key, _)| ![INCLUDE, EXCLUDE].contains(&&***key))
        {
            let Value::Array(values) = value else {
                return Err(MatrixError::NotSequence { key: Arc::clone(key) });
            };
            if values.is_empty() {
                return Err(MatrixError::EmptyVector { key: Arc::clone(key) });
            }
            axes.push((Arc::clone(key), Arc::clone(values)));
        }
        Ok(Self(axes))
    }

    fn has(&self, key: &str) -> bool {
        self.0.iter().any(|(axis, _)| super::expression::equals_ignore_case(axis, key))
    }

    fn product(&self) -> usize {
        if self.0.is_empty() {
            return 0;
        }
        self.0.iter().fold(1, |product, (_, values)| product.saturating_mul(values.len()))
    }

    fn longest(&self) -> Option<Arc<str>> {
        self.0.iter().max_by_key(|(_, values)| values.len()).map(|(key, _)| Arc::clone(key))
    }

    fn combination(&self, number: usize, product: usize) -> Object {
        let mut block = product;
        let pairs = self.0.iter().map(|(key, values)| {
            block /= values.len();
            (Arc::clone(key), values[(number / block) % values.len()].clone())
        });
        pairs.collect()
    }
}

/// An item of `include`: what must match, and what it adds.
struct Include<'a> {
    filter: Vec<(&'a Arc<str>, &'a Value)>,
    extra: Vec<(&'a Arc<str>, &'a Value)>,
    matched: bool,
}

impl<'a> Include<'a> {
    fn new(item: &'a Object, axes: &Axes) -> Self {
        let (filter, extra) = item.iter().partition(|(key, _)| axes.has(key));
        Self { filter, extra, matched: false }
    }
}

fn filters(matrix: &Object, key: &'static str) -> Result<Vec<Arc<Object>>, MatrixError> {
    let items = match matrix.iter().find(|(name, _)| &***name == key) {
        None => return Ok(Vec::new()),
        Some((_, Value::Array(items))) => items,
        Some((name, _)) => return Err(MatrixError::NotSequence { key: Arc::clone(name) }),
    };
    if items.len() > MAX_FILTERS {
        return Err(MatrixError::TooManyFilters { key: key.into(), count: items.len() });
    }
    let mapping = |(index, item): (usize, &Value)| match item {
        Value::Object(mapping) => Ok(Arc::clone(mapping)),
        _ => Err(MatrixError::ItemNotMapping { key: key.into(), index }),
    };
    items.iter().enumerate().map(mapping).collect()
}

/// Returns whether every leaf of a filter is equal, as `==` is, to what stands there in a
/// combination.
fn matches<'a>(
    mut filter: impl Iterator<Item = (&'a Arc<str>, &'a Value)>,
    values: &Object,
) -> bool {
    filter.all(|(key, expected)| leaf_matches(expected, values.get(key), 0))
}

fn leaf_matches(expected: &Value, found: Option<&Value>, depth: usize) -> bool {
    if depth > MAX_DEPTH {
        return false;
    }
    match expected {
        Value::Object(members) => {
            members.iter().all(|(key, value)| leaf_matches(value, member(found, key), depth + 1))
        }
        Value::Array(items) => items.iter().enumerate().all(|(index, value)| {
            let name = index.to_string();
            leaf_matches(value, member(found, &name), depth + 1)
        }),
        leaf => found.unwrap_or(&Value::Null).loose_eq(leaf),
    }
}

/// Returns what an index into a value finds, as in an expression.
fn member<'a>(value: Option<&'a Value>, key: &str) -> Option<&'a Value> {
    match value? {
        Value::Object(object) => object.get(key),
        Value::Array(items) => {
            let number = parse_number(key);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "not negative, and what is too large is no index"
            )]
            (number >= 0.0).then(|| items.get(number.floor() as usize)).flatten()
        }
        _ => None,
    }
}

/// Returns the texts of a combination's scalar leaves in order, without empty ones.
fn segments(values: &Object) -> Vec<String> {
    let mut found = Vec::new();
    values.values().for_each(|value| leaves(value, &mut found, 0));
    found
}

fn leaves(value: &Value, found: &mut Vec<String>, depth: usize) {
    match value {
        _ if depth > MAX_DEPTH => {}
        Value::Array(items) => items.iter().for_each(|item| leaves(item, found, depth + 1)),
        Value::Object(object) => object.values().for_each(|it| leaves(it, found, depth + 1)),
        scalar => {
            let text = scalar.to_text();
            if !text.is_empty() {
                found.push(Cow::into_owned(text));
            }
        }
    }
}
