//! What the base answered to the same questions for another model: it is not asked twice.

use super::asked::Asked;
use super::figures::{GoldenReport, Side, Summary};
use super::variants::VariedAnswer;

/// Whether `report` is of these cases, one by one. Whether its base is this one is for the caller to know.
pub(super) fn knows(report: &GoldenReport, asked: &[Asked], variants: usize) -> bool {
    let is_same = |(case, asked): (&super::figures::Case, &Asked)| {
        case.id == asked.record.id
            && case.prompt == asked.record.prompt()
            && case.expected.first().map_or("", String::as_str) == asked.answer()
    };
    let of_cases = report.cases.iter().map(|case| case.variants.len()).sum::<usize>();
    report.cases.len() == asked.len() && of_cases == variants && report.cases.iter().zip(asked).all(is_same)
}

/// The base's answers, figures and answers to variants.
pub(super) fn recalled(report: &GoldenReport) -> (Vec<Side>, Summary, Vec<VariedAnswer>) {
    let sides = report.cases.iter().map(|case| case.base.clone()).collect();
    let variants = report.cases.iter().flat_map(|case| &case.variants);
    (sides, report.base.clone(), variants.map(|variant| variant.base.clone()).collect())
}
