//! Reads a YAML tree as template tokens, the way a schema definition says.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use loopline_source::yaml::{self, Data, Entry, Node};
use loopline_source::{SourceFile, Span};

use super::allowed::Allowed;
use super::error::{ErrorKind, Errors};
use super::scalar;
use super::text;
use super::token::{Kind, Pair, Token};
use crate::github::expression::format_number;
use crate::github::schema::{DefinitionId, Schema, Shape};

/// Bounds and choices for reading; [`Limits::github`] has GitHub's own.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How many characters a file may have, in UTF-16 units.
    pub file_size: usize,
    /// How deep sequences and mappings may nest.
    pub depth: usize,
    /// How many bytes the tokens may take, as GitHub estimates them.
    pub result_size: usize,
    /// How many values may be read.
    pub events: usize,
    /// Whether anchors and aliases are understood.
    pub anchors: bool,
    /// Whether `background`, `wait`, `wait-all`, `cancel` and `parallel` are understood.
    pub background_steps: bool,
}

impl Limits {
    /// Returns the limits GitHub's servers set.
    pub const fn github() -> Self {
        Self {
            file_size: 1024 * 1024,
            depth: 50,
            result_size: 10 * 1024 * 1024,
            events: 1_000_000,
            anchors: true,
            background_steps: true,
        }
    }
}

/// GitHub's depth, and room for files larger than its servers take.
impl Default for Limits {
    fn default() -> Self {
        Self {
            file_size: SourceFile::MAX_BYTES,
            result_size: 512 * 1024 * 1024,
            events: yaml::Limits::NODES,
            ..Self::github()
        }
    }
}

/// Memory used so far, as GitHub estimates it; shared by a workflow and those it calls.
#[derive(Clone, Debug, Default)]
pub struct Usage {
    bytes: usize,
    events: usize,
    /// The files counted, without regard to case.
    files: HashSet<String>,
}

/// What GitHub counts for any token.
const TOKEN_BYTES: usize = 24;
/// What GitHub counts for any string, beside two bytes for each UTF-16 unit.
const STRING_BYTES: usize = 26;

/// Keys of the background-step language.
const BACKGROUND_KEYS: [&str; 5] = ["background", "wait", "wait-all", "cancel", "parallel"];

/// Reads `file` as the definition `root`. What is wrong goes to `errors`; the token is what
/// could be read in spite of it.
pub fn read(
    file: &SourceFile,
    schema: &'static Schema,
    root: &str,
    limits: &Limits,
    usage: &mut Usage,
    errors: &mut Errors,
) -> Option<Token> {
    let size = file.text().len();
    if size > limits.file_size && file.text().encode_utf16().count() > limits.file_size {
        errors.add(file, None, ErrorKind::FileTooLarge(limits.file_size));
        return None;
    }
    let bounds =
        yaml::Limits { depth: limits.depth.max(yaml::Limits::DEPTH), nodes: limits.events };
    let parsed = yaml::parse(file, &bounds);
    let broken = parsed.error.is_some();
    if let Some(error) = parsed.error {
        let kind = match error.kind {
            yaml::ErrorKind::TooDeep(_) => ErrorKind::TooDeep,
            yaml::ErrorKind::TooManyNodes(_) => ErrorKind::TooManyEvents,
            other => ErrorKind::Yaml(other),
        };
        errors.add(file, Some(error.span), kind);
    }
    let mut documents = parsed.documents.into_iter();
    let Some(document) = documents.next() else {
        if !broken {
            errors.add(file, None, ErrorKind::Empty);
        }
        return None;
    };
    let several = documents.next().is_some();
    // What follows a syntax error is missing, not wrong: only the syntax error is worth telling.
    let mut hidden = Errors::default();
    let mut reader = Reader {
        file,
        schema,
        limits,
        usage,
        errors: if broken { &mut hidden } else { errors },
        depth: 0,
        scopes: vec![Arc::new(Allowed::default())],
        cache: HashMap::new(),
    };
    let root = reader.enter(0, schema.find(root)?);
    let counted = reader.count_file();
    match counted.and_then(|()| reader.value(&document.root, root)) {
        Ok(token) => {
            if several {
                reader.errors.add(file, None, ErrorKind::SeveralDocuments);
            }
            Some(token)
        }
        Err(kind) => {
            reader.errors.add(file, None, kind);
            None
        }
    }
}

/// A definition and the contexts allowed where it is used.
#[derive(Clone, Copy)]
struct Definition {
    id: DefinitionId,
    scope: usize,
}

struct Reader<'a> {
    file: &'a SourceFile,
    schema: &'static Schema,
    limits: &'a Limits,
    usage: &'a mut Usage,
    errors: &'a mut Errors,
    depth: usize,
    /// The distinct sets of allowed contexts met so far; the first is empty.
    scopes: Vec<Arc<Allowed>>,
    /// The set that results from using a definition inside a set.
    cache: HashMap<(usize, DefinitionId), usize>,
}

impl Reader<'_> {
    /// Returns `id` as used inside `scope`, with the contexts it adds.
    fn enter(&mut self, scope: usize, id: DefinitionId) -> Definition {
        let added = &self.schema.get(id).context;
        if added.is_empty() {
            return Definition { id, scope };
        }
        if let Some(scope) = self.cache.get(&(scope, id)) {
            return Definition { id, scope: *scope };
        }
        let allowed = Arc::new(self.scopes[scope].with(added));
        self.scopes.push(allowed);
        let inner = self.scopes.len() - 1;
        self.cache.insert((scope, id), inner);
        Definition { id, scope: inner }
    }

    fn error(&mut self, span: Span, kind: ErrorKind) {
        self.errors.add(self.file, Some(span), kind);
    }

    fn event(&mut self) -> Result<(), ErrorKind> {
        self.usage.events += 1;
        if self.usage.events > self.limits.events {
            return Err(ErrorKind::TooManyEvents);
        }
        Ok(())
    }

    fn count(&mut self, bytes: usize) -> Result<(), ErrorKind> {
        self.usage.bytes = self.usage.bytes.saturating_add(bytes);
        if self.usage.bytes > self.limits.result_size {
            return Err(ErrorKind::TooLarge);
        }
        Ok(())
    }

    /// Counts the file's name, once.
    fn count_file(&mut self) -> Result<(), ErrorKind> {
        let name = self.file.name();
        if self.usage.files.insert(name.to_uppercase()) {
            self.count(STRING_BYTES + 2 * utf16_length(name))?;
        }
        Ok(())
    }

    fn count_scalar(&mut self, token: &Token) -> Result<(), ErrorKind> {
        let text = match &token.kind {
            Kind::String(text) => text,
            Kind::Expression(expression) => &expression.text,
            _ => return self.count(TOKEN_BYTES),
        };
        self.count(TOKEN_BYTES + STRING_BYTES + 2 * utf16_length(text))
    }

    fn descend(&mut self) -> Result<(), ErrorKind> {
        if self.depth >= self.limits.depth {
            return Err(ErrorKind::TooDeep);
        }
        self.depth += 1;
        Ok(())
    }

    fn check_anchor(&self, node: &Node) -> Result<(), ErrorKind> {
        match &node.anchor {
            Some(anchor) if !self.limits.anchors => {
                Err(ErrorKind::AnchorNotAllowed(anchor.name.to_string()))
            }
            _ => Ok(()),
        }
    }

    /// Reads one value. An `Err` ends the reading of the file.
    fn value(&mut self, node: &Node, definition: Definition) -> Result<Token, ErrorKind> {
        self.event()?;
        self.check_anchor(node)?;
        let span = place(node);
        match &node.data {
            Data::Scalar(scalar) => {
                let literal = scalar::literal(self.file, node, scalar)?;
                let token = self.scalar(literal, definition.scope);
                let token = self.validate(token, definition);
                self.count_scalar(&token)?;
                Ok(token)
            }
            Data::Sequence(nodes) => {
                self.descend()?;
                self.count(TOKEN_BYTES)?;
                let mut items = Vec::new();
                let sequence = self.schema.get(definition.id).sequence;
                match sequence.map(|id| &self.schema.get(id).shape) {
                    Some(Shape::Sequence(item)) => {
                        let item = self.enter(definition.scope, *item);
                        items.reserve_exact(nodes.len());
                        for node in nodes.iter() {
                            items.push(self.value(node, item)?);
                        }
                    }
                    _ => {
                        self.error(span, ErrorKind::UnexpectedSequence);
                        for node in nodes.iter() {
                            self.skip(node)?;
                        }
                    }
                }
                self.depth -= 1;
                Ok(Token { span, kind: Kind::Sequence(items.into()) })
            }
            Data::Mapping(entries) => {
                self.descend()?;
                self.count(TOKEN_BYTES)?;
                let mappings = &self.schema.get(definition.id).mappings;
                let pairs = if mappings.is_empty() {
                    self.error(span, ErrorKind::UnexpectedMapping);
                    for entry in entries.iter() {
                        self.skip(&entry.key)?;
                        self.skip(&entry.value)?;
                    }
                    Vec::new()
                } else {
                    self.mapping(span, entries, definition, mappings)?
                };
                self.depth -= 1;
                Ok(Token { span, kind: Kind::Mapping(pairs.into()) })
            }
        }
    }

    fn mapping(
        &mut self,
        span: Span,
        entries: &[Entry],
        definition: Definition,
        mappings: &[DefinitionId],
    ) -> Result<Vec<Pair>, ErrorKind> {
        let mut possible = mappings.to_vec();
        let loose = match &self.schema.get(possible[0]).shape {
            Shape::Mapping { loose, .. } => *loose,
            _ => None,
        };
        let only_loose = possible.len() == 1
            && loose.is_some()
            && matches!(&self.schema.get(possible[0]).shape,
                Shape::Mapping { properties, .. } if properties.is_empty());
        let mut pairs = Vec::with_capacity(entries.len());
        let mut keys = Keys::default();
        let mut has_expression_key = false;
        for entry in entries {
            let Some(key) = self.key(entry, definition.scope)? else { continue };
            let text = match &key.kind {
                Kind::Expression(_) | Kind::Insert => {
                    has_expression_key = true;
                    if self.scopes[definition.scope].is_empty() {
                        self.error(key.span, ErrorKind::ExpressionNotAllowed);
                        self.skip(&entry.value)?;
                        continue;
                    }
                    self.count_scalar(&key)?;
                    let id = match loose {
                        Some((_, value)) if only_loose => value,
                        _ => self.schema.any(),
                    };
                    let inner = self.enter(definition.scope, id);
                    let value = self.value(&entry.value, inner)?;
                    pairs.push(Pair { key, value });
                    continue;
                }
                Kind::String(text) => text.clone(),
                other => literal_text(other),
            };
            let key = Token::string(key.span, text.clone());
            if !keys.insert(&text) {
                self.error(key.span, ErrorKind::AlreadyDefined(text.to_string()));
                self.skip(&entry.value)?;
                continue;
            }
            if let Some(value) = self.match_property(&mut possible, &text)
                && (self.limits.background_steps || !BACKGROUND_KEYS.contains(&&*text))
            {
                self.count_scalar(&key)?;
                let inner = self.enter(definition.scope, value);
                let value = self.value(&entry.value, inner)?;
                pairs.push(Pair { key, value });
            } else if let Some((key_id, value_id)) = loose {
                let key_definition = self.enter(definition.scope, key_id);
                let key = self.validate(key, key_definition);
                self.count_scalar(&key)?;
                let inner = self.enter(definition.scope, value_id);
                let value = self.value(&entry.value, inner)?;
                pairs.push(Pair { key, value });
            } else {
                self.error(key.span, ErrorKind::UnexpectedValue(text.to_string()));
                self.skip(&entry.value)?;
            }
        }
        self.check_shape(span, &possible, &keys, has_expression_key);
        Ok(pairs)
    }

    /// Reads a key; `None` where it is no scalar (told, and its value skipped).
    fn key(&mut self, entry: &Entry, scope: usize) -> Result<Option<Token>, ErrorKind> {
        self.check_anchor(&entry.key)?;
        let Data::Scalar(scalar) = &entry.key.data else {
            self.error(place(&entry.key), ErrorKind::KeyNotScalar);
            self.skip(&entry.key)?;
            self.skip(&entry.value)?;
            return Ok(None);
        };
        let literal = scalar::literal(self.file, &entry.key, scalar)?;
        Ok(Some(self.scalar(literal, scope)))
    }

    /// Finds `name` among the properties of the possible definitions and drops those without it.
    fn match_property(&self, possible: &mut Vec<DefinitionId>, name: &str) -> Option<DefinitionId> {
        let mut found = None;
        for id in possible.iter() {
            if let Some(property) = self.schema.property(*id, name) {
                found = Some(property.value);
            }
        }
        if found.is_some() && possible.len() > 1 {
            possible.retain(|id| self.schema.property(*id, name).is_some());
        }
        found
    }

    /// Checks that one definition is left and has what it needs.
    fn check_shape(
        &mut self,
        span: Span,
        possible: &[DefinitionId],
        keys: &Keys,
        has_expression_key: bool,
    ) {
        let properties = |id: &DefinitionId| match &self.schema.get(*id).shape {
            Shape::Mapping { properties, .. } => properties.as_slice(),
            _ => &[],
        };
        if let [only] = possible {
            if has_expression_key {
                return;
            }
            for property in properties(only) {
                if property.required && !keys.contains(&property.name) {
                    self.error(span, ErrorKind::MissingProperty(property.name.clone()));
                }
            }
            return;
        }
        let mut hits: HashMap<&str, usize> = HashMap::new();
        for id in possible {
            for property in properties(id) {
                *hits.entry(&property.name).or_default() += 1;
            }
        }
        let mut deciding: Vec<&str> = hits
            .into_iter()
            .filter(|(name, count)| {
                *count == 1 && (self.limits.background_steps || !BACKGROUND_KEYS.contains(name))
            })
            .map(|(name, _)| name)
            .collect();
        deciding.sort_unstable();
        let deciding = deciding.join(", ");
        self.error(span, ErrorKind::Ambiguous(deciding));
    }

    /// Walks over a value that is not read, within the same bounds.
    fn skip(&mut self, node: &Node) -> Result<(), ErrorKind> {
        self.event()?;
        self.check_anchor(node)?;
        match &node.data {
            Data::Scalar(scalar) => {
                scalar::literal(self.file, node, scalar)?;
            }
            Data::Sequence(items) => {
                self.descend()?;
                for item in items.iter() {
                    self.skip(item)?;
                }
                self.depth -= 1;
            }
            Data::Mapping(entries) => {
                self.descend()?;
                for entry in entries.iter() {
                    self.skip(&entry.key)?;
                    self.skip(&entry.value)?;
                }
                self.depth -= 1;
            }
        }
        Ok(())
    }

    /// Finds the expressions in a literal string.
    fn scalar(&mut self, literal: Token, scope: usize) -> Token {
        let Kind::String(source) = &literal.kind else { return literal };
        if !source.contains(text::OPEN) {
            return literal;
        }
        match text::parse(source, &self.scopes[scope]) {
            Ok(kind) => Token { span: literal.span, kind },
            Err(kind) => {
                self.error(literal.span, kind);
                literal
            }
        }
    }

    /// Checks a scalar against the definition, and makes it a string where only a string will do.
    fn validate(&mut self, token: Token, definition: Definition) -> Token {
        let schema = self.schema;
        let matches = |kind: &Kind| {
            schema.get(definition.id).scalars.iter().any(|id| accepts(&schema.get(*id).shape, kind))
        };
        match &token.kind {
            Kind::Expression(_) => {
                if self.scopes[definition.scope].is_empty() {
                    self.error(token.span, ErrorKind::ExpressionNotAllowed);
                }
                token
            }
            Kind::Insert => {
                let text = text::INSERT_TEXT.to_owned();
                self.error(token.span, ErrorKind::UnexpectedValue(text));
                token
            }
            kind if matches(kind) => token,
            Kind::String(text) => {
                self.error(token.span, ErrorKind::UnexpectedValue(text.to_string()));
                token
            }
            other => {
                let text = literal_text(other);
                let string = Kind::String(text.clone());
                if matches(&string) {
                    return Token { span: token.span, kind: string };
                }
                self.error(token.span, ErrorKind::UnexpectedValue(text.to_string()));
                token
            }
        }
    }
}

/// Where a node starts, its tag and anchor included, and where it ends.
fn place(node: &Node) -> Span {
    Span::new(node.start(), node.span.end)
}

fn accepts(shape: &Shape, kind: &Kind) -> bool {
    match (shape, kind) {
        (Shape::Null, Kind::Null)
        | (Shape::Boolean, Kind::Boolean(_))
        | (Shape::Number, Kind::Number(_)) => true,
        (Shape::String { constant, non_empty }, Kind::String(text)) => match constant {
            Some(constant) => **constant == **text,
            None => !non_empty || !text.is_empty(),
        },
        _ => false,
    }
}

/// Returns a literal as the string GitHub makes of it.
fn literal_text(kind: &Kind) -> Arc<str> {
    match kind {
        Kind::Boolean(true) => "true".into(),
        Kind::Boolean(false) => "false".into(),
        Kind::Number(value) => format_number(*value).into(),
        Kind::String(text) => text.clone(),
        _ => "".into(),
    }
}

fn utf16_length(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.encode_utf16().count() }
}

/// The keys of one mapping, without regard to case.
#[derive(Default)]
struct Keys(HashSet<String>);

impl Keys {
    fn insert(&mut self, key: &str) -> bool {
        self.0.insert(key.to_uppercase())
    }

    fn contains(&self, key: &str) -> bool {
        self.0.contains(&key.to_uppercase())
    }
}
