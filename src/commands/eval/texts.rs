//! Golden rows that are texts: how likely they are, for people.

use comfy_table::Table;
use rtune_metrics::likelihood::shown;
use rtune_trainer::evaluate::golden::{GoldenReport, Likely};
use rtune_trainer::evaluate::plain::PlainTexts;

use crate::table::{align_right, table as empty};

/// The figures of the base and, where there is one, of the tuned model.
pub(super) fn table(texts: &PlainTexts) -> Table {
    let tuned = texts.tuned.iter().map(|tuned| ("tuned".to_owned(), tuned));
    columns(&std::iter::once(("base".to_owned(), &texts.base)).chain(tuned).collect::<Vec<_>>())
}

/// Several models side by side: each by its name, and once a base that they share; `None` where no texts were weighed.
pub(super) fn beside(reports: &[(String, &GoldenReport)]) -> Option<Table> {
    let mut all: Vec<(String, &Likely)> = Vec::new();
    for (name, texts) in reports.iter().filter_map(|(name, report)| Some((name, report.texts.as_ref()?))) {
        match &texts.tuned {
            Some(tuned) => {
                if all.iter().all(|(_, known)| **known != texts.base) {
                    all.push((format!("{name}: base"), &texts.base));
                }
                all.push((name.clone(), tuned));
            }
            None => all.push((name.clone(), &texts.base)),
        }
    }
    (!all.is_empty()).then(|| columns(&all))
}

fn columns(models: &[(String, &Likely)]) -> Table {
    let names = models.iter().map(|(name, _)| name.as_str());
    let mut table = empty(std::iter::once("").chain(names).collect::<Vec<_>>());
    let mut add = |name: &str, value: &dyn Fn(&Likely) -> String| {
        let values = models.iter().map(|(_, likely)| value(likely));
        table.add_row(std::iter::once(name.to_owned()).chain(values).collect::<Vec<String>>());
    };
    add("texts: perplexity a token", &|one| shown(one.token_perplexity, 3));
    add("texts: perplexity a word", &|one| shown(one.word_perplexity, 2));
    add("texts: bits a byte", &|one| format!("{:.4}", one.bits_per_byte));
    add("texts: likeliest tokens", &|one| format!("{:.1}%", 100.0 * one.token_accuracy));
    align_right(&mut table, 1);
    table
}
