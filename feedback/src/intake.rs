//! From what a tool wrote to what waits in a queue. Personal data goes first, in memory: nothing of it touches the disk.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use rtune_data::clean::duplicates::{canonical, canonical_hash};
use rtune_data::{
    LeakFinder, LeakOptions, LeakRow, Message, Origin, Reader, Record, Scratch, Source, read_golden,
};
use rtune_privacy::Scrubber;
use serde::Serialize;
use serde_json::json;

use crate::entry::{CameFrom, Entry, FORMAT, Leak, Raw};
use crate::error::FeedbackError;
use crate::forms::{Form, Read};
use crate::when::is_time;

/// Rows that are scrubbed at once.
const BATCH: usize = 256;
/// Entries that are held against the golden rows at once: the search gives up on what more rows than this have in common.
const AT_ONCE: usize = 10;

/// What feedback is held against.
pub struct Against<'a> {
    /// What replaces personal data; `None` where the configuration says that nothing is looked for.
    pub scrubber: Option<&'a Scrubber>,
    /// Golden rows: what resembles one never becomes a training row.
    pub golden: &'a [Source],
    /// Training rows: what they say already is not kept.
    pub train: &'a [Source],
    /// The similarity from which on two prompts are one, as `data.leaks.similarity`.
    pub similarity: f64,
    /// Most entries of one user in the queue.
    pub per_user: usize,
    /// The salt of the queue, by which users are hashed.
    pub salt: &'a [u8; 32],
    /// Where scrubbed texts wait while they are compared.
    pub folder: &'a Path,
}

/// What became of feedback.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Account {
    /// Read.
    pub read: usize,
    /// Kept, those that resemble a golden row too.
    pub kept: usize,
    /// Of those: they resemble a golden row, and are never trained on.
    pub leaks: usize,
    /// Not kept: nobody asked anything, or nothing is said of the answer.
    pub empty: usize,
    /// Not kept: `data.privacy.mode` is `drop-row`, and there is personal data in it.
    pub personal: usize,
    /// Not kept: the queue has it already.
    pub in_queue: usize,
    /// Not kept: a training row says just that.
    pub trained: usize,
    /// Not kept: its user has said enough.
    pub over_cap: usize,
    /// Not kept: tools are called in it, and a queue keeps texts alone.
    pub calls: usize,
    /// Left out: what an evaluator says, under a key that is no user's.
    pub not_users: usize,
    /// Left out: ratings of another scale.
    pub off_scale: usize,
    /// Personal data that was replaced, by kind.
    pub replaced: BTreeMap<String, usize>,
}

/// Makes entries of what was read, in its order; `known` are those of the queue.
///
/// # Errors
/// Those of the scrubber's model and of the rows that feedback is held against.
pub fn take_in(
    read: Read,
    known: &[Entry],
    against: &Against<'_>,
) -> Result<(Vec<Entry>, Account), FeedbackError> {
    let Read { raws, not_users, off_scale } = read;
    let mut account = Account { read: raws.len(), not_users, off_scale, ..Account::default() };
    let (calling, raws): (Vec<_>, Vec<_>) = raws.into_iter().partition(|(_, raw)| raw.calls);
    account.calls = calling.len();
    let mut seen: HashSet<String> = known.iter().map(|entry| entry.id.clone()).collect();
    let mut entries = Vec::new();
    for batch in chunks(raws) {
        for entry in scrubbed(batch, against, &mut account)? {
            if seen.insert(entry.id.clone()) {
                entries.push(entry);
            } else {
                account.in_queue += 1;
            }
        }
    }
    leaks(&mut entries, against)?;
    let mut entries = not_trained(entries, against, &mut account)?;
    let mut of_user: HashMap<String, usize> = HashMap::new();
    for user in known.iter().filter_map(|entry| entry.user.clone()) {
        *of_user.entry(user).or_default() += 1;
    }
    entries.retain(|entry| {
        let Some(user) = &entry.user else { return true };
        let count = of_user.entry(user.clone()).or_default();
        *count += 1;
        account.over_cap += usize::from(*count > against.per_user);
        *count <= against.per_user
    });
    entries.iter_mut().for_each(|entry| entry.tagged = None);
    account.kept = entries.len();
    account.leaks = entries.iter().filter(|entry| entry.leak.is_some()).count();
    for (kind, count) in entries.iter().flat_map(|entry| &entry.replaced) {
        *account.replaced.entry(kind.clone()).or_default() += count;
    }
    Ok((entries, account))
}

fn chunks(raws: Vec<(Form, Raw)>) -> impl Iterator<Item = Vec<(Form, Raw)>> {
    let mut raws = raws.into_iter();
    std::iter::from_fn(move || {
        let batch: Vec<_> = raws.by_ref().take(BATCH).collect();
        (!batch.is_empty()).then_some(batch)
    })
}

/// Entries of a batch, without what says nothing and what must go.
fn scrubbed(
    batch: Vec<(Form, Raw)>,
    against: &Against<'_>,
    account: &mut Account,
) -> Result<Vec<Entry>, FeedbackError> {
    let says = |raw: &Raw| {
        let of_answer = raw.rating.is_some() || raw.stars.is_some() || raw.comment.is_some();
        !raw.asked().trim().is_empty() && (of_answer || raw.correction.is_some())
    };
    let (mut batch, empty): (Vec<_>, Vec<_>) = batch.into_iter().partition(|(_, raw)| says(raw));
    account.empty += empty.len();
    let mut texts: Vec<Vec<String>> =
        batch.iter_mut().map(|(_, raw)| raw.texts().into_iter().map(std::mem::take).collect()).collect();
    let found = match against.scrubber {
        Some(scrubber) => scrubber.scrub_batch(&mut texts)?,
        None => texts.iter().map(|_| rtune_privacy::Scrubbed::default()).collect(),
    };
    let mut entries = Vec::new();
    for (((form, mut raw), texts), found) in batch.into_iter().zip(texts).zip(found) {
        if found.drop {
            account.personal += 1;
            continue;
        }
        raw.texts().into_iter().zip(texts).for_each(|(place, text)| *place = text);
        let replaced = found.counts.into_iter().map(|(entity, count)| (entity.name().to_owned(), count));
        let replaced = if found.replaced > 0 { replaced.collect() } else { BTreeMap::new() };
        let tagged = found.tagged.map(|texts| {
            let mut raw = raw.clone();
            raw.texts().into_iter().zip(texts).for_each(|(place, text)| *place = text);
            entry(form, raw, BTreeMap::new(), against.salt).record()
        });
        entries.push(Entry { tagged, ..entry(form, raw, replaced, against.salt) });
    }
    Ok(entries)
}

impl Raw {
    /// Every text that somebody wrote, in a fixed order; ids and users are hashed and not scrubbed.
    fn texts(&mut self) -> Vec<&mut String> {
        let turns = self.messages.iter_mut().map(|turn| &mut turn.content);
        turns
            .chain(&mut self.answer)
            .chain(&mut self.comment)
            .chain(&mut self.correction)
            .chain(&mut self.model)
            .collect()
    }
}

fn entry(form: Form, raw: Raw, replaced: BTreeMap<String, usize>, salt: &[u8; 32]) -> Entry {
    let hashed = |what: &str, text: String| {
        let mut hasher = blake3::Hasher::new_keyed(salt);
        hasher.update(what.as_bytes()).update(b"\n").update(text.as_bytes());
        hasher.finalize().to_hex()[..16].to_owned()
    };
    let mut entry = Entry {
        format: FORMAT,
        id: String::new(),
        from: CameFrom {
            form: form.name().to_owned(),
            file: raw.file.display().to_string(),
            line: raw.line,
            id: raw.id.map(|id| hashed("id", id)),
        },
        messages: raw.messages,
        answer: raw.answer,
        rating: raw.rating,
        stars: raw.stars,
        comment: raw.comment,
        correction: raw.correction,
        user: raw.user.map(|user| hashed("user", user)),
        model: raw.model,
        // Another text is nobody's affair, and was not scrubbed.
        created: raw.created.filter(|text| is_time(text)),
        leak: None,
        resembles: None,
        replaced,
        tagged: None,
    };
    entry.id = id_of(&entry);
    entry
}

/// The hash of what an entry says, white space, case and punctuation aside: whoever says the same again adds nothing.
fn id_of(entry: &Entry) -> String {
    let mut hasher = blake3::Hasher::new();
    let mut add = |text: &str| {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    };
    for turn in &entry.messages {
        add(&turn.role);
        add(&canonical(&turn.content));
    }
    for text in [&entry.answer, &entry.correction, &entry.comment] {
        add(text.as_deref().map(canonical).as_deref().unwrap_or("\0"));
    }
    add(&format!("{:?} {:?}", entry.rating, entry.stars));
    format!("fb-{}", &hasher.finalize().to_hex()[..16])
}

impl Entry {
    /// As a row that would be trained, for comparison: what two people said has other stand-ins in each, and is one.
    fn record(&self) -> Record {
        if let Some(tagged) = &self.tagged {
            return tagged.clone();
        }
        let origin = Origin { file: Path::new(&self.from.file).into(), line: self.from.line as u64 };
        let said = self.to_train().or(self.answer.as_deref()).unwrap_or_default();
        let turns = self.messages.iter().map(|turn| Message::new(turn.role.as_str(), turn.content.as_str()));
        Record::new(None, origin, turns.chain([Message::new("assistant", said)]).collect())
    }
}

fn finder(against: &Against<'_>, pairs: usize) -> Result<LeakFinder, FeedbackError> {
    let plain = LeakOptions::new(Scratch::new(against.folder));
    // Every entry that resembles a golden row must be found. What many say is no form letter here: whoever sent one question often enough would
    // have it left out of the comparison.
    let (pairs_per_row, shared_line, passages) = (pairs.max(plain.pairs_per_row), 1.0, false);
    let similarity = against.similarity;
    Ok(LeakFinder::new(LeakOptions { similarity, pairs_per_row, shared_line, passages, ..plain })?)
}

/// A row as feedback is compared: without its personal data, and with tags where it would have stand-ins.
fn clean(mut record: Record, against: &Against<'_>) -> Result<Record, FeedbackError> {
    if let Some(scrubber) = against.scrubber {
        let mut texts: Vec<String> = record.texts_mut().into_iter().map(std::mem::take).collect();
        let scrubbed = scrubber.scrub(&mut texts)?;
        let texts = scrubbed.tagged.unwrap_or(texts);
        record.texts_mut().into_iter().zip(texts).for_each(|(place, text)| *place = text);
    }
    Ok(record)
}

/// Marks entries that would give a golden row away.
fn leaks(entries: &mut [Entry], against: &Against<'_>) -> Result<(), FeedbackError> {
    if against.golden.is_empty() || entries.is_empty() {
        return Ok(());
    }
    let mut golden = Vec::new();
    for row in read_golden(against.golden, false)?.into_iter().flat_map(|file| file.rows) {
        let place = row.record.origin.to_string();
        let record = clean(row.record, against)?;
        golden.push((place, LeakRow::of(&record)));
    }
    for entries in entries.chunks_mut(AT_ONCE) {
        let mut finder = finder(against, AT_ONCE)?;
        for (_, row) in &golden {
            finder.held_out(0, row)?;
        }
        for entry in entries.iter() {
            finder.train(&LeakRow::of(&entry.record()))?;
        }
        let found = finder.finish()?;
        for pair in found.pairs() {
            let pair = pair.map_err(rtune_data::DataError::from)?;
            let Some(entry) = entries.get_mut(pair.train_row) else { continue };
            if entry.leak.as_ref().is_none_or(|before| before.similarity < pair.similarity) {
                let golden = golden.get(pair.held_out_row).map(|row| row.0.clone()).unwrap_or_default();
                let (kind, similarity) = (pair.kind.name().to_owned(), pair.similarity);
                entry.leak = Some(Leak { golden, kind, similarity });
            }
        }
    }
    Ok(())
}

/// Entries that no training row says already; those that a training row answers otherwise are marked.
fn not_trained(
    mut entries: Vec<Entry>,
    against: &Against<'_>,
    account: &mut Account,
) -> Result<Vec<Entry>, FeedbackError> {
    if against.train.is_empty() || entries.is_empty() {
        return Ok(entries);
    }
    let mut finder = finder(against, 0)?;
    for entry in &entries {
        finder.held_out(0, &LeakRow::of(&entry.record()))?;
    }
    let mut reader = Reader::open(against.train)?;
    let (mut places, mut rows): (Vec<Arc<str>>, HashSet<[u8; 16]>) = (Vec::new(), HashSet::new());
    while let Some(row) = reader.next()? {
        // A row that cannot be read is no row that is trained on.
        let Ok((record, _)) = row.record else { continue };
        let record = clean(record, against)?;
        let row = LeakRow::of(&record);
        places.push(record.origin.to_string().into());
        rows.insert(row.conversation);
        finder.train(&row)?;
    }
    let found = finder.finish()?;
    for pair in found.pairs() {
        let pair = pair.map_err(rtune_data::DataError::from)?;
        if let Some(entry) = entries.get_mut(pair.held_out_row)
            && entry.resembles.is_none()
        {
            entry.resembles = places.get(pair.train_row).map(ToString::to_string);
        }
    }
    entries.retain(|entry| {
        // What speaks against an answer is news, though the answer be a training row's.
        let is_known = entry.to_train().is_some() && rows.contains(&canonical_hash(&entry.record().messages));
        account.trained += usize::from(is_known);
        !is_known
    });
    Ok(entries)
}

/// A row to train on, as JSON: what was asked, and `answer`. Answers of before are not trained: nobody judged them.
pub(crate) fn row(entry: &Entry, answer: &str) -> serde_json::Value {
    let asked = entry.messages.iter().map(|turn| match turn.role.as_str() {
        "assistant" => json!({"role": turn.role, "content": turn.content, "weight": 0}),
        _ => json!({"role": turn.role, "content": turn.content}),
    });
    let turns: Vec<_> = asked.chain([json!({"role": "assistant", "content": answer})]).collect();
    json!({"id": entry.id, "messages": turns})
}
