//! Who answers whom.

use std::collections::HashMap;

use mail_parser::{HeaderValue, MessageParser};
use xxhash_rust::xxh3::xxh3_64;

/// Where a mail stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Its number in the mailbox, counted from 1.
    pub(super) number: u64,
    /// Bytes before it, without its line `From `.
    pub(super) offset: u64,
    pub(super) length_bytes: u64,
}

/// Mails that belong together.
#[derive(Default)]
pub(super) struct Threads {
    mails: Vec<Known>,
    /// The group of each mail, and of each that was only spoken of: a forest whose roots name themselves.
    parents: Vec<u32>,
    /// Nodes by the hash of the mail's id.
    ids: HashMap<u64, u32>,
    /// Nodes by the hash of the subject.
    subjects: HashMap<u64, u32>,
}

struct Known {
    place: Place,
    node: u32,
    /// Seconds since 1970, if it says so.
    date: Option<i64>,
}

impl Threads {
    pub(super) fn is_empty(&self) -> bool {
        self.mails.is_empty()
    }

    /// Takes a mail by its header: it belongs to those that it refers to; an answer that refers to none belongs to the
    /// last mail of its subject.
    pub(super) fn add(&mut self, place: Place, header: &[u8]) {
        let parsed = MessageParser::new().parse_headers(header);
        let mail = parsed.as_ref();
        let node = match mail.and_then(|mail| mail.message_id()) {
            Some(id) => self.node_of(id),
            None => self.new_node(),
        };
        let mut refers = false;
        for list in mail.into_iter().flat_map(|mail| [mail.references(), mail.in_reply_to()]) {
            for id in ids(list) {
                let other = self.node_of(id);
                self.join(node, other);
                refers = true;
            }
        }
        let subject =
            mail.and_then(|mail| Some((mail.thread_name()?.trim().to_lowercase(), mail.subject()?)));
        if let Some((subject, written)) = subject.filter(|(subject, _)| !subject.is_empty()) {
            let hash = xxh3_64(subject.as_bytes());
            let answers = written.trim().len() > subject.len();
            if let Some(&other) = self.subjects.get(&hash).filter(|_| answers && !refers) {
                self.join(node, other);
            }
            self.subjects.insert(hash, node);
        }
        let date = mail.and_then(|mail| mail.date()).map(|date| date.to_timestamp());
        self.mails.push(Known { place, node, date });
    }

    /// The threads in the order of their first mails; inside a thread by date, where all mails have one.
    pub(super) fn into_lists(mut self) -> Vec<Vec<Place>> {
        let mut at = HashMap::new();
        let mut lists: Vec<Vec<Known>> = Vec::new();
        for mail in std::mem::take(&mut self.mails) {
            let root = self.root(mail.node);
            let index = *at.entry(root).or_insert(lists.len());
            match lists.get_mut(index) {
                Some(list) => list.push(mail),
                None => lists.push(vec![mail]),
            }
        }
        let in_order = |mut list: Vec<Known>| {
            if list.iter().all(|mail| mail.date.is_some()) {
                list.sort_by_key(|mail| mail.date);
            }
            list.into_iter().map(|mail| mail.place).collect()
        };
        lists.into_iter().map(in_order).collect()
    }

    fn node_of(&mut self, id: &str) -> u32 {
        let next = self.parents.len() as u32;
        let node = *self.ids.entry(xxh3_64(id.trim().as_bytes())).or_insert(next);
        if node == next {
            self.parents.push(next);
        }
        node
    }

    fn new_node(&mut self) -> u32 {
        let node = self.parents.len() as u32;
        self.parents.push(node);
        node
    }

    fn root(&mut self, mut node: u32) -> u32 {
        while self.parents[node as usize] != node {
            // Every second step is cut short, so that ways stay short without a second walk.
            let above = self.parents[node as usize];
            self.parents[node as usize] = self.parents[above as usize];
            node = self.parents[node as usize];
        }
        node
    }

    fn join(&mut self, one: u32, other: u32) {
        let (one, other) = (self.root(one), self.root(other));
        self.parents[one.max(other) as usize] = one.min(other);
    }
}

fn ids<'a>(list: &'a HeaderValue<'a>) -> Vec<&'a str> {
    match list {
        HeaderValue::Text(id) => vec![id],
        HeaderValue::TextList(ids) => ids.iter().map(AsRef::as_ref).collect(),
        _ => Vec::new(),
    }
}
