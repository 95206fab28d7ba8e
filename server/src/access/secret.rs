//! What nobody can guess: passwords by argon2id, random tokens, the set-up code.

use argon2::Argon2;
use argon2::password_hash::{Error, PasswordHasher, PasswordVerifier};
use sha2::{Digest, Sha256};

/// A password that nobody has: looked at where a name is unknown, so that this takes as long.
const NOBODYS: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c2VydmljZXMtbm8tb25l$1d3S5JYFzDvvGBcLdPB7CtLr5QB8n0EEAPqN8u5cOYI";

/// The hash of what is sent with requests: random enough that nothing slower is needed.
pub fn hash_of(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// The hash of a password, in PHC form, with the library's parameters: argon2id, 19 MiB, 2 passes. `None` when the system has
/// no randomness.
pub fn password_hash(password: &str) -> Option<String> {
    Argon2::default().hash_password(password.as_bytes()).ok().map(|hash| hash.to_string())
}

/// Whether it is the password; without a hash never, after the same time. `None` where it could not be looked at: the system
/// has no memory for it.
pub fn is_password(hash: Option<&str>, password: &str) -> Option<bool> {
    let answer = Argon2::default().verify_password(password.as_bytes(), hash.unwrap_or(NOBODYS));
    is_right(answer).map(|right| right && hash.is_some())
}

/// What an answer of the library says of a password.
const fn is_right(answer: Result<(), Error>) -> Option<bool> {
    match answer {
        Ok(()) => Some(true),
        Err(Error::OutOfMemory | Error::Internal) => None,
        Err(_) => Some(false),
    }
}

/// 256 bits as 64 hexadecimal digits.
pub fn random() -> Option<String> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).ok()?;
    Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A code that a person copies: 80 bits, in four groups of four letters and digits that are not mistaken for each other.
pub fn setup_code() -> Option<String> {
    const LETTERS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).ok()?;
    let letters: Vec<char> = bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect();
    Some(letters.chunks(4).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_known_by_its_hash_alone() {
        let hash = password_hash("correct horse battery").expect("hashed");
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_eq!(is_password(Some(&hash), "correct horse battery"), Some(true));
        assert_eq!(is_password(Some(&hash), "correct horse batterx"), Some(false));
        assert_eq!(is_password(Some("garbage"), "correct horse battery"), Some(false));
        assert_eq!(is_password(None, "correct horse battery"), Some(false));
        assert_eq!(is_right(Err(Error::OutOfMemory)), None, "not looked at");
        assert_ne!(password_hash("correct horse battery"), Some(hash), "salted");
    }

    /// What is compared where a name is unknown must be work: a text that is not understood would be answered at once.
    #[test]
    fn the_hash_of_nobody_is_one() {
        argon2::password_hash::phc::PasswordHash::new(NOBODYS).expect("in PHC form");
    }

    #[test]
    fn random_texts_differ() {
        assert_ne!(random(), random());
        let code = setup_code().expect("made");
        assert_eq!((code.len(), code.split('-').count()), (19, 4));
        assert_ne!(setup_code(), Some(code));
    }
}
