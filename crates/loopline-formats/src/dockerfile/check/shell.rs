//! The commands in a line of shell: enough of the language to know what runs with which words.
//!
//! Commands inside of groups, conditions, loops, functions and substitutions count; text in
//! quotes does not. What is not shell gives fewer commands, never an error.

use std::ops::Range;

/// How deep substitutions may nest before they are taken as text.
const MAX_DEPTH: usize = 32;

/// The commands of one script.
#[derive(Debug, Default)]
pub(super) struct Script {
    /// Every simple command, in order of its end.
    pub(super) commands: Vec<Command>,
    /// The first `|` between commands.
    pub(super) pipe: Option<usize>,
    /// How many commands stand outside of substitutions.
    pub(super) outer: usize,
}

/// One simple command.
#[derive(Debug)]
pub(super) struct Command {
    /// The program and its arguments; never empty.
    pub(super) words: Vec<Argument>,
}

/// One word, quotes removed. Expansions are kept as written.
#[derive(Clone, Debug)]
pub(super) struct Argument {
    /// The text.
    pub(super) text: String,
    /// Where it stands in the script.
    pub(super) range: Range<usize>,
}

impl Command {
    /// Returns the program's name, without a folder.
    pub(super) fn name(&self) -> &str {
        &self.words[0].text
    }

    /// Returns the arguments that are no flags.
    pub(super) fn plain(&self) -> impl Iterator<Item = &Argument> {
        self.words[1..].iter().filter(|word| !word.text.starts_with('-'))
    }

    /// Returns whether one of the arguments that are no flags is `text`.
    pub(super) fn has_plain(&self, text: &str) -> bool {
        self.plain().any(|word| word.text == text)
    }

    /// Returns whether the first argument that is no flag is one of `verbs`.
    pub(super) fn verb(&self, verbs: &[&str]) -> bool {
        self.plain().next().is_some_and(|word| verbs.contains(&word.text.as_str()))
    }

    /// Returns the names of the flags: `-qy` is `q` and `y`, `--yes=x` is `yes`.
    pub(super) fn flags(&self) -> impl Iterator<Item = &str> {
        self.words[1..].iter().flat_map(|word| {
            let text = word.text.as_str();
            let (long, short) = match text.strip_prefix("--") {
                Some(long) => (long.split('=').next().filter(|name| !name.is_empty()), ""),
                None => (None, text.strip_prefix('-').unwrap_or("")),
            };
            let short = short.split('=').next().unwrap_or("");
            long.into_iter()
                .chain(short.char_indices().map(|(at, c)| &short[at..at + c.len_utf8()]))
        })
    }

    /// Returns whether a flag has one of `names`.
    pub(super) fn has_flag(&self, names: &[&str]) -> bool {
        self.flags().any(|flag| names.contains(&flag))
    }

    /// Returns the arguments that are neither flags nor the values of the flags `with_value`,
    /// which are written `-t x` or `--target x`.
    pub(super) fn operands(&self, with_value: &[&str]) -> Vec<&Argument> {
        let mut operands = Vec::new();
        let mut words = self.words[1..].iter();
        while let Some(word) = words.next() {
            if with_value.contains(&word.text.as_str()) {
                words.next();
            } else if !word.text.starts_with('-') {
                operands.push(word);
            }
        }
        operands
    }
}

/// Reads `text`.
pub(super) fn parse(text: &str) -> Script {
    let mut script = Script::default();
    let mut parser =
        Parser { text, at: 0, end: text.len(), depth: 0, backquotes: 0, heredocs: Vec::new() };
    parser.commands(&mut script, None);
    script
}

/// Reads the exec form as hadolint does: its words joined by spaces.
pub(super) fn parse_exec<'a>(words: impl IntoIterator<Item = &'a str>) -> Script {
    parse(&words.into_iter().collect::<Vec<_>>().join(" "))
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    end: usize,
    depth: usize,
    /// How many backquotes are open: the next one closes.
    backquotes: usize,
    /// The here-documents whose bodies start after the next line break.
    heredocs: Vec<(String, bool)>,
}

/// What a word of a command may be.
#[derive(Default)]
struct Open {
    words: Vec<Argument>,
    /// Whether the next words belong to a `for` or `case` head.
    head: bool,
}

impl Parser<'_> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..self.end].chars().next()
    }

    fn rest(&self) -> &str {
        &self.text[self.at..self.end]
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    /// Reads commands up to `stop`, which is left behind.
    fn commands(&mut self, script: &mut Script, stop: Option<char>) {
        let mut open = Open::default();
        // Parentheses that were opened here, and `case`s whose patterns end with one.
        let mut groups = 0_usize;
        let mut cases = 0_usize;
        while let Some(c) = self.peek() {
            match c {
                _ if Some(c) == stop && groups == 0 && !(c == ')' && cases > 0 && open.head) => {
                    self.at += c.len_utf8();
                    break;
                }
                '\n' => {
                    self.close(&mut open, script);
                    self.at += 1;
                    self.skip_heredocs();
                }
                c if c.is_whitespace() => self.at += c.len_utf8(),
                '\\' if self.rest().starts_with("\\\n") => self.at += 2,
                '#' => self.at += self.rest().find('\n').unwrap_or(self.end - self.at),
                ';' => {
                    self.close(&mut open, script);
                    if self.eat(";;") {
                        self.eat("&");
                        open.head = cases > 0;
                    } else {
                        self.at += 1;
                    }
                }
                '&' if self.rest().starts_with("&>") => self.redirection(script),
                '&' => {
                    self.close(&mut open, script);
                    self.at += if self.rest().starts_with("&&") { 2 } else { 1 };
                }
                '|' => {
                    if open.head {
                        // Between the patterns of a `case`.
                        self.at += 1;
                        continue;
                    }
                    self.close(&mut open, script);
                    if !self.eat("||") {
                        script.pipe.get_or_insert(self.at);
                        self.at += if self.rest().starts_with("|&") { 2 } else { 1 };
                    }
                }
                '(' => {
                    self.at += 1;
                    if open.head {
                        continue;
                    }
                    if open.words.len() == 1 && self.rest().trim_start().starts_with(')') {
                        // The word was a function's name.
                        self.at += self.rest().find(')').unwrap_or(0) + 1;
                        open.words.clear();
                    } else {
                        self.close(&mut open, script);
                        groups += 1;
                    }
                }
                ')' => {
                    self.at += 1;
                    if open.head {
                        open.words.clear();
                        open.head = false;
                    } else {
                        self.close(&mut open, script);
                        groups = groups.saturating_sub(1);
                    }
                }
                '<' | '>' => self.redirection(script),
                _ => {
                    let Some(word) = self.word(script) else { continue };
                    self.add(word, &mut open, &mut cases, script);
                }
            }
        }
        self.close(&mut open, script);
    }

    /// Takes a word into the open command, or as the word of the language it is there.
    fn add(&mut self, word: Argument, open: &mut Open, cases: &mut usize, script: &mut Script) {
        // A number right before a redirection belongs to it.
        if word.text.bytes().all(|byte| byte.is_ascii_digit())
            && !word.text.is_empty()
            && matches!(self.peek(), Some('<' | '>'))
        {
            return;
        }
        let written = &self.text[word.range.clone()];
        if open.head {
            if written == "esac" && open.words.is_empty() {
                open.head = false;
                *cases = cases.saturating_sub(1);
            } else if written == "in" && *cases > 0 {
                open.words.clear();
            } else if written == "do" {
                open.head = false;
                open.words.clear();
            } else {
                open.words.push(word);
            }
            return;
        }
        if !open.words.is_empty() {
            open.words.push(word);
            return;
        }
        match written {
            "if" | "then" | "elif" | "else" | "fi" | "while" | "until" | "do" | "done" | "!"
            | "{" | "}" | "time" | "exec" | "command" | "builtin" | "coproc" => {}
            "for" | "select" => {
                open.head = true;
                // Up to the `;`, line break or `do`: names, no commands.
                while let Some(c) = self.peek() {
                    if matches!(c, ';' | '\n') {
                        break;
                    }
                    if c.is_whitespace() || matches!(c, '(' | ')') {
                        self.at += c.len_utf8();
                        continue;
                    }
                    let Some(word) = self.word(script) else {
                        self.bump();
                        continue;
                    };
                    if &self.text[word.range] == "do" {
                        break;
                    }
                }
                open.head = false;
            }
            "case" => {
                *cases += 1;
                open.head = true;
            }
            "esac" => *cases = cases.saturating_sub(1),
            "function" => {
                while self.peek().is_some_and(|c| c == ' ' || c == '\t') {
                    self.at += 1;
                }
                let _name = self.word(script);
            }
            _ if is_assignment(written) => {}
            _ => open.words.push(word),
        }
    }

    fn close(&mut self, open: &mut Open, script: &mut Script) {
        if open.head {
            if !open.words.is_empty() {
                open.words.clear();
            }
            return;
        }
        if !open.words.is_empty() {
            if self.depth == 0 {
                script.outer += 1;
            }
            script.commands.push(Command { words: std::mem::take(&mut open.words) });
        }
    }

    /// Skips a redirection and its target.
    fn redirection(&mut self, script: &mut Script) {
        self.eat("&");
        if self.eat("<<<") || self.eat(">>") {
        } else if self.eat("<<") {
            let chomp = self.eat("-");
            self.skip_blanks();
            if let Some(word) = self.word(script)
                && self.depth == 0
            {
                self.heredocs.push((word.text, chomp));
            }
            return;
        } else if self.rest().starts_with("<(") || self.rest().starts_with(">(") {
            self.at += 2;
            self.nested(script, ')');
            return;
        } else {
            self.at += 1;
            self.eat("&");
            self.eat("|");
        }
        self.skip_blanks();
        if self.peek().is_some_and(|c| !c.is_whitespace()) {
            let _target = self.word(script);
        }
    }

    fn skip_blanks(&mut self) {
        while self.peek().is_some_and(|c| c == ' ' || c == '\t') {
            self.at += 1;
        }
    }

    fn skip_heredocs(&mut self) {
        for (name, chomp) in std::mem::take(&mut self.heredocs) {
            loop {
                let rest = self.rest();
                if rest.is_empty() {
                    return;
                }
                let line = rest.split('\n').next().unwrap_or("");
                let length = (line.len() + 1).min(rest.len());
                let text = if chomp { line.trim_start_matches('\t') } else { line };
                let last = text.trim_end_matches('\r') == name;
                self.at += length;
                if last {
                    break;
                }
            }
        }
    }

    /// Reads one word; `None` where none starts.
    fn word(&mut self, script: &mut Script) -> Option<Argument> {
        let start = self.at;
        let mut text = String::new();
        while let Some(c) = self.peek() {
            match c {
                '\\' => {
                    self.at += 1;
                    match self.bump() {
                        Some('\n') | None => {}
                        Some(c) => text.push(c),
                    }
                }
                '\'' => {
                    self.at += 1;
                    let length = self.rest().find('\'').unwrap_or(self.end - self.at);
                    text.push_str(&self.text[self.at..self.at + length]);
                    self.at = (self.at + length + 1).min(self.end);
                }
                '"' => self.double_quoted(&mut text, script),
                '$' => self.dollar(&mut text, script),
                '`' if self.backquotes > 0 => break,
                '`' => self.backquoted(&mut text, script),
                ';' | '&' | '|' | '(' | ')' | '<' | '>' => break,
                c if c.is_whitespace() => break,
                _ => {
                    self.at += c.len_utf8();
                    text.push(c);
                }
            }
        }
        (self.at > start).then_some(Argument { text, range: start..self.at })
    }

    fn double_quoted(&mut self, text: &mut String, script: &mut Script) {
        self.at += 1;
        while let Some(c) = self.peek() {
            match c {
                '"' => {
                    self.at += 1;
                    return;
                }
                '\\' => {
                    self.at += 1;
                    match self.bump() {
                        Some('\n') | None => {}
                        Some(c @ ('"' | '\\' | '$' | '`')) => text.push(c),
                        Some(c) => text.extend(['\\', c]),
                    }
                }
                '$' => self.dollar(text, script),
                '`' if self.backquotes > 0 => return,
                '`' => self.backquoted(text, script),
                _ => {
                    self.at += c.len_utf8();
                    text.push(c);
                }
            }
        }
    }

    /// Reads an expansion; it is kept as written.
    fn dollar(&mut self, text: &mut String, script: &mut Script) {
        let start = self.at;
        self.at += 1;
        if self.eat("((") {
            self.at += self.rest().find("))").map_or(self.end - self.at, |length| length + 2);
        } else if self.eat("(") {
            self.nested(script, ')');
        } else if self.eat("{") {
            let mut open = 1;
            while let Some(c) = self.bump() {
                match c {
                    '{' => open += 1,
                    '}' => open -= 1,
                    '\\' => drop(self.bump()),
                    _ => {}
                }
                if open == 0 {
                    break;
                }
            }
        }
        text.push_str(&self.text[start..self.at]);
    }

    fn backquoted(&mut self, text: &mut String, script: &mut Script) {
        let start = self.at;
        self.at += 1;
        self.backquotes += 1;
        self.nested(script, '`');
        self.backquotes -= 1;
        text.push_str(&self.text[start..self.at]);
    }

    fn nested(&mut self, script: &mut Script, stop: char) {
        if self.depth >= MAX_DEPTH {
            self.at = self.end;
            return;
        }
        self.depth += 1;
        // Inside of `$(` a backquote opens again.
        let outside = if stop == '`' { None } else { Some(std::mem::take(&mut self.backquotes)) };
        self.commands(script, Some(stop));
        self.backquotes = outside.unwrap_or(self.backquotes);
        self.depth -= 1;
    }
}

/// Returns whether a word sets a variable: `NAME=value`, `NAME+=value`, `NAME[0]=value`.
fn is_assignment(word: &str) -> bool {
    let Some((name, _)) = word.split_once('=') else { return false };
    let name = name.strip_suffix('+').unwrap_or(name);
    let name = name.split('[').next().unwrap_or(name);
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands(text: &str) -> Vec<String> {
        let show = |command: &Command| {
            let words: Vec<&str> = command.words.iter().map(|word| word.text.as_str()).collect();
            words.join(" ")
        };
        parse(text).commands.iter().map(show).collect()
    }

    #[test]
    fn commands_are_found_wherever_they_stand() {
        for (text, expected) in [
            ("a b && c; d || e & f", &["a b", "c", "d", "e", "f"][..]),
            ("X=1 Y=2 a b=c", &["a b=c"]),
            ("(a && b) | c", &["a", "b", "c"]),
            ("if a; then b; elif c; then d; else e; fi; f", &["a", "b", "c", "d", "e", "f"]),
            ("for x in a b; do c $x; done && d", &["c $x", "d"]),
            ("for x in a b\ndo c; done", &["c"]),
            ("while a; do b; done", &["a", "b"]),
            ("case $x in a|b) c d;; (e) f;; *) g; esac; h", &["c d", "f", "g", "h"]),
            ("x=$(case y in a) b;; esac)", &["b"]),
            ("f() { a; }; f", &["a", "f"]),
            ("function f { a; }", &["a"]),
            ("! a; exec b; time c; command d", &["a", "b", "c", "d"]),
            ("echo `a` \"$(b c)\" '$(d)'", &["a", "b c", "echo `a` $(b c) $(d)"]),
            ("a > b 2>&1 < c &> d; e >> f", &["a", "e"]),
            ("a <<E && b\nc\nE\nd", &["a", "b", "d"]),
            ("a <<-'E'\n\tc\n\tE\nd <<< x e", &["a", "d e"]),
            ("a \\\n b # c\nd", &["a b", "d"]),
            ("a 'b c' \"d'e\" f\\ g h\"i\"j", &["a b c d'e f g hij"]),
            ("echo ${x:-a;b} $((1 + 2))", &["echo ${x:-a;b} $((1 + 2))"]),
            ("diff <(a) <(b)", &["a", "b", "diff"]),
            ("a 2> x b 3 c", &["a b 3 c"]),
            ("'a", &["a"]),
            ("a $(b", &["b", "a $(b"]),
            (")) ;; a", &["a"]),
        ] {
            assert_eq!(commands(text), expected, "{text}");
        }
    }

    #[test]
    fn pipes_and_outer_commands_are_counted() {
        assert_eq!(parse("a || b").pipe, None);
        assert_eq!(parse("a | b").pipe, Some(2));
        assert!(parse("x=$(a | b)").pipe.is_some());
        assert!(parse("case x in a|b) c;; esac").pipe.is_none());
        assert_eq!(parse("a $(b; c)").outer, 1);
        assert_eq!(parse("a && b").outer, 2);
    }

    #[test]
    fn flags_and_operands_are_told_apart() {
        let script = parse("apt-get -qy install --no-install-recommends -t sid foo=1 -o x=y bar");
        let command = &script.commands[0];
        assert!(command.has_flag(&["y"]) && command.has_flag(&["no-install-recommends"]));
        let operands: Vec<_> =
            command.operands(&["-t", "-o"]).iter().map(|word| word.text.as_str()).collect();
        assert_eq!(operands, ["install", "foo=1", "bar"]);
    }

    #[test]
    fn nesting_is_bounded() {
        parse(&"$(".repeat(100_000));
        parse(&"(".repeat(100_000));
        parse(&"`".repeat(100_000));
    }
}
