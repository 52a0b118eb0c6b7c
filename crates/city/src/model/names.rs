//! Generated names of drivers and license plates.

use rand::RngExt;
use rand::rngs::StdRng;

const GIVEN: [&str; 24] = [
    "Ada", "Amir", "Bea", "Chidi", "Dora", "Emil", "Farah", "Goran", "Hana", "Ines", "Jonas", "Kofi", "Lena", "Mateo",
    "Nadia", "Olu", "Pia", "Quinn", "Rosa", "Sami", "Tove", "Uma", "Viktor", "Yara",
];
const FAMILY: &[u8] = b"ABCDEFGHJKLMNPRSTVWZ";

/// The name of a driver, such as `Hana K.`
pub(super) fn driver(random: &mut StdRng) -> String {
    let given = GIVEN[random.random_range(0..GIVEN.len())];
    format!("{given} {}.", letter(random))
}

/// A license plate, such as `KLP-4821`.
pub(super) fn plate(random: &mut StdRng) -> String {
    let letters: String = (0..3).map(|_| letter(random)).collect();
    format!("{letters}-{:04}", random.random_range(0..10_000))
}

fn letter(random: &mut StdRng) -> char {
    char::from(FAMILY[random.random_range(0..FAMILY.len())])
}
