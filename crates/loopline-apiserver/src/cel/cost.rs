//! What an expression names, and what it may cost.

use kube_cel::cel::Value;
use kube_cel::cel::common::ast::{EntryExpr, Expr, IdedExpr};

/// The deepest value that is measured.
const MAX_DEPTH: usize = 100;

/// The names of types, which are values of expressions too.
const TYPES: &[&str] = &[
    "bool",
    "bytes",
    "double",
    "duration",
    "int",
    "list",
    "map",
    "null_type",
    "string",
    "timestamp",
    "type",
    "uint",
];

/// How often the parts of an expression run: the number of parts by the depth of loops.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Loops {
    parts: Vec<u64>,
}

impl Loops {
    pub(super) fn of(expression: &IdedExpr) -> Self {
        let mut loops = Self::default();
        loops.count(expression, 0);
        loops
    }

    fn count(&mut self, expression: &IdedExpr, depth: usize) {
        if self.parts.len() <= depth {
            self.parts.resize(depth + 1, 0);
        }
        self.parts[depth] += 1;
        each(expression, &mut |inner, in_loop| {
            self.count(inner, depth + usize::from(in_loop));
        });
    }

    /// Returns the cost where no loop goes over more than `longest` values.
    pub(super) fn cost(&self, longest: u64) -> u64 {
        let mut rounds = 1_u64;
        let mut cost = 0_u64;
        for parts in &self.parts {
            cost = cost.saturating_add(parts.saturating_mul(rounds));
            rounds = rounds.saturating_mul(longest.max(1));
        }
        cost
    }
}

/// Calls with the parts of an expression, and whether they run once a round.
fn each<'a>(expression: &'a IdedExpr, take: &mut dyn FnMut(&'a IdedExpr, bool)) {
    match &expression.expr {
        Expr::Call(call) => {
            if let Some(target) = &call.target {
                take(target, false);
            }
            call.args.iter().for_each(|argument| take(argument, false));
        }
        Expr::Comprehension(one) => {
            take(&one.iter_range, false);
            take(&one.accu_init, false);
            take(&one.loop_cond, true);
            take(&one.loop_step, true);
            take(&one.result, false);
        }
        Expr::List(list) => list.elements.iter().for_each(|one| take(one, false)),
        Expr::Map(map) => map.entries.iter().for_each(|entry| entries(&entry.expr, take)),
        Expr::Struct(one) => one.entries.iter().for_each(|entry| entries(&entry.expr, take)),
        Expr::Select(select) => take(&select.operand, false),
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => {}
    }
}

fn entries<'a>(entry: &'a EntryExpr, take: &mut dyn FnMut(&'a IdedExpr, bool)) {
    match entry {
        EntryExpr::StructField(field) => take(&field.value, false),
        EntryExpr::MapEntry(entry) => {
            take(&entry.key, false);
            take(&entry.value, false);
        }
    }
}

/// Returns a name that is neither a variable nor one of a loop's own.
pub(super) fn undeclared(expression: &IdedExpr, variables: &[&str]) -> Option<String> {
    let mut known: Vec<String> = variables.iter().map(|name| (*name).to_owned()).collect();
    search(expression, &mut known)
}

fn search(expression: &IdedExpr, known: &mut Vec<String>) -> Option<String> {
    match &expression.expr {
        Expr::Ident(name) => {
            let found = name.starts_with('@')
                || name.starts_with("__")
                || TYPES.contains(&name.as_str())
                || known.iter().any(|one| one == name);
            (!found).then(|| name.clone())
        }
        // Functions are grouped by names before a dot: `sets.contains`, `optional.of`.
        Expr::Call(call) => {
            let group = call.target.as_ref().is_some_and(|target| {
                matches!(&target.expr, Expr::Ident(name)
                    if matches!(name.as_str(), "sets" | "optional" | "math" | "ip" | "base64" | "format" | "lists" | "strings" | "cel"))
            });
            let target = call.target.as_ref().filter(|_| !group);
            target
                .and_then(|target| search(target, known))
                .or_else(|| call.args.iter().find_map(|argument| search(argument, known)))
        }
        Expr::Comprehension(one) => {
            if let Some(found) =
                search(&one.iter_range, known).or_else(|| search(&one.accu_init, known))
            {
                return Some(found);
            }
            let length = known.len();
            known.push(one.iter_var.clone());
            known.extend(one.iter_var2.clone());
            known.push(one.accu_var.clone());
            let found = [&one.loop_cond, &one.loop_step, &one.result]
                .into_iter()
                .find_map(|part| search(part, known));
            known.truncate(length);
            found
        }
        _ => {
            let mut parts = Vec::new();
            each(expression, &mut |part, _| parts.push(part));
            parts.into_iter().find_map(|part| search(part, known))
        }
    }
}

/// Returns the size of the largest list, map or text in a value.
pub(super) fn longest(value: &Value) -> u64 {
    measure(value, 0)
}

fn measure(value: &Value, depth: usize) -> u64 {
    if depth > MAX_DEPTH {
        return u64::MAX;
    }
    match value {
        Value::List(list) => {
            let inner = list.iter().map(|one| measure(one, depth + 1)).max().unwrap_or(0);
            inner.max(list.len() as u64)
        }
        Value::Map(map) => {
            let inner = map.map.values().map(|one| measure(one, depth + 1)).max().unwrap_or(0);
            inner.max(map.map.len() as u64)
        }
        // Texts are gone over only after they were split; few are split into letters.
        Value::String(text) => (text.len() / 16) as u64,
        _ => 1,
    }
}
