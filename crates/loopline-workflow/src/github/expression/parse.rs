//! Text to tree, without recursion: operators wait on a stack until one that binds less comes.

use std::ops::Range;
use std::sync::Arc;

use super::error::{ParseError, ParseErrorKind};
use super::functions;
use super::tokens::{Kind, Lexer, Operator, Token, Unexpected};
use super::tree::{Comparison, Connective, Expr, Node, NodeId, NodeKind};
use super::value::Value;

/// How deep an expression may be.
pub const MAX_DEPTH: usize = 50;
/// How long an expression may be, in UTF-16 units.
pub const MAX_LENGTH: usize = 21_000;

/// The contexts GitHub has.
const CONTEXTS: [&str; 12] = [
    "github", "env", "vars", "job", "jobs", "steps", "runner", "secrets", "strategy", "matrix",
    "needs", "inputs",
];

/// A function and how many parameters it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionInfo {
    /// Its name; case does not count.
    pub name: Arc<str>,
    /// The fewest parameters.
    pub minimum: usize,
    /// The most parameters.
    pub maximum: usize,
}

/// Which names an expression may use.
#[derive(Clone, Debug, Default)]
pub struct ParseOptions {
    /// The contexts; all that GitHub has where `None`.
    pub named_values: Option<Arc<[Arc<str>]>>,
    /// The functions beside the built-in ones; all that GitHub has where `None`.
    pub functions: Option<Arc<[FunctionInfo]>>,
    /// Accepts every name, and every count of parameters for unknown functions: for checks of
    /// syntax alone.
    pub allow_unknown: bool,
    /// Accepts every count of parameters, also for known functions: for checks that have more to
    /// say about a wrong one.
    pub allow_any_count: bool,
}

impl ParseOptions {
    /// Accepts every name.
    pub fn syntax_only() -> Self {
        Self { allow_unknown: true, ..Self::default() }
    }

    /// Accepts every name with every count of parameters.
    pub fn structure_only() -> Self {
        Self { allow_any_count: true, ..Self::syntax_only() }
    }

    /// Accepts these contexts and functions only, beside the built-in functions.
    pub fn only<N: Into<Arc<str>>>(
        named_values: impl IntoIterator<Item = N>,
        functions: impl IntoIterator<Item = FunctionInfo>,
    ) -> Self {
        Self {
            named_values: Some(named_values.into_iter().map(Into::into).collect()),
            functions: Some(functions.into_iter().collect()),
            ..Self::default()
        }
    }

    fn has_named_value(&self, name: &str) -> bool {
        self.allow_unknown
            || match &self.named_values {
                Some(names) => names.iter().any(|known| known.eq_ignore_ascii_case(name)),
                None => CONTEXTS.iter().any(|known| known.eq_ignore_ascii_case(name)),
            }
    }

    /// Returns the fewest and the most parameters of a function.
    fn arity(&self, name: &str) -> Option<(usize, usize)> {
        if let Some(arity) = functions::arity(name) {
            return Some(arity);
        }
        match &self.functions {
            Some(known) => known
                .iter()
                .find(|function| function.name.eq_ignore_ascii_case(name))
                .map(|function| (function.minimum, function.maximum)),
            None => functions::surrounding_arity(name),
        }
        .or_else(|| self.allow_unknown.then_some((0, usize::MAX)))
    }
}

/// Parses an expression without its `${{ }}`. An empty text is null.
///
/// # Errors
/// Returns the first error, as GitHub finds it.
pub fn parse(text: &str, options: &ParseOptions) -> Result<Expr, ParseError> {
    let source: Arc<str> = text.into();
    let error = |kind, span: Range<usize>| ParseError {
        kind,
        token: text[span.clone()].into(),
        offset: span.start,
        expression: Arc::clone(&source),
        function: None,
    };
    if text.len() > MAX_LENGTH && text.encode_utf16().count() > MAX_LENGTH {
        return Err(error(ParseErrorKind::ExceededMaxLength, 0..0));
    }
    let mut lexer = Lexer::new(text);
    let mut builder =
        Builder { text, nodes: Vec::new(), operands: Vec::new(), waiting: Vec::new() };
    let mut last: Option<Token> = None;
    loop {
        let token = lexer
            .next()
            .map_err(|Unexpected(span)| error(ParseErrorKind::UnexpectedSymbol, span))?;
        let Some(token) = token else { break };
        let span = token.span.clone();
        match token.kind {
            Kind::Function if options.arity(&text[span.clone()]).is_none() => {
                return Err(error(ParseErrorKind::UnrecognizedFunction, span));
            }
            Kind::NamedValue if !options.has_named_value(&text[span.clone()]) => {
                return Err(error(ParseErrorKind::UnrecognizedNamedValue, span));
            }
            Kind::EndParameters => {
                let call = builder.end_parameters();
                if let Some(kind) = wrong_count(options, &call) {
                    let mut found = error(kind, call.open.clone());
                    found.function = Some((call.name, call.name_span.start));
                    return Err(found);
                }
                builder.push_call(call, span.end);
            }
            _ => builder.push(&token),
        }
        last = Some(token);
    }
    let Some(last) = last else {
        builder.add(NodeKind::Literal(Value::Null), 0..text.len(), 1);
        return Ok(Expr { source, nodes: builder.nodes, root: NodeId(0) });
    };
    let incomplete = matches!(
        last.kind,
        Kind::Function
            | Kind::StartGroup
            | Kind::StartIndex
            | Kind::StartParameters
            | Kind::Separator
            | Kind::Dereference
            | Kind::Operator(_)
    );
    if incomplete || lexer.has_unclosed() {
        return Err(error(ParseErrorKind::UnexpectedEndOfExpression, last.span));
    }
    builder.flush(0);
    let Some(root) = builder.operands.pop() else {
        return Err(error(ParseErrorKind::UnexpectedEndOfExpression, last.span));
    };
    let expression = Expr { source: Arc::clone(&source), nodes: builder.nodes, root };
    if expression.node(root).depth > MAX_DEPTH {
        return Err(error(ParseErrorKind::ExceededMaxDepth, 0..0));
    }
    Ok(expression)
}

fn wrong_count(options: &ParseOptions, call: &Call) -> Option<ParseErrorKind> {
    if options.allow_any_count {
        return None;
    }
    let (minimum, maximum) = options.arity(&call.name)?;
    let count = call.arguments.len();
    if count < minimum {
        Some(ParseErrorKind::TooFewParameters)
    } else if count > maximum {
        Some(ParseErrorKind::TooManyParameters)
    } else if count.is_multiple_of(2) && call.name.eq_ignore_ascii_case("case") {
        Some(ParseErrorKind::EvenParameters)
    } else {
        None
    }
}

/// A call whose parameters are complete.
struct Call {
    name: Arc<str>,
    name_span: Range<usize>,
    open: Range<usize>,
    arguments: Vec<NodeId>,
}

/// What waits for its right side.
enum Waiting {
    /// `(`, with where it stands.
    Group(Range<usize>),
    /// `[`, with the node before it still among the operands.
    Index,
    /// `(` of a call: the name's place, its own, and how many operands stood before.
    Parameters { name: Range<usize>, open: Range<usize>, operands: usize },
    /// `.`
    Dereference,
    /// An operator, with where it stands.
    Operator(Operator, Range<usize>),
}

struct Builder<'a> {
    text: &'a str,
    nodes: Vec<Node>,
    operands: Vec<NodeId>,
    waiting: Vec<Waiting>,
}

impl Builder<'_> {
    fn add(&mut self, kind: NodeKind, span: Range<usize>, depth: usize) -> NodeId {
        // At most one node a character, of which there are few.
        let id = NodeId(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
        self.nodes.push(Node { kind, span, depth });
        id
    }

    fn operand(&mut self, kind: NodeKind, span: Range<usize>) {
        let id = self.add(kind, span, 1);
        self.operands.push(id);
    }

    fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    /// Takes any token but the end of parameters.
    fn push(&mut self, token: &Token) {
        let span = token.span.clone();
        let name = || Arc::<str>::from(&self.text[span.clone()]);
        match token.kind {
            Kind::Null => self.operand(NodeKind::Literal(Value::Null), span),
            Kind::Boolean(value) => self.operand(NodeKind::Literal(value.into()), span),
            Kind::Number(value) => self.operand(NodeKind::Literal(value.into()), span),
            Kind::String => {
                let text = &self.text[span.start + 1..span.end - 1];
                let value = if text.contains('\'') {
                    Value::from(text.replace("''", "'"))
                } else {
                    Value::from(text)
                };
                self.operand(NodeKind::Literal(value), span);
            }
            Kind::NamedValue => {
                let kind = NodeKind::Context(name());
                self.operand(kind, span);
            }
            // The name is kept as the place of a literal until its parameters are complete.
            Kind::Function => self.operand(NodeKind::Literal(Value::Null), span),
            Kind::StartGroup => self.waiting.push(Waiting::Group(span)),
            Kind::StartIndex => self.waiting.push(Waiting::Index),
            Kind::StartParameters => {
                let name = self.operands.pop().map_or(0..0, |id| self.node(id).span.clone());
                let operands = self.operands.len();
                self.waiting.push(Waiting::Parameters { name, open: span, operands });
            }
            Kind::Dereference => self.waiting.push(Waiting::Dereference),
            Kind::PropertyName => {
                let name = name();
                self.waiting.pop();
                self.access(span.end, |target| NodeKind::Property {
                    target,
                    name,
                    name_span: span,
                });
            }
            Kind::Wildcard => {
                // `.*` is complete; `[*]` still needs its bracket.
                if matches!(self.waiting.last(), Some(Waiting::Dereference)) {
                    self.waiting.pop();
                    self.access(span.end, |target| NodeKind::Wildcard { target });
                } else {
                    // Its target is known, and its depth counted, when the bracket closes.
                    self.operand(NodeKind::Wildcard { target: NodeId(0) }, span);
                }
            }
            Kind::EndIndex => self.end_index(span.end),
            Kind::EndGroup => self.end_group(span.end),
            Kind::Separator => self.flush(0),
            Kind::Operator(operator) => {
                if operator != Operator::Not {
                    self.flush(precedence(operator));
                }
                self.waiting.push(Waiting::Operator(operator, span));
            }
            Kind::EndParameters => {}
        }
    }

    /// Puts an access around the last operand.
    fn access(&mut self, end: usize, kind: impl FnOnce(NodeId) -> NodeKind) {
        let Some(target) = self.operands.pop() else { return };
        let Node { span, depth, .. } = self.node(target);
        let (span, depth) = (span.start..end, depth + 1);
        let id = self.add(kind(target), span, depth);
        self.operands.push(id);
    }

    fn end_index(&mut self, end: usize) {
        self.flush(0);
        self.waiting.pop();
        let Some(index) = self.operands.pop() else { return };
        let (wildcard, depth) = {
            let node = self.node(index);
            (matches!(node.kind, NodeKind::Wildcard { .. }) && node.depth == 1, node.depth)
        };
        if wildcard {
            self.access(end, |target| NodeKind::Wildcard { target });
            return;
        }
        self.access(end, |target| NodeKind::Index { target, index });
        if let Some(last) = self.nodes.last_mut() {
            last.depth = last.depth.max(depth + 1);
        }
    }

    fn end_group(&mut self, end: usize) {
        self.flush(0);
        let Some(Waiting::Group(open)) = self.waiting.pop() else { return };
        let Some(inner) = self.operands.pop() else { return };
        let span = open.start..end;
        let node = &mut self.nodes[inner.0 as usize];
        if matches!(node.kind, NodeKind::Group(_)) {
            // A group in a group is one group; the tree's depth stays bounded.
            node.span = span;
            self.operands.push(inner);
            return;
        }
        let depth = node.depth;
        let id = self.add(NodeKind::Group(inner), span, depth);
        self.operands.push(id);
    }

    fn end_parameters(&mut self) -> Call {
        self.flush(0);
        let (name_span, open, from) = match self.waiting.pop() {
            Some(Waiting::Parameters { name, open, operands }) => (name, open, operands),
            _ => (0..0, 0..0, self.operands.len()),
        };
        let arguments = self.operands.split_off(from);
        Call { name: self.text[name_span.clone()].into(), name_span, open, arguments }
    }

    fn push_call(&mut self, call: Call, end: usize) {
        let depth = call.arguments.iter().map(|id| self.node(*id).depth).max().unwrap_or(0) + 1;
        let Call { name, name_span, arguments, .. } = call;
        let span = name_span.start..end;
        let id = self.add(NodeKind::Call { name, name_span, arguments }, span, depth);
        self.operands.push(id);
    }

    /// Completes operators that bind at least as strongly as `least`, back to the last opening.
    fn flush(&mut self, least: u8) {
        while let Some(Waiting::Operator(operator, _)) = self.waiting.last() {
            if precedence(*operator) < least {
                break;
            }
            let Some(Waiting::Operator(operator, span)) = self.waiting.pop() else { break };
            self.complete(operator, span);
        }
    }

    fn complete(&mut self, operator: Operator, place: Range<usize>) {
        let Some(right) = self.operands.pop() else { return };
        let Node { span: right_span, depth: right_depth, .. } = self.node(right).clone();
        if operator == Operator::Not {
            let span = place.start..right_span.end;
            let id = self.add(NodeKind::Not(right), span, right_depth + 1);
            self.operands.push(id);
            return;
        }
        let Some(left) = self.operands.pop() else { return };
        let span = self.node(left).span.start..right_span.end;
        let comparison = match operator {
            Operator::Equal => Comparison::Equal,
            Operator::NotEqual => Comparison::NotEqual,
            Operator::Less => Comparison::Less,
            Operator::LessOrEqual => Comparison::LessOrEqual,
            Operator::Greater => Comparison::Greater,
            Operator::GreaterOrEqual => Comparison::GreaterOrEqual,
            Operator::And => return self.connect(Connective::And, left, right, span),
            Operator::Or | Operator::Not => {
                return self.connect(Connective::Or, left, right, span);
            }
        };
        let depth = self.node(left).depth.max(right_depth) + 1;
        let id = self.add(NodeKind::Compare { operator: comparison, left, right }, span, depth);
        self.operands.push(id);
    }

    /// Joins two operands; one that is joined the same way, in parentheses or not, is taken apart.
    fn connect(&mut self, connective: Connective, left: NodeId, right: NodeId, span: Range<usize>) {
        let (mut operands, left_depth) = self.parts(connective, left);
        let (mut rest, right_depth) = self.parts(connective, right);
        operands.append(&mut rest);
        let depth = left_depth.max(right_depth);
        let id = self.add(NodeKind::Logical { connective, operands }, span, depth);
        self.operands.push(id);
    }

    fn parts(&mut self, connective: Connective, id: NodeId) -> (Vec<NodeId>, usize) {
        let mut inner = id;
        while let NodeKind::Group(next) = &self.node(inner).kind {
            inner = *next;
        }
        let node = &mut self.nodes[inner.0 as usize];
        match &mut node.kind {
            NodeKind::Logical { connective: own, operands } if *own == connective => {
                (std::mem::take(operands), node.depth)
            }
            _ => (vec![id], self.node(id).depth + 1),
        }
    }
}

fn precedence(operator: Operator) -> u8 {
    match operator {
        Operator::Not => 5,
        Operator::Greater | Operator::GreaterOrEqual | Operator::Less | Operator::LessOrEqual => 4,
        Operator::Equal | Operator::NotEqual => 3,
        Operator::And => 2,
        Operator::Or => 1,
    }
}
