//! Which store it is: its key, and the database if several are watched.

use std::ops::Deref;
use std::sync::Arc;

use super::id::{bytes_of, id_of, name_of};

/// A store's key. Where several databases are watched, one of another than database 0 has its number.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    db: i64,
    bytes: Arc<[u8]>,
}

impl Key {
    pub fn in_db(db: i64, bytes: impl Into<Arc<[u8]>>) -> Key {
        Key { db, bytes: bytes.into() }
    }

    /// The number of its database; 0 where only one is watched.
    pub fn db(&self) -> i64 {
        self.db
    }

    /// As text that loses nothing, for URLs: percent-encoded, with the database in front: `3:popup`.
    pub fn id(&self) -> String {
        match self.db {
            0 => id_of(self),
            db => format!("{db}:{}", id_of(self)),
        }
    }

    /// The inverse of [`Key::id`]. A colon within a key is percent-encoded.
    pub fn of_id(id: &str) -> Key {
        let number = |text: &str| text.parse().ok().filter(|db: &i64| *db > 0 && text == db.to_string());
        match id.split_once(':').and_then(|(db, key)| Some((number(db)?, key))) {
            Some((db, key)) => Key::in_db(db, bytes_of(key)),
            None => Key::in_db(0, bytes_of(id)),
        }
    }

    /// For people.
    pub fn name(&self) -> String {
        match self.db {
            0 => name_of(self),
            db => format!("{} (database {db})", name_of(self)),
        }
    }
}

impl From<Vec<u8>> for Key {
    fn from(bytes: Vec<u8>) -> Key {
        Key::in_db(0, bytes)
    }
}

impl From<&[u8]> for Key {
    fn from(bytes: &[u8]) -> Key {
        Key::in_db(0, bytes)
    }
}

impl<const LENGTH: usize> From<[u8; LENGTH]> for Key {
    fn from(bytes: [u8; LENGTH]) -> Key {
        Key::in_db(0, bytes)
    }
}

impl Deref for Key {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_says_the_database() {
        for key in
            [Key::from(*b"popup"), Key::in_db(3, *b"popup"), Key::from(*b"3:popup"), Key::in_db(12, *b"a:b/\xff")]
        {
            assert_eq!(Key::of_id(&key.id()), key);
        }
        assert_eq!([Key::in_db(3, *b"a:b").id(), Key::from(*b"3:b").id()], ["3:a%3Ab", "3%3Ab"]);
        assert_eq!(Key::of_id("shop:42"), Key::from(*b"shop:42"));
        assert_eq!(Key::of_id("03:a"), Key::from(*b"03:a"));
    }
}
