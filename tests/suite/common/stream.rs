//! Reading a store's streams, as any client would.

use super::client::Client;
use super::command::IntoCommand;
use super::resp::Reply;

/// An entry of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its id, `ms-seq`.
    pub id: String,
    /// Its fields, in order.
    pub fields: Vec<(String, Vec<u8>)>,
}

impl Entry {
    /// An entry of a reply of XRANGE.
    #[track_caller]
    pub fn of(reply: &Reply) -> Entry {
        let [id, fields] = reply.array() else {
            panic!("not an entry: {reply:?}");
        };
        let fields = fields.pairs().into_iter();
        Entry { id: id.text(), fields: fields.map(|(name, value)| (name, value.bytes().to_vec())).collect() }
    }

    /// The names of its fields, in order.
    pub fn names(&self) -> Vec<&str> {
        self.fields.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// The value of a field, as bytes.
    #[track_caller]
    pub fn bytes(&self, name: &str) -> &[u8] {
        let found = self.fields.iter().find(|(field, _)| field == name);
        &found.unwrap_or_else(|| panic!("no field {name:?} in {self:?}")).1
    }

    /// The value of a field, as text.
    #[track_caller]
    pub fn text(&self, name: &str) -> String {
        String::from_utf8_lossy(self.bytes(name)).into_owned()
    }

    /// The milliseconds of its id.
    pub fn ms(&self) -> i64 {
        let ms = self.id.split('-').next().unwrap_or_default();
        ms.parse().expect("an id of milliseconds")
    }
}

/// All entries of a stream, oldest first; none when there is no such stream.
#[track_caller]
pub fn entries(client: &mut Client, stream: &str) -> Vec<Entry> {
    let reply = client.get(format!("XRANGE {stream} - +").into_command());
    reply.array().iter().map(Entry::of).collect()
}

/// The ids in an XREAD or XREADGROUP reply of one stream; none for nil.
#[track_caller]
pub fn ids_of(reply: &Reply) -> Vec<String> {
    match reply {
        Reply::Nil => Vec::new(),
        streams => {
            let (_, read) = &streams_of(streams)[0];
            read.array().iter().map(|entry| Entry::of(entry).id).collect()
        }
    }
}

fn streams_of(reply: &Reply) -> Vec<(String, Reply)> {
    match reply {
        Reply::Map(_) => reply.pairs(),
        // RESP2: an array of [stream, entries].
        _ => reply.array().iter().flat_map(Reply::pairs).collect(),
    }
}
