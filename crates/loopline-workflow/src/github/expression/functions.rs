//! The built-in functions. They evaluate their own parameters, some of them only when needed.

use std::borrow::Cow;
use std::sync::Arc;

use super::error::EvalError;
use super::evaluate::Evaluator;
use super::json::{STRING_OVERHEAD_BYTES, Writer, from_json_text};
use super::ordinal::{contains_ignore_case, ends_with_ignore_case, starts_with_ignore_case};
use super::tree::NodeId;
use super::value::Value;

/// How many parameters a function without a limit of its own may have.
const MAX_PARAMETERS: usize = 255;

/// Returns the fewest and the most parameters of a built-in function.
pub(super) fn arity(name: &str) -> Option<(usize, usize)> {
    Some(match Builtin::find(name)? {
        Builtin::Case => (3, MAX_PARAMETERS),
        Builtin::Contains | Builtin::EndsWith | Builtin::StartsWith => (2, 2),
        Builtin::Format => (1, MAX_PARAMETERS),
        Builtin::FromJson | Builtin::ToJson => (1, 1),
        Builtin::Join => (1, 2),
    })
}

/// Returns the fewest and the most parameters of a function of the surroundings.
pub(super) fn surrounding_arity(name: &str) -> Option<(usize, usize)> {
    if name.eq_ignore_ascii_case("always") || name.eq_ignore_ascii_case("cancelled") {
        Some((0, 0))
    } else if is_status_function(name) {
        // At the level of a job they take the names of jobs.
        Some((0, usize::MAX))
    } else if name.eq_ignore_ascii_case("hashFiles") {
        Some((1, MAX_PARAMETERS))
    } else {
        None
    }
}

/// Returns whether a function tells of the state of the run.
pub(super) fn is_status_function(name: &str) -> bool {
    ["always", "cancelled", "failure", "success"].iter().any(|it| it.eq_ignore_ascii_case(name))
}

#[derive(Clone, Copy)]
enum Builtin {
    Case,
    Contains,
    EndsWith,
    Format,
    FromJson,
    Join,
    StartsWith,
    ToJson,
}

impl Builtin {
    fn find(name: &str) -> Option<Self> {
        const NAMES: [(&str, Builtin); 8] = [
            ("case", Builtin::Case),
            ("contains", Builtin::Contains),
            ("endsWith", Builtin::EndsWith),
            ("format", Builtin::Format),
            ("fromJSON", Builtin::FromJson),
            ("join", Builtin::Join),
            ("startsWith", Builtin::StartsWith),
            ("toJSON", Builtin::ToJson),
        ];
        NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, it)| *it)
    }
}

/// Calls a built-in function; `None` where the name is not one's.
pub(super) fn call(
    evaluator: &mut Evaluator<'_>,
    name: &str,
    arguments: &[NodeId],
    level: usize,
) -> Result<Option<Value>, EvalError> {
    let Some(builtin) = Builtin::find(name) else { return Ok(None) };
    let mut call = Call { evaluator, arguments, level };
    Ok(Some(match builtin {
        Builtin::Case => call.case()?,
        Builtin::Contains => Value::Bool(call.contains()?),
        Builtin::EndsWith => Value::Bool(call.ends(ends_with_ignore_case)?),
        Builtin::StartsWith => Value::Bool(call.ends(starts_with_ignore_case)?),
        Builtin::Format => call.format()?,
        Builtin::FromJson => from_json_text(&call.argument(0)?.to_text())?,
        Builtin::Join => call.join()?,
        Builtin::ToJson => call.json_text()?,
    }))
}

struct Call<'a, 'b> {
    evaluator: &'a mut Evaluator<'b>,
    arguments: &'a [NodeId],
    level: usize,
}

impl Call<'_, '_> {
    /// Evaluates a parameter; the parser has counted them.
    fn argument(&mut self, index: usize) -> Result<Value, EvalError> {
        match self.arguments.get(index) {
            Some(id) => self.evaluator.node(*id, self.level),
            None => Ok(Value::Null),
        }
    }

    fn case(&mut self) -> Result<Value, EvalError> {
        let last = self.arguments.len().saturating_sub(1);
        for index in (0..last).step_by(2) {
            match self.argument(index)? {
                Value::Bool(true) => return self.argument(index + 1),
                Value::Bool(false) => {}
                _ => return Err(EvalError::CaseNotBoolean),
            }
        }
        self.argument(last)
    }

    fn contains(&mut self) -> Result<bool, EvalError> {
        let searched = self.argument(0)?;
        match &searched {
            Value::Object(_) => Ok(false),
            Value::Array(items) if items.is_empty() => Ok(false),
            Value::Array(items) => {
                let item = self.argument(1)?;
                Ok(items.iter().any(|it| item.loose_eq(it)))
            }
            primitive => {
                let part = self.argument(1)?;
                Ok(part.kind().is_primitive()
                    && contains_ignore_case(&primitive.to_text(), &part.to_text()))
            }
        }
    }

    fn ends(&mut self, test: fn(&str, &str) -> bool) -> Result<bool, EvalError> {
        let text = self.argument(0)?;
        if !text.kind().is_primitive() {
            return Ok(false);
        }
        let part = self.argument(1)?;
        Ok(part.kind().is_primitive() && test(&text.to_text(), &part.to_text()))
    }

    fn join(&mut self) -> Result<Value, EvalError> {
        let items = match self.argument(0)? {
            Value::Array(items) => items,
            Value::Object(_) => return Ok(Value::from("")),
            primitive => return Ok(Value::String(primitive.into_text())),
        };
        let mut text = Text::new(self.evaluator.limit());
        let mut separator = None;
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                let separator = match &separator {
                    Some(known) => known,
                    None => separator.insert(self.separator()?),
                };
                text.push(separator);
            }
            text.push(&item.to_text());
            if text.exceeded {
                return Err(self.evaluator.exceeded());
            }
        }
        Ok(Value::from(text.text))
    }

    fn separator(&mut self) -> Result<Arc<str>, EvalError> {
        if self.arguments.len() > 1 {
            let separator = self.argument(1)?;
            if separator.kind().is_primitive() {
                return Ok(separator.into_text());
            }
        }
        Ok(",".into())
    }

    fn json_text(&mut self) -> Result<Value, EvalError> {
        let value = self.argument(0)?;
        let mut writer = Writer::new(self.evaluator.limit());
        if writer.value(&value, 0) {
            Ok(Value::from(writer.text))
        } else {
            Err(self.evaluator.exceeded())
        }
    }

    fn format(&mut self) -> Result<Value, EvalError> {
        let format = self.argument(0)?.into_text();
        // The whole format is read before any argument is evaluated, so that its errors come first.
        let pieces = read_format(&format, self.arguments.len().saturating_sub(1))?;
        let mut values: Vec<Option<Value>> = vec![None; self.arguments.len()];
        let mut text = Text::new(self.evaluator.limit());
        for piece in pieces {
            match piece {
                Piece::Text(literal) => text.push(literal),
                Piece::Argument { index, specifiers } => {
                    if values[index].is_none() {
                        values[index] = Some(self.argument(index)?);
                    }
                    let value = values[index].as_ref().unwrap_or(&Value::Null);
                    if !specifiers.is_empty() {
                        let specifiers = Arc::from(&*specifiers);
                        return Err(EvalError::InvalidFormatSpecifiers {
                            specifiers,
                            kind: value.kind(),
                        });
                    }
                    text.push(&value.to_text());
                }
            }
            if text.exceeded {
                return Err(self.evaluator.exceeded());
            }
        }
        Ok(Value::from(text.text))
    }
}

/// Text that grows up to a limit.
struct Text {
    text: String,
    bytes: usize,
    limit: usize,
    exceeded: bool,
}

impl Text {
    fn new(limit: usize) -> Self {
        Self { text: String::new(), bytes: 0, limit, exceeded: false }
    }

    fn push(&mut self, part: &str) {
        self.bytes = self.bytes.saturating_add(STRING_OVERHEAD_BYTES + part.len() * 2);
        self.exceeded |= self.bytes > self.limit;
        if !self.exceeded {
            self.text.push_str(part);
        }
    }
}

enum Piece<'a> {
    Text(&'a str),
    /// A parameter of the call, the format itself being the first.
    Argument {
        index: usize,
        specifiers: Cow<'a, str>,
    },
}

fn read_format(format: &Arc<str>, count: usize) -> Result<Vec<Piece<'_>>, EvalError> {
    let invalid = || EvalError::InvalidFormat { format: Arc::clone(format) };
    let mut pieces = Vec::new();
    let mut rest: &str = format;
    while let Some(brace) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at(brace);
        let doubled = from.as_bytes().get(1) == Some(&from.as_bytes()[0]);
        if doubled {
            pieces.push(Piece::Text(&rest[..=brace]));
            rest = &from[2..];
            continue;
        }
        let inner = from.strip_prefix('{').ok_or_else(invalid)?;
        let digits = inner.bytes().take_while(u8::is_ascii_digit).count();
        let index: u8 = inner[..digits].parse().map_err(|_| invalid())?;
        let (specifiers, after) = read_specifiers(&inner[digits..]).ok_or_else(invalid)?;
        if usize::from(index) >= count {
            return Err(EvalError::FormatArgumentMissing { format: Arc::clone(format) });
        }
        if !before.is_empty() {
            pieces.push(Piece::Text(before));
        }
        pieces.push(Piece::Argument { index: usize::from(index) + 1, specifiers });
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    Ok(pieces)
}

/// Reads what stands between an argument's number and its closing brace.
fn read_specifiers(text: &str) -> Option<(Cow<'_, str>, &str)> {
    if let Some(rest) = text.strip_prefix('}') {
        return Some((Cow::Borrowed(""), rest));
    }
    let text = text.strip_prefix(':')?;
    let mut specifiers = String::new();
    let mut rest = text;
    loop {
        let (before, after) = rest.split_once('}')?;
        specifiers.push_str(before);
        match after.strip_prefix('}') {
            Some(more) => {
                specifiers.push('}');
                rest = more;
            }
            None => return Some((Cow::Owned(specifiers), after)),
        }
    }
}
