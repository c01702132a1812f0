//! A tree and its surroundings to a value.

use std::sync::Arc;

use super::error::EvalError;
use super::functions;
use super::json::STRING_OVERHEAD_BYTES;
use super::trace::Trace;
use super::tree::{Comparison, Connective, Expr, NodeId, NodeKind};
use super::value::{Array, Value};

/// How much memory an evaluation may take, in bytes as GitHub counts them (the runner's limit).
pub const MAX_MEMORY_BYTES: usize = 10 * 1024 * 1024;
/// What a value that is no string counts, in bytes.
const OBJECT_BYTES: usize = 24;
/// What a reference to a value counts, in bytes.
const REFERENCE_BYTES: usize = 8;

/// What surrounds an expression.
pub trait Scope {
    /// Returns a context by its name as written; null where there is none.
    fn context(&self, name: &str) -> Option<Value>;

    /// Calls a function that is not built in (`success`, `failure`, `always`, `cancelled`,
    /// `hashFiles`), by its name as written; `None` where there is no such function.
    fn function(&self, name: &str, arguments: &[Value]) -> Option<Result<Value, EvalError>>;
}

impl<S: Scope + ?Sized> Scope for &S {
    fn context(&self, name: &str) -> Option<Value> {
        (**self).context(name)
    }

    fn function(&self, name: &str, arguments: &[Value]) -> Option<Result<Value, EvalError>> {
        (**self).function(name, arguments)
    }
}

/// Limits of an evaluation.
#[derive(Clone, Copy, Debug)]
pub struct EvaluateOptions {
    /// How much memory it may take, in bytes as GitHub counts them.
    pub max_memory_bytes: usize,
}

impl Default for EvaluateOptions {
    fn default() -> Self {
        Self { max_memory_bytes: MAX_MEMORY_BYTES }
    }
}

/// Evaluates an expression within the runner's limits.
///
/// # Errors
/// Returns why it has no value; a step whose expression has none has failed.
pub fn evaluate(expression: &Expr, scope: &dyn Scope) -> Result<Value, EvalError> {
    evaluate_with(expression, scope, EvaluateOptions::default())
}

/// Evaluates an expression within given limits.
///
/// # Errors
/// Returns why it has no value.
pub fn evaluate_with(
    expression: &Expr,
    scope: &dyn Scope,
    options: EvaluateOptions,
) -> Result<Value, EvalError> {
    Evaluator::new(expression, scope, options, None).node(expression.root(), 0)
}

/// Evaluates an expression and tells how its value came about.
pub fn evaluate_traced(expression: &Expr, scope: &dyn Scope) -> (Result<Value, EvalError>, Trace) {
    let seen = vec![None; expression.nodes.len()];
    let mut evaluator = Evaluator::new(expression, scope, EvaluateOptions::default(), Some(seen));
    let result = evaluator.node(expression.root(), 0);
    let seen = evaluator.seen.unwrap_or_default();
    (result, Trace::new(expression, &seen))
}

/// One evaluation.
pub(super) struct Evaluator<'a> {
    expression: &'a Expr,
    scope: &'a dyn Scope,
    limit: usize,
    /// What is held at each level of the tree, in bytes.
    levels: Vec<usize>,
    total: usize,
    seen: Option<Vec<Option<Value>>>,
}

impl<'a> Evaluator<'a> {
    fn new(
        expression: &'a Expr,
        scope: &'a dyn Scope,
        options: EvaluateOptions,
        seen: Option<Vec<Option<Value>>>,
    ) -> Self {
        let limit = options.max_memory_bytes;
        Self { expression, scope, limit, levels: Vec::new(), total: 0, seen }
    }

    /// Evaluates one node; the tree's depth bounds the recursion.
    pub(super) fn node(&mut self, id: NodeId, level: usize) -> Result<Value, EvalError> {
        let expression = self.expression;
        let below = level + 1;
        // What comes from a context is held by it too, and counts until the end.
        let mut from_data = false;
        let value = match &expression.node(id).kind {
            NodeKind::Group(inner) => {
                let value = self.node(*inner, level)?;
                self.saw(id, &value);
                return Ok(value);
            }
            NodeKind::Literal(value) => value.clone(),
            NodeKind::Context(name) => self.scope.context(name).unwrap_or_default(),
            NodeKind::Property { target, name, .. } => {
                from_data = true;
                match self.node(*target, below)? {
                    Value::Array(array) if array.is_filtered() => {
                        filtered(&array, |item| item.get(name).cloned())
                    }
                    Value::Array(array) => element(&array, || super::number::parse_number(name)),
                    other => other.get(name).cloned().unwrap_or_default(),
                }
            }
            NodeKind::Index { target, index } => {
                from_data = true;
                self.index(*target, *index, below)?
            }
            NodeKind::Wildcard { target } => all(&self.node(*target, below)?),
            NodeKind::Call { name, arguments, .. } => {
                match functions::call(self, name, arguments, below)? {
                    Some(value) => value,
                    None => self.surroundings(name, arguments, below)?,
                }
            }
            NodeKind::Not(operand) => Value::Bool(!self.node(*operand, below)?.truthy()),
            NodeKind::Compare { operator, left, right } => {
                let left = self.node(*left, below)?;
                let right = self.node(*right, below)?;
                Value::Bool(compare(*operator, &left, &right))
            }
            NodeKind::Logical { connective, operands } => {
                let stops_at = *connective == Connective::Or;
                let mut value = Value::Null;
                for operand in operands {
                    value = self.node(*operand, below)?;
                    if value.truthy() == stops_at {
                        break;
                    }
                }
                value
            }
        };
        self.account(&value, level, from_data)?;
        self.saw(id, &value);
        Ok(value)
    }

    fn saw(&mut self, id: NodeId, value: &Value) {
        if let Some(seen) = &mut self.seen {
            seen[id.0 as usize] = Some(value.clone());
        }
    }

    fn surroundings(
        &mut self,
        name: &Arc<str>,
        arguments: &[NodeId],
        level: usize,
    ) -> Result<Value, EvalError> {
        let values: Result<Vec<_>, _> =
            arguments.iter().map(|argument| self.node(*argument, level)).collect();
        self.scope
            .function(name, &values?)
            .unwrap_or_else(|| Err(EvalError::FunctionUnavailable { name: Arc::clone(name) }))
    }

    fn index(&mut self, target: NodeId, index: NodeId, level: usize) -> Result<Value, EvalError> {
        let target = self.node(target, level)?;
        Ok(match target {
            Value::Object(object) => {
                let index = self.node(index, level)?;
                if index.kind().is_primitive() {
                    object.get(&index.to_text()).cloned().unwrap_or_default()
                } else {
                    Value::Null
                }
            }
            Value::Array(array) if array.is_filtered() => {
                let index = self.node(index, level)?;
                let name = index.kind().is_primitive().then(|| index.to_text());
                let position = position(index.to_number());
                filtered(&array, |item| match item {
                    Value::Object(object) => object.get(name.as_deref()?).cloned(),
                    Value::Array(nested) => nested.get(position?).cloned(),
                    _ => None,
                })
            }
            Value::Array(array) => {
                let index = self.node(index, level)?;
                element(&array, || index.to_number())
            }
            _ => Value::Null,
        })
    }

    fn account(&mut self, value: &Value, level: usize, from_data: bool) -> Result<(), EvalError> {
        let primitive = value.kind().is_primitive();
        if primitive && !from_data {
            for held in self.levels.drain((level + 1).min(self.levels.len())..) {
                self.total -= held;
            }
        }
        if self.levels.len() <= level {
            self.levels.resize(level + 1, 0);
        }
        let bytes = match value {
            Value::String(text) => STRING_OVERHEAD_BYTES + text.len() * 2,
            Value::Array(array) if array.is_filtered() => {
                OBJECT_BYTES + array.len() * REFERENCE_BYTES
            }
            _ => OBJECT_BYTES,
        } + if from_data && primitive { OBJECT_BYTES } else { 0 };
        self.levels[level] += bytes;
        self.total += bytes;
        if self.total > self.limit { Err(self.exceeded()) } else { Ok(()) }
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    pub(super) fn exceeded(&self) -> EvalError {
        EvalError::ExceededMemory { expression: Arc::clone(&self.expression.source) }
    }
}

fn compare(operator: Comparison, left: &Value, right: &Value) -> bool {
    match operator {
        Comparison::Equal => left.loose_eq(right),
        Comparison::NotEqual => !left.loose_eq(right),
        Comparison::Less => left.loose_cmp(right).is_some_and(|order| order.is_lt()),
        Comparison::LessOrEqual => {
            left.loose_eq(right) || left.loose_cmp(right).is_some_and(|order| order.is_le())
        }
        Comparison::Greater => left.loose_cmp(right).is_some_and(|order| order.is_gt()),
        Comparison::GreaterOrEqual => {
            left.loose_eq(right) || left.loose_cmp(right).is_some_and(|order| order.is_ge())
        }
    }
}

/// Returns the place a number stands for, if any.
fn position(number: f64) -> Option<usize> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within 32 bits")]
    (0.0..=f64::from(i32::MAX) + 0.5).contains(&number).then(|| number.floor() as usize)
}

fn element(array: &Array, index: impl FnOnce() -> f64) -> Value {
    position(index()).and_then(|position| array.get(position)).cloned().unwrap_or_default()
}

fn filtered(array: &Array, member: impl Fn(&Value) -> Option<Value>) -> Value {
    Value::Array(Arc::new(Array::filtered(array.iter().filter_map(member).collect())))
}

fn all(value: &Value) -> Value {
    let mut items = Vec::new();
    let mut add = |value: &Value| match value {
        Value::Array(array) => items.extend(array.iter().cloned()),
        Value::Object(object) => items.extend(object.values().cloned()),
        _ => {}
    };
    match value {
        Value::Array(array) if array.is_filtered() => array.iter().for_each(add),
        other => add(other),
    }
    Value::Array(Arc::new(Array::filtered(items)))
}
