//! What the definitions and their fields are for, unpacked while a document is made.

use std::collections::HashMap;
use std::io::Read as _;

use flate2::read::GzDecoder;

/// Written beside the text of the types, a line for each of its lines.
static PACKED: &[u8] = include_bytes!("../../data/v1.33-descriptions.txt.gz");

pub(super) struct Descriptions {
    text: String,
    /// Where a definition's own line stands, and those of its fields after it.
    lines: HashMap<&'static str, usize>,
    starts: Vec<usize>,
    fields: HashMap<(&'static str, &'static str), usize>,
}

impl Descriptions {
    pub(super) fn load() -> Self {
        let mut text = String::new();
        let unpacked = GzDecoder::new(PACKED).read_to_string(&mut text);
        debug_assert!(unpacked.is_ok(), "the blob is part of the binary");
        let starts =
            std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let (mut lines, mut fields) = (HashMap::new(), HashMap::new());
        let mut current = "";
        let described = crate::builtin::TEXT.lines().filter(|line| !line.starts_with(['#', '+']));
        for (index, line) in described.enumerate() {
            let mut words = line.split(' ');
            let (first, second) = (words.next().unwrap_or_default(), words.next());
            if first == "=" {
                current = second.unwrap_or_default();
                lines.insert(current, index);
            } else {
                fields.insert((current, first.trim_end_matches('!')), index);
            }
        }
        Self { text, lines, starts, fields }
    }

    pub(super) fn of(&self, definition: &str) -> Option<String> {
        self.line(*self.lines.get(definition)?)
    }

    pub(super) fn of_field(&self, definition: &str, field: &str) -> Option<String> {
        self.line(*self.fields.get(&(definition, field))?)
    }

    fn line(&self, index: usize) -> Option<String> {
        let start = *self.starts.get(index)?;
        let end = self.starts.get(index + 1)?.checked_sub(1)?;
        let line = self.text.get(start..end)?;
        if line.is_empty() {
            return None;
        }
        let mut text = String::with_capacity(line.len());
        let mut escaped = false;
        for letter in line.chars() {
            match (escaped, letter) {
                (false, '\\') => escaped = true,
                (true, 'n') => {
                    text.push('\n');
                    escaped = false;
                }
                (_, letter) => {
                    text.push(letter);
                    escaped = false;
                }
            }
        }
        Some(text)
    }
}
