//! The JSONPath dialect of kubectl and of printer columns: fields, indices, slices, wildcards,
//! recursive descent, unions and comparing filters. Missing fields find nothing.

use std::cmp::Ordering;
use std::iter::Peekable;
use std::str::Chars;

use serde_json::Value;

/// The most steps of a path.
const MAX_STEPS: usize = 64;

/// How deep filters nest, and how deep recursive descent goes.
const MAX_DEPTH: usize = 64;

/// The most values that one path finds.
const MAX_FOUND: usize = 10_000;

/// A path that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonPath {
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(String),
    Index(i64),
    Slice {
        from: Option<i64>,
        to: Option<i64>,
        by: i64,
    },
    Wildcard,
    /// Everything at and below.
    Descend,
    Union(Vec<Step>),
    Filter(Box<Filter>),
}

#[derive(Clone, Debug, PartialEq)]
struct Filter {
    left: Operand,
    comparison: Option<(Comparison, Operand)>,
}

#[derive(Clone, Debug, PartialEq)]
enum Operand {
    /// A path from the element.
    Element(JsonPath),
    /// A path from the whole object.
    Root(JsonPath),
    Literal(Value),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl JsonPath {
    /// Reads a path: `.spec.replicas`, `.status.conditions[?(@.type=="Ready")].status`.
    ///
    /// # Errors
    /// What cannot be read, as a fragment.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut reader = Reader { text, chars: text.chars().peekable(), depth: 0 };
        let path = reader.path(|_| false)?;
        match reader.chars.peek() {
            Some(other) => Err(format!("unexpected {other:?} in the path {text:?}")),
            None => Ok(path),
        }
    }

    /// Returns the values that the path leads to, in their order.
    pub fn find<'a>(&self, root: &'a Value) -> Vec<&'a Value> {
        self.find_from(root, root)
    }

    fn find_from<'a>(&self, root: &'a Value, start: &'a Value) -> Vec<&'a Value> {
        let mut current = vec![start];
        for step in &self.steps {
            let mut next = Vec::new();
            for value in current {
                step.take(root, value, &mut next);
                next.truncate(MAX_FOUND);
            }
            current = next;
        }
        current
    }

    /// Returns the fields of a path that has nothing but fields.
    pub fn fields(&self) -> Option<Vec<&str>> {
        self.steps
            .iter()
            .map(|step| match step {
                Step::Field(name) => Some(name.as_str()),
                _ => None,
            })
            .collect()
    }
}

impl Step {
    fn take<'a>(&self, root: &'a Value, value: &'a Value, found: &mut Vec<&'a Value>) {
        match self {
            Self::Field(name) => found.extend(value.get(name)),
            Self::Index(index) => {
                let Value::Array(list) = value else { return };
                found.extend(position(*index, list.len()).and_then(|at| list.get(at)));
            }
            Self::Slice { from, to, by } => {
                let Value::Array(list) = value else { return };
                let bound = |at: i64| {
                    let length = i64::try_from(list.len()).unwrap_or(i64::MAX);
                    let at = if at < 0 { at + length } else { at };
                    usize::try_from(at.clamp(0, length)).unwrap_or(0)
                };
                let (from, to) = (bound(from.unwrap_or(0)), to.map_or(list.len(), bound));
                let by = usize::try_from(*by).unwrap_or(1).max(1);
                found.extend(list.iter().take(to).skip(from).step_by(by));
            }
            Self::Wildcard => match value {
                Value::Array(list) => found.extend(list),
                Value::Object(map) => found.extend(map.values()),
                _ => {}
            },
            Self::Descend => descend(value, found, 0),
            Self::Union(steps) => steps.iter().for_each(|step| step.take(root, value, found)),
            Self::Filter(filter) => {
                let elements: Vec<&Value> = match value {
                    Value::Array(list) => list.iter().collect(),
                    Value::Object(map) => map.values().collect(),
                    _ => return,
                };
                found.extend(elements.into_iter().filter(|one| filter.holds(root, one)));
            }
        }
    }
}

impl Filter {
    fn holds(&self, root: &Value, element: &Value) -> bool {
        let left = self.left.value(root, element);
        let Some((comparison, right)) = &self.comparison else { return left.is_some() };
        let (Some(left), Some(right)) = (left, right.value(root, element)) else { return false };
        let order = match (&left, &right) {
            (Value::Number(a), Value::Number(b)) => a.as_f64().partial_cmp(&b.as_f64()),
            (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
            (a, b) => (a == b).then_some(Ordering::Equal),
        };
        match comparison {
            Comparison::Equal => order == Some(Ordering::Equal),
            Comparison::NotEqual => order != Some(Ordering::Equal),
            Comparison::Less => order == Some(Ordering::Less),
            Comparison::LessOrEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
            Comparison::Greater => order == Some(Ordering::Greater),
            Comparison::GreaterOrEqual => {
                matches!(order, Some(Ordering::Greater | Ordering::Equal))
            }
        }
    }
}

impl Operand {
    fn value(&self, root: &Value, element: &Value) -> Option<Value> {
        match self {
            Self::Element(path) => path.find_from(root, element).first().map(|one| (*one).clone()),
            Self::Root(path) => path.find(root).first().map(|one| (*one).clone()),
            Self::Literal(value) => Some(value.clone()),
        }
    }
}

fn position(index: i64, length: usize) -> Option<usize> {
    let length = i64::try_from(length).ok()?;
    usize::try_from(if index < 0 { index + length } else { index }).ok()
}

fn descend<'a>(value: &'a Value, found: &mut Vec<&'a Value>, depth: usize) {
    if depth > MAX_DEPTH || found.len() >= MAX_FOUND {
        return;
    }
    found.push(value);
    match value {
        Value::Array(list) => list.iter().for_each(|one| descend(one, found, depth + 1)),
        Value::Object(map) => map.values().for_each(|one| descend(one, found, depth + 1)),
        _ => {}
    }
}

struct Reader<'a> {
    text: &'a str,
    chars: Peekable<Chars<'a>>,
    depth: usize,
}

impl Reader<'_> {
    fn fail<T>(&self, why: &str) -> Result<T, String> {
        Err(format!("{why} in the path {:?}", self.text))
    }

    fn path(&mut self, ends: fn(char) -> bool) -> Result<JsonPath, String> {
        let mut steps = Vec::new();
        if self.chars.peek() == Some(&'$') {
            self.chars.next();
        }
        while let Some(&next) = self.chars.peek() {
            if ends(next) {
                break;
            }
            if steps.len() >= MAX_STEPS {
                return self.fail("too many steps");
            }
            match next {
                '.' => {
                    self.chars.next();
                    match self.chars.peek() {
                        Some('.') => {
                            self.chars.next();
                            steps.push(Step::Descend);
                            if self.chars.peek() != Some(&'[') {
                                steps.push(self.name(ends)?);
                            }
                        }
                        Some('[') => {}
                        _ => steps.push(self.name(ends)?),
                    }
                }
                '[' => {
                    self.chars.next();
                    steps.push(self.brackets()?);
                }
                _ => return self.fail(&format!("unexpected {next:?}")),
            }
        }
        Ok(JsonPath { steps })
    }

    /// Reads the name of a field; a backslash keeps the next character as it is.
    fn name(&mut self, ends: fn(char) -> bool) -> Result<Step, String> {
        let mut name = String::new();
        while let Some(&next) = self.chars.peek() {
            match next {
                '\\' => {
                    self.chars.next();
                    name.extend(self.chars.next());
                }
                '.' | '[' | ']' => break,
                _ if ends(next) => break,
                _ => {
                    name.push(next);
                    self.chars.next();
                }
            }
        }
        match name.as_str() {
            "" => self.fail("a field without a name"),
            "*" => Ok(Step::Wildcard),
            _ => Ok(Step::Field(name)),
        }
    }

    fn brackets(&mut self) -> Result<Step, String> {
        if self.chars.peek() == Some(&'?') {
            self.chars.next();
            return self.filter();
        }
        let mut members = Vec::new();
        loop {
            self.skip_spaces();
            members.push(self.member()?);
            self.skip_spaces();
            match self.chars.next() {
                Some(',') if members.len() < MAX_STEPS => {}
                Some(']') => break,
                _ => return self.fail("unterminated array"),
            }
        }
        let first = members.swap_remove(0);
        if members.is_empty() {
            return Ok(first);
        }
        // The first was exchanged with the last: put them back in their order.
        members.rotate_right(1);
        let mut all = vec![first];
        all.append(&mut members);
        Ok(Step::Union(all))
    }

    fn member(&mut self) -> Result<Step, String> {
        match self.chars.peek() {
            Some('*') => {
                self.chars.next();
                Ok(Step::Wildcard)
            }
            Some('\'' | '"') => Ok(Step::Field(self.quoted()?)),
            _ => {
                let from = self.integer()?;
                if self.chars.peek() != Some(&':') {
                    return match from {
                        Some(index) => Ok(Step::Index(index)),
                        None => self.fail("invalid array index"),
                    };
                }
                self.chars.next();
                let to = self.integer()?;
                let by = if self.chars.peek() == Some(&':') {
                    self.chars.next();
                    self.integer()?.unwrap_or(1)
                } else {
                    1
                };
                if by < 1 {
                    return self.fail("a step must be at least 1");
                }
                Ok(Step::Slice { from, to, by })
            }
        }
    }

    fn filter(&mut self) -> Result<Step, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return self.fail("filters nest too deep");
        }
        self.expect('(')?;
        let left = self.operand()?;
        self.skip_spaces();
        let comparison = match self.chars.peek() {
            Some(')') => None,
            _ => {
                let comparison = self.comparison()?;
                Some((comparison, self.operand()?))
            }
        };
        self.skip_spaces();
        self.expect(')')?;
        self.expect(']')?;
        self.depth -= 1;
        Ok(Step::Filter(Box::new(Filter { left, comparison })))
    }

    fn operand(&mut self) -> Result<Operand, String> {
        self.skip_spaces();
        let ends = |c: char| c.is_whitespace() || matches!(c, '=' | '!' | '<' | '>' | ')');
        match self.chars.peek() {
            Some('@') => {
                self.chars.next();
                Ok(Operand::Element(self.path(ends)?))
            }
            Some('$') => Ok(Operand::Root(self.path(ends)?)),
            Some('.') => Ok(Operand::Element(self.path(ends)?)),
            Some('\'' | '"') => Ok(Operand::Literal(Value::String(self.quoted()?))),
            _ => {
                let mut word = String::new();
                while let Some(next) = self.chars.next_if(|c| !ends(*c)) {
                    word.push(next);
                }
                match serde_json::from_str(&word) {
                    Ok(value @ (Value::Bool(_) | Value::Number(_))) => Ok(Operand::Literal(value)),
                    _ => self.fail(&format!("unrecognized {word:?}")),
                }
            }
        }
    }

    fn comparison(&mut self) -> Result<Comparison, String> {
        let first = self.chars.next();
        let equal = self.chars.next_if_eq(&'=').is_some();
        Ok(match (first, equal) {
            (Some('='), true) => Comparison::Equal,
            (Some('!'), true) => Comparison::NotEqual,
            (Some('<'), false) => Comparison::Less,
            (Some('<'), true) => Comparison::LessOrEqual,
            (Some('>'), false) => Comparison::Greater,
            (Some('>'), true) => Comparison::GreaterOrEqual,
            _ => return self.fail("unrecognized comparison"),
        })
    }

    fn quoted(&mut self) -> Result<String, String> {
        let mut text = String::new();
        let Some(quote) = self.chars.next() else { return self.fail("unterminated quoted string") };
        loop {
            match self.chars.next() {
                Some('\\') => text.extend(self.chars.next()),
                Some(next) if next == quote => return Ok(text),
                Some(next) => text.push(next),
                None => return self.fail("unterminated quoted string"),
            }
        }
    }

    fn integer(&mut self) -> Result<Option<i64>, String> {
        let mut digits = String::new();
        while let Some(next) = self.chars.next_if(|c| c.is_ascii_digit() || *c == '-') {
            digits.push(next);
        }
        if digits.is_empty() {
            return Ok(None);
        }
        match digits.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => self.fail("invalid array index"),
        }
    }

    fn expect(&mut self, wanted: char) -> Result<(), String> {
        if self.chars.next() == Some(wanted) {
            return Ok(());
        }
        self.fail(&format!("{wanted:?} is missing"))
    }

    fn skip_spaces(&mut self) {
        while self.chars.next_if(|c| c.is_whitespace()).is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_find_what_kubectl_finds() {
        let object = json!({
            "metadata": {"annotations": {"a.b/c": "x"}},
            "spec": {"n": 3, "list": [{"k": "a", "v": 1}, {"k": "b", "v": 2}, {"k": "c"}]},
        });
        for (path, expected) in [
            (".spec.n", json!([3])),
            ("$.spec.n", json!([3])),
            (".spec.none.deeper", json!([])),
            (".metadata.annotations.a\\.b/c", json!(["x"])),
            (".metadata.annotations['a.b/c']", json!(["x"])),
            (".spec.list[0].k", json!(["a"])),
            (".spec.list[-1].k", json!(["c"])),
            (".spec.list[7].k", json!([])),
            (".spec.list[0:2].k", json!(["a", "b"])),
            (".spec.list[-2:].k", json!(["b", "c"])),
            (".spec.list[0,2,1].k", json!(["a", "c", "b"])),
            (".spec.list[*].v", json!([1, 2])),
            (".spec.list.*.v", json!([1, 2])),
            ("..v", json!([1, 2])),
            (".spec.list[?(@.k==\"b\")].v", json!([2])),
            (".spec.list[?(@.k == 'b')].v", json!([2])),
            (".spec.list[?(@.v)].k", json!(["a", "b"])),
            (".spec.list[?(@.v<2)].k", json!(["a"])),
            (".spec.list[?(@.v>=2)].k", json!(["b"])),
            (".spec.list[?(@.k!=\"b\")].k", json!(["a", "c"])),
        ] {
            let found = JsonPath::parse(path).unwrap_or_else(|error| panic!("{path}: {error}"));
            assert_eq!(json!(found.find(&object)), expected, "{path}");
        }
    }

    #[test]
    fn what_is_no_path_is_refused_with_the_reason() {
        for (path, expected) in [
            ("spec", "unexpected 's' in the path \"spec\""),
            (".", "a field without a name in the path \".\""),
            (".a[", "invalid array index in the path \".a[\""),
            (".a[0", "unterminated array in the path \".a[0\""),
            (".a['b", "unterminated quoted string in the path \".a['b\""),
            (".a[?(@.b=1)]", "unrecognized comparison in the path \".a[?(@.b=1)]\""),
            (".a[?(@.b==x)]", "unrecognized \"x\" in the path \".a[?(@.b==x)]\""),
        ] {
            assert_eq!(JsonPath::parse(path).unwrap_err(), expected);
        }
    }
}
