//! The rules of a schema (`x-kubernetes-validations`), compiled with the definition and evaluated
//! with every write.

use loopline_schema::{Cause, FieldError};
use serde_json::{Value, json};

use super::jsonpath::JsonPath;
use super::ratchet::counterpart;
use crate::cel::{self, Program};

/// The most rules of a version.
const MAX_RULES: usize = 1000;

/// How deep a schema is searched for rules.
const MAX_DEPTH: usize = 64;

/// The longest message that an expression makes.
const MAX_MESSAGE_CHARS: usize = 5 * 1024;

/// The rules at one place of a schema and below.
#[derive(Debug, Default)]
pub(super) struct Rules {
    schema: Value,
    here: Vec<Rule>,
    fields: Vec<(String, Rules)>,
    items: Option<Box<Rules>>,
    values: Option<Box<Rules>>,
}

#[derive(Debug)]
struct Rule {
    program: Program,
    message: Option<String>,
    message_expression: Option<Program>,
    cause: Cause,
    field_path: String,
    /// It compares with the value before, and is skipped where there is none.
    transition: bool,
    /// The value before may be missing.
    optional_old: bool,
}

impl Rules {
    /// Compiles the rules of a schema that stands at `path`.
    pub(super) fn compile(schema: &Value, path: &str) -> Result<Self, Vec<FieldError>> {
        let mut compiler = Compiler { errors: Vec::new(), count: 0 };
        let rules = compiler.compile(schema, path, true, 0).unwrap_or_default();
        if compiler.errors.is_empty() { Ok(rules) } else { Err(compiler.errors) }
    }

    /// Returns whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.here.is_empty()
            && self.fields.is_empty()
            && self.items.is_none()
            && self.values.is_none()
    }

    /// Checks an object, which was `live` before.
    pub(super) fn check(&self, object: &Value, live: Option<&Value>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        self.check_at("", object, live, &mut errors);
        errors
    }

    fn check_at(
        &self,
        path: &str,
        value: &Value,
        old: Option<&Value>,
        errors: &mut Vec<FieldError>,
    ) {
        if value.is_null() {
            return;
        }
        if !self.here.is_empty() {
            let this = cel::from_schema(value, &self.schema);
            let before = old.map(|old| cel::from_schema(old, &self.schema));
            for rule in &self.here {
                // What did not change is not judged again, but for rules about changes.
                let unchanged = old == Some(value) && !rule.transition;
                if unchanged || (rule.transition && !rule.optional_old && old.is_none()) {
                    continue;
                }
                errors.extend(rule.check(path, &self.schema, &this, before.as_ref()));
            }
        }
        let below = |name: &str| {
            if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
        };
        for (name, rules) in &self.fields {
            if let Some(inner) = value.get(name) {
                rules.check_at(&below(name), inner, old.and_then(|old| old.get(name)), errors);
            }
        }
        if let (Some(rules), Value::Array(list)) = (&self.items, value) {
            for (index, inner) in list.iter().enumerate() {
                let old = old.and_then(|old| counterpart(&self.schema, inner, old));
                rules.check_at(&format!("{path}[{index}]"), inner, old, errors);
            }
        }
        if let (Some(rules), Value::Object(map)) = (&self.values, value) {
            for (name, inner) in map {
                let old = old.and_then(|old| old.get(name));
                rules.check_at(&format!("{path}[{name}]"), inner, old, errors);
            }
        }
    }
}

impl Rule {
    fn check(
        &self,
        path: &str,
        schema: &Value,
        this: &cel::Value,
        before: Option<&cel::Value>,
    ) -> Option<FieldError> {
        let old = match (self.optional_old, before) {
            (true, Some(before)) => Some(cel::optional(before.clone())),
            (true, None) => Some(cel::none()),
            (false, before) => before.cloned(),
        };
        let mut bindings = vec![("self", this.clone())];
        bindings.extend(old.map(|old| ("oldSelf", old)));
        let field = match (path, self.field_path.as_str()) {
            ("", "") => "<nil>".to_owned(),
            ("", below) => below.trim_start_matches('.').to_owned(),
            (path, below) => format!("{path}{below}"),
        };
        let kind = match schema["type"].as_str() {
            Some(kind) => json!(kind),
            None => json!(""),
        };
        let named = || match &self.message {
            Some(message) => message.trim().to_owned(),
            None => self.program.text().trim().to_owned(),
        };
        match self.program.evaluate(&bindings) {
            Ok(cel::Value::Bool(true)) => None,
            Ok(cel::Value::Bool(false)) => {
                let detail = self.told(&bindings).unwrap_or_else(|| match &self.message {
                    Some(message) => message.trim().to_owned(),
                    None => format!("failed rule: {}", self.program.text().trim()),
                });
                Some(FieldError::new(self.cause, field, kind, detail))
            }
            Ok(_) => {
                let detail = format!("cel expression evaluated to no bool: {}", named());
                Some(FieldError::new(Cause::Invalid, field, kind, detail))
            }
            Err(error) => {
                let detail = format!("{error} evaluating rule: {}", named());
                Some(FieldError::new(Cause::Invalid, field, kind, detail))
            }
        }
    }

    /// Returns what the expression for the message says, if it says one line.
    fn told(&self, bindings: &[(&str, cel::Value)]) -> Option<String> {
        let text = match self.message_expression.as_ref()?.evaluate(bindings) {
            Ok(cel::Value::String(text)) => text.trim().to_owned(),
            // The message that was written down stands in for one that cannot be made.
            Ok(_) | Err(_) => return None,
        };
        let fits =
            !text.is_empty() && !text.contains('\n') && text.chars().count() <= MAX_MESSAGE_CHARS;
        fits.then_some(text)
    }
}

struct Compiler {
    errors: Vec<FieldError>,
    count: usize,
}

impl Compiler {
    fn invalid(&mut self, path: String, value: &Value, detail: String) {
        self.errors.push(FieldError::new(Cause::Invalid, path, value.clone(), detail));
    }

    /// Returns the rules of a schema, if it has any; `correlated` says whether the value before
    /// can be found.
    fn compile(
        &mut self,
        schema: &Value,
        path: &str,
        correlated: bool,
        depth: usize,
    ) -> Option<Rules> {
        if depth > MAX_DEPTH {
            return None;
        }
        let mut rules = Rules { schema: schema.clone(), ..Rules::default() };
        let given = schema["x-kubernetes-validations"].as_array();
        for (index, rule) in given.into_iter().flatten().enumerate() {
            let path = format!("{path}.x-kubernetes-validations[{index}]");
            rules.here.extend(self.rule(rule, &path, correlated));
        }
        for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.properties[{name}]");
            let found = self.compile(inner, &path, correlated, depth + 1);
            rules.fields.extend(found.map(|found| (name.clone(), found)));
        }
        if let Some(items) = schema.get("items") {
            let correlated = correlated && schema["x-kubernetes-list-type"] == "map";
            let found = self.compile(items, &format!("{path}.items"), correlated, depth + 1);
            rules.items = found.map(Box::new);
        }
        if let Some(values) = schema.get("additionalProperties").filter(|one| one.is_object()) {
            let path = format!("{path}.additionalProperties");
            rules.values = self.compile(values, &path, correlated, depth + 1).map(Box::new);
        }
        (!rules.is_empty()).then_some(rules)
    }

    fn rule(&mut self, rule: &Value, path: &str, correlated: bool) -> Option<Rule> {
        self.count += 1;
        if self.count > MAX_RULES {
            let detail = format!("a version has at most {MAX_RULES} rules");
            self.errors.push(FieldError::new(Cause::Forbidden, path, Value::Null, detail));
            return None;
        }
        let text = |key: &str| rule[key].as_str().filter(|text| !text.trim().is_empty());
        let Some(expression) = text("rule") else {
            let error = FieldError::new(
                Cause::Required,
                format!("{path}.rule"),
                Value::Null,
                "rule is not specified",
            );
            self.errors.push(error);
            return None;
        };
        let program = self.program(expression, &format!("{path}.rule"))?;
        let message_expression = match text("messageExpression") {
            Some(text) => Some(self.program(text, &format!("{path}.messageExpression"))?),
            None => None,
        };
        let transition = program.names("oldSelf");
        if transition && !correlated {
            let detail = "oldSelf cannot be used on the uncorrelatable portion of the schema";
            self.invalid(format!("{path}.rule"), &rule["rule"], detail.to_owned());
            return None;
        }
        let cause = match text("reason") {
            None | Some("FieldValueInvalid") => Cause::Invalid,
            Some("FieldValueForbidden") => Cause::Forbidden,
            Some("FieldValueRequired") => Cause::Required,
            Some("FieldValueDuplicate") => Cause::Duplicate,
            Some(_) => {
                let known = "supported values: \"FieldValueDuplicate\", \"FieldValueForbidden\", \
                             \"FieldValueInvalid\", \"FieldValueRequired\"";
                let path = format!("{path}.reason");
                self.errors.push(FieldError::new(
                    Cause::NotSupported,
                    path,
                    rule["reason"].clone(),
                    known,
                ));
                return None;
            }
        };
        let field_path = text("fieldPath").unwrap_or_default();
        if !field_path.is_empty()
            && !JsonPath::parse(field_path).is_ok_and(|path| path.fields().is_some())
        {
            let detail = "must be a path of fields below the place of the rule".to_owned();
            self.invalid(format!("{path}.fieldPath"), &rule["fieldPath"], detail);
            return None;
        }
        Some(Rule {
            program,
            message: text("message").map(ToOwned::to_owned),
            message_expression,
            cause,
            field_path: field_path.to_owned(),
            transition,
            optional_old: rule["optionalOldSelf"] == true,
        })
    }

    fn program(&mut self, text: &str, path: &str) -> Option<Program> {
        match Program::compile(text, &["self", "oldSelf"]) {
            Ok(program) => Some(program),
            Err(error) => {
                self.invalid(path.to_owned(), &json!(text), error.to_string());
                None
            }
        }
    }
}
