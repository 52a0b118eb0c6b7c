//! The size of an RSA public key.

use std::ops::RangeInclusive;

/// The moduli that ring verifies signatures of, bits.
pub const MODULUS_BITS: RangeInclusive<usize> = 2048..=8192;

/// Tags of DER (X.690, 8.2 and 8.9).
const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;

/// Returns the bits of the modulus of a key in DER: a sequence of two integers, modulus and exponent (RFC 8017, A.1.1). `None` if it has
/// another form.
pub fn modulus_bits(key: &[u8]) -> Option<usize> {
    let (numbers, _) = element(SEQUENCE, key)?;
    let (modulus, rest) = element(INTEGER, numbers)?;
    let (_exponent, []) = element(INTEGER, rest)? else { return None };
    let digits = &modulus[modulus.iter().position(|byte| *byte != 0)?..];
    Some(digits.len() * 8 - digits[0].leading_zeros() as usize)
}

/// Returns the content of the first element, if it has this tag, and what follows it.
fn element(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = der.split_first().filter(|(first, _)| **first == tag).map(|(_, rest)| rest)?.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        let length = bytes.iter().try_fold(0_usize, |sum, byte| sum.checked_mul(256)?.checked_add(usize::from(*byte)));
        (length?, rest)
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).expect("short").to_be_bytes();
        [&[tag, 0x82][..], &length, content].concat()
    }

    fn key(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
        encoded(SEQUENCE, &[encoded(INTEGER, modulus), encoded(INTEGER, exponent)].concat())
    }

    #[test]
    fn size_is_that_of_the_modulus_alone() {
        let exponent = [1, 0, 1];
        assert_eq!(modulus_bits(&key(&[&[0_u8][..], &[0xff; 256]].concat(), &exponent)), Some(2048));
        assert_eq!(modulus_bits(&key(&[0x7f; 256], &exponent)), Some(2047));
        assert_eq!(modulus_bits(&key(&[&[0_u8; 200][..], &[0xff; 128]].concat(), &exponent)), Some(1024));
        assert_eq!(modulus_bits(&key(&[0x7f; 128], &[0x7f; 256])), Some(1023));
    }

    #[test]
    fn other_data_has_no_modulus() {
        let good = key(&[0x7f; 256], &[1, 0, 1]);
        for length in 0..good.len() {
            assert_eq!(modulus_bits(&good[..length]), None, "{length}");
        }
        // A private key begins with its version.
        let private = [encoded(INTEGER, &[0]), encoded(INTEGER, &[0x7f; 256]), encoded(INTEGER, &[3])].concat();
        assert_eq!(modulus_bits(&encoded(SEQUENCE, &private)), None);
        assert_eq!(modulus_bits(&key(&[0; 256], &[3])), None);
    }
}
