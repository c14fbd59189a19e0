//! A baseline of labels that knows no model: the label of the training row that is most like the question.

use rtune_data::{DataError, Reader, Source};
use rtune_metrics::classify::NearestRow;

use super::asked::Asked;
use super::labels::{Judged, LabelOptions, Labelled};

/// Rows that are looked through: each takes some kB of memory, and more of them hardly move the baseline.
const MOST_ROWS: usize = 100_000;

/// What copying the label of the nearest training row would come to, by character 5-grams of what the user says; `None` where no
/// training row has a label. Nothing else needs the training files: what of them cannot be read is left out, and `notes` says so.
pub(super) fn nearest_row(
    asked: &[Asked],
    labelled: &Labelled,
    options: &LabelOptions,
    notes: &mut Vec<String>,
) -> Option<Judged> {
    let (mut texts, mut labels) = (Vec::new(), Vec::new());
    let mut take = |text: String, answer: &str| {
        if let Some(label) = labelled.set.parse(answer) {
            texts.push(text);
            labels.push(label);
        }
    };
    match rows(&options.train, MOST_ROWS, &mut take) {
        Ok(true) => {}
        Ok(false) => notes.push(format!("the nearest training row is one of the first {MOST_ROWS}")),
        Err(error) => {
            notes.push(format!("the baseline of the nearest training row is left out: {error}"));
            return None;
        }
    }
    if texts.is_empty() {
        return None;
    }
    let rows = NearestRow::new(texts.iter().map(String::as_str));
    let found = asked.iter().map(|one| rows.nearest(&one.record.users_text()).map(|(row, _)| labels[row]));
    let pairs = labelled.gold.iter().copied().zip(found);
    Some(Judged::new(&labelled.set, pairs, &options.key_classes))
}

/// Hands at most `most` rows to `take`: what the user says, and the answer. Whether those were all.
fn rows(sources: &[Source], most: usize, take: &mut dyn FnMut(String, &str)) -> Result<bool, DataError> {
    let (mut reader, mut seen) = (Reader::open(sources)?, 0);
    while let Some(row) = reader.next()? {
        if seen == most {
            return Ok(false);
        }
        seen += 1;
        // A row that is none has no label.
        if let Ok((record, _)) = row.record {
            take(record.users_text(), record.answer().unwrap_or_default());
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_bounded_and_what_is_not_there_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("train.jsonl");
        let rows_of = "{\"instruction\": \"a\", \"output\": \"x\"}\nno row\n{\"instruction\": \"b\", \"output\": \"y\"}\n";
        std::fs::write(&file, rows_of).expect("written");
        let read = |most: usize| {
            let mut answers = Vec::new();
            let all = rows(&[Source::new(&file)], most, &mut |_, answer| answers.push(answer.to_owned()));
            (all.expect("readable"), answers)
        };
        assert_eq!(read(3), (true, vec!["x".to_owned(), "y".to_owned()]));
        assert_eq!(read(2), (false, vec!["x".to_owned()]));
        assert!(rows(&[Source::new(folder.path().join("none.jsonl"))], 1, &mut |_, _| {}).is_err());
    }
}
