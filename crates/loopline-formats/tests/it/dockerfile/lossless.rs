//! The tree holds every byte of the text, whatever the text is.

use bolero::check as fuzz;
use loopline_formats::dockerfile::tree::{Arguments, Instruction, PieceKind, Word};
use loopline_formats::dockerfile::{check, instruction, plan};

use loopline_source::MemoryTree;

use super::{SEEDS, read};

/// How many inputs one run makes up.
const ITERATIONS: usize = 2_000;

/// Reads `text` and proves that the pieces are the text and the words stand where they say.
pub(crate) fn prove(text: &str) {
    let parsed = read(text);
    let tree = parsed.dockerfile;
    let (build, _) = instruction::read(&tree);
    let _ = plan::plan(&tree, &build, &plan::Facts::default());
    let _ = check::dockerfile(&tree.file, &MemoryTree::new());
    let mut at = 0;
    for piece in &tree.pieces {
        assert_eq!(piece.span.start, at, "no gap, no overlap: {text:?}");
        assert!(piece.span.start < piece.span.end, "no empty piece");
        at = piece.span.end;
    }
    assert_eq!(at as usize, text.len(), "pieces reach the end: {text:?}");
    let joined: String = tree.pieces.iter().map(|piece| tree.file.slice(piece.span)).collect();
    assert_eq!(joined, text);

    // The joined text of an instruction is its code, line breaks and indentation removed.
    let code: String = tree
        .pieces
        .iter()
        .filter(|piece| piece.kind == PieceKind::Code)
        .map(|piece| tree.file.slice(piece.span).trim_end_matches(['\r', '\n']))
        .collect();
    let logical: String =
        tree.instructions.iter().map(|instruction| instruction.logical.text.as_str()).collect();
    let plain = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
    assert_eq!(plain(&code), plain(&logical), "{text:?}");

    let mut last = 0;
    for instruction in &tree.instructions {
        assert!(instruction.span.start >= last && instruction.span.end as usize <= text.len());
        last = instruction.span.end;
        assert!(instruction.first_line <= instruction.last_line);
        words(instruction, &mut |word| {
            assert!(word.span.start <= word.span.end && word.span.end as usize <= text.len());
            assert!(text.is_char_boundary(word.span.start as usize), "{text:?}");
            assert!(text.is_char_boundary(word.span.end as usize), "{text:?}");
        });
        for heredoc in &instruction.heredocs {
            let _ = heredoc.content(&tree.file);
        }
    }
}

fn words(instruction: &Instruction, check: &mut dyn FnMut(&Word)) {
    check(&instruction.keyword);
    instruction.flags.iter().chain(&instruction.comments).for_each(&mut *check);
    match &instruction.arguments {
        Arguments::Nested(nested) => words(nested, check),
        other => arguments(other, check),
    }
}

fn arguments(from: &Arguments, check: &mut dyn FnMut(&Word)) {
    match from {
        Arguments::None => {}
        Arguments::Text(word) | Arguments::Invalid(word) => check(word),
        Arguments::Words(words) | Arguments::Json(words) => words.iter().for_each(check),
        Arguments::Pairs(pairs) => pairs.iter().for_each(|pair| {
            check(&pair.key);
            check(&pair.value);
        }),
        Arguments::Nested(nested) => words(nested, check),
        Arguments::Health(kind, command) => {
            check(kind);
            arguments(command, check);
        }
    }
}

#[test]
fn seeds_are_kept() {
    SEEDS.into_iter().for_each(prove);
    assert!(read(SEEDS[0]).problems.is_empty(), "{:?}", read(SEEDS[0]).problems);
    assert!(read(SEEDS[1]).problems.is_empty(), "{:?}", read(SEEDS[1]).problems);
    assert!(read(SEEDS[2]).problems.len() > 3);
    assert_eq!(read(SEEDS[0]).dockerfile.instructions.len(), 30);
    assert_eq!(read(SEEDS[1]).dockerfile.escape, '`');
}

/// Real files with bytes removed, put in and moved.
#[test]
fn mutated_files_are_kept() {
    fuzz!().with_iterations(ITERATIONS).with_max_len(64).for_each(|input: &[u8]| {
        let Some((seed, edits)) = input.split_first() else { return };
        let mut text = SEEDS[usize::from(*seed) % SEEDS.len()].as_bytes().to_vec();
        for edit in edits.chunks_exact(3) {
            let at = usize::from(u16::from_le_bytes([edit[0], edit[1]])) % text.len().max(1);
            match edit[2] {
                0..=63 => drop(text.drain(at..(at + usize::from(edit[2])).min(text.len()))),
                64..=127 => text.insert(at, edit[2]),
                128..=159 => {
                    text.insert(at, b"\\\n\"'<>$ `[]#{}\t\r=-"[usize::from(edit[2] - 128) % 18])
                }
                160..=191 => text.splice(at..at, *b"\\\n").for_each(drop),
                192..=223 => text.splice(at..at, *b"\n\n").for_each(drop),
                _ => text.truncate(at),
            }
        }
        prove(&String::from_utf8_lossy(&text));
    });
}
