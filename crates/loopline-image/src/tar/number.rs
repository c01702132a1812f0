//! Numbers in headers: octal digits, or base 256 where they are too large.

/// Reads a number of a header's field.
pub(super) fn read(field: &[u8]) -> Option<i64> {
    let (&first, rest) = field.split_first()?;
    if first & 0x80 != 0 {
        // Two's complement; the field's first bit says so and is not part of it.
        let negative = first & 0x40 != 0;
        let start = i64::from(first & 0x7f) - if negative { 0x80 } else { 0 };
        return rest.iter().try_fold(start, |number, &byte| {
            number.checked_mul(256)?.checked_add(i64::from(byte))
        });
    }
    let digits = field.iter().skip_while(|byte| **byte == b' ');
    let mut number = 0_i64;
    let mut ended = false;
    for &byte in digits {
        match byte {
            b'0'..=b'7' if !ended => {
                number = number.checked_mul(8)?.checked_add(i64::from(byte - b'0'))?;
            }
            b' ' | 0 => ended = true,
            _ if ended => {}
            _ => return None,
        }
    }
    Some(number)
}

/// Writes a number as octal digits; says whether it fits.
pub(super) fn write(field: &mut [u8], number: i64) -> bool {
    let width = field.len() - 1;
    let Ok(number) = u64::try_from(number) else { return false };
    if width < 21 && number >= 1 << (3 * width) {
        return false;
    }
    let mut rest = number;
    for digit in field[..width].iter_mut().rev() {
        *digit = b'0' + (rest & 7) as u8;
        rest >>= 3;
    }
    field[width] = 0;
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (field, number) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"00000008", None),
            (b"\x80\0\0\0\0\0\x01\0", Some(256)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff", Some(-1)),
            (b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
            (b"77777777777\0", Some(0o77_777_777_777)),
        ] {
            assert_eq!(read(field), number, "{field:?}");
        }
        let mut field = [0; 8];
        assert!(write(&mut field, 0o644));
        assert_eq!(&field, b"0000644\0");
        assert!(write(&mut field, 0o7_777_777));
        assert!(!write(&mut field, 0o10_000_000));
        assert!(!write(&mut field, -1));
    }
}
