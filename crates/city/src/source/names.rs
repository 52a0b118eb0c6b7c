//! Names for drivers and plates for cars, invented.

use rand::RngExt;
use rand::rngs::StdRng;

const GIVEN: [&str; 24] = [
    "Ada", "Amir", "Bea", "Chidi", "Dora", "Emil", "Farah", "Goran", "Hana", "Ines", "Jonas", "Kofi", "Lena", "Mateo",
    "Nadia", "Olu", "Pia", "Quinn", "Rosa", "Sami", "Tove", "Uma", "Viktor", "Yara",
];
const FAMILY: &[u8] = b"ABCDEFGHJKLMNPRSTVWZ";

/// A driver's name, such as `Hana K.`
pub(super) fn driver(dice: &mut StdRng) -> String {
    let given = GIVEN[dice.random_range(0..GIVEN.len())];
    format!("{given} {}.", letter(dice))
}

/// A plate, such as `KLP-4821`.
pub(super) fn plate(dice: &mut StdRng) -> String {
    let letters: String = (0..3).map(|_| letter(dice)).collect();
    format!("{letters}-{:04}", dice.random_range(0..10_000))
}

fn letter(dice: &mut StdRng) -> char {
    char::from(FAMILY[dice.random_range(0..FAMILY.len())])
}
