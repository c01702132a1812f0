//! What differs between two texts, as `diff -u` shows it.

/// How many lines stand around a difference.
const CONTEXT: usize = 3;

/// The largest table of common lines; past it everything between the common ends differs.
const MAX_CELLS: usize = 16_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Both,
    Old,
    New,
}

/// Returns the hunks; nothing where the texts are the same.
pub(crate) fn hunks(old: &str, new: &str) -> Vec<String> {
    let old: Vec<&str> = old.lines().collect();
    let new: Vec<&str> = new.lines().collect();
    let lines = script(&old, &new);
    let changed: Vec<usize> = lines
        .iter()
        .enumerate()
        .filter(|(_, line)| line.0 != Side::Both)
        .map(|(at, _)| at)
        .collect();
    let mut out = Vec::new();
    let mut next = 0;
    while let Some(&first) = changed.get(next) {
        let mut last = first;
        next += 1;
        while let Some(&more) = changed.get(next)
            && more - last <= 2 * CONTEXT + 1
        {
            last = more;
            next += 1;
        }
        let from = first.saturating_sub(CONTEXT);
        let to = (last + CONTEXT + 1).min(lines.len());
        let count = |range: &[(Side, &str)], without: Side| {
            range.iter().filter(|line| line.0 != without).count()
        };
        let range = |without: Side| {
            let length = count(&lines[from..to], without);
            let start = count(&lines[..from], without);
            match length {
                0 => format!("{start},0"),
                1 => format!("{}", start + 1),
                _ => format!("{},{length}", start + 1),
            }
        };
        out.push(format!("@@ -{} +{} @@", range(Side::New), range(Side::Old)));
        for (side, line) in &lines[from..to] {
            let sign = match side {
                Side::Both => ' ',
                Side::Old => '-',
                Side::New => '+',
            };
            out.push(format!("{sign}{line}"));
        }
    }
    out
}

/// Returns all lines of both texts with where they stand.
fn script<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<(Side, &'a str)> {
    let head = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (old_rest, new_rest) = (&old[head..], &new[head..]);
    let tail = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(a, b)| a == b).count();
    let (a, b) = (&old_rest[..old_rest.len() - tail], &new_rest[..new_rest.len() - tail]);
    let mut lines: Vec<(Side, &str)> = old[..head].iter().map(|line| (Side::Both, *line)).collect();
    if a.len().saturating_mul(b.len()) > MAX_CELLS {
        lines.extend(a.iter().map(|line| (Side::Old, *line)));
        lines.extend(b.iter().map(|line| (Side::New, *line)));
    } else {
        let width = b.len() + 1;
        // How many lines the rests from here on have in common.
        let mut common = vec![0u32; (a.len() + 1) * width];
        for x in (0..a.len()).rev() {
            for y in (0..b.len()).rev() {
                common[x * width + y] = if a[x] == b[y] {
                    common[(x + 1) * width + y + 1] + 1
                } else {
                    common[(x + 1) * width + y].max(common[x * width + y + 1])
                };
            }
        }
        let (mut x, mut y) = (0, 0);
        while x < a.len() || y < b.len() {
            if x < a.len() && y < b.len() && a[x] == b[y] {
                lines.push((Side::Both, a[x]));
                x += 1;
                y += 1;
            } else if x < a.len()
                && (y == b.len() || common[(x + 1) * width + y] >= common[x * width + y + 1])
            {
                lines.push((Side::Old, a[x]));
                x += 1;
            } else {
                lines.push((Side::New, b[y]));
                y += 1;
            }
        }
    }
    lines.extend(old_rest[a.len()..].iter().map(|line| (Side::Both, *line)));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hunks_have_context_and_counts() {
        let old = "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n13\n14\n15\n16\n";
        let new = old.replace("2\n3\n", "2\nthree\n").replace("15\n", "");
        let shown = hunks(old, &new);
        assert_eq!(
            shown,
            [
                "@@ -1,6 +1,6 @@",
                " 1",
                " 2",
                "-3",
                "+three",
                " 4",
                " 5",
                " 6",
                "@@ -12,5 +12,4 @@",
                " 12",
                " 13",
                " 14",
                "-15",
                " 16",
            ]
        );
        assert!(hunks(old, old).is_empty());
        assert_eq!(hunks("", "a\nb\n"), ["@@ -0,0 +1,2 @@", "+a", "+b"]);
    }
}
