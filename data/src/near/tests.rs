//! Clusters against brute force, planted edits, and hostile rows.

use rand_core::Rng;

use super::exam::{found_pairs, plain_jaccard, plain_set};
use super::*;
use crate::spill::Scratch;
use crate::stream::{stream, uniform_below};

fn options(similarity: f64, keep: Keep, folder: &std::path::Path, memory_bytes: usize) -> NearOptions {
    NearOptions {
        similarity,
        keep,
        pairs: false,
        scratch: Scratch { folder: folder.to_owned(), memory_bytes },
    }
}

fn clusters(texts: &[String], similarity: f64, keep: Keep, memory_bytes: usize) -> Clusters {
    let folder = tempfile::tempdir().expect("a folder");
    let mut finder =
        NearFinder::new(options(similarity, keep, folder.path(), memory_bytes)).expect("a similarity");
    texts.iter().for_each(|text| finder.push(text).expect("room"));
    finder.finish().expect("clusters")
}

fn words(random: &mut rand_chacha::ChaCha8Rng, count: usize, vocabulary: u64) -> Vec<String> {
    (0..count)
        .map(|_| format!("w{:x}", uniform_below(random, vocabulary).wrapping_mul(0x9e37_79b9) % 99_991))
        .collect()
}

/// Texts of which many are edits of others.
fn edited(count: usize, seed: u64) -> Vec<String> {
    let mut random = stream(seed, "test", "near rows", 0);
    let mut texts: Vec<String> = Vec::new();
    for _ in 0..count {
        let length = 2 + uniform_below(&mut random, 25) as usize;
        let mut row = words(&mut random, length, 300);
        if !texts.is_empty() && uniform_below(&mut random, 2) > 0 {
            let earlier = uniform_below(&mut random, texts.len() as u64) as usize;
            row = texts[earlier].split(' ').map(str::to_owned).collect();
            for _ in 0..uniform_below(&mut random, 4) {
                let place = uniform_below(&mut random, row.len() as u64) as usize;
                row[place] = words(&mut random, 1, 300).remove(0);
            }
        }
        let place = uniform_below(&mut random, texts.len() as u64 + 1) as usize;
        texts.insert(place, row.join(" "));
    }
    texts
}

#[test]
fn pairs_are_those_of_brute_force() {
    for similarity in [0.5, 0.7, 0.9] {
        let (mut expected, mut hits) = (0, 0);
        for seed in 0..4 {
            let texts = edited(300, seed);
            let rows: Vec<&str> = texts.iter().map(String::as_str).collect();
            let sets: Vec<_> = rows.iter().map(|row| plain_set(row)).collect();
            let found = found_pairs(&rows, similarity);
            for second in 0..rows.len() {
                for first in 0..second {
                    let near = plain_jaccard(&sets[first], &sets[second]) >= similarity;
                    let was_found = found.contains(&(first, second));
                    assert!(near || !was_found, "{first} and {second} are not near");
                    expected += usize::from(near);
                    hits += usize::from(was_found);
                }
            }
        }
        assert!(expected > 200, "{expected}");
        assert!(hits as f64 >= 0.99 * f64::from(expected as u32), "{similarity}: {hits} of {expected}");
    }
}

#[test]
fn a_row_stays_and_stands_for_its_cluster() {
    let texts = [
        "The parcel has not arrived yet, where is it?",
        "Something else entirely",
        "the parcel has NOT arrived yet - where is it",
        "The parcel has not arrived yet, so where is it now?",
        "!!!",
        "???",
        "something else, entirely!",
    ]
    .map(str::to_owned);
    let first = clusters(&texts, 0.7, Keep::First, 1 << 20);
    let representatives: Vec<usize> = (0..texts.len()).map(|row| first.representative(row)).collect();
    assert_eq!(representatives, [0, 1, 0, 0, 4, 5, 1]);
    let longest = clusters(&texts, 0.7, Keep::Longest, 1 << 20);
    let representatives: Vec<usize> = (0..texts.len()).map(|row| longest.representative(row)).collect();
    assert_eq!(representatives, [3, 1, 3, 3, 4, 5, 1]);
    let listed: Vec<Cluster> = longest.iter().map(|cluster| cluster.expect("a cluster")).collect();
    assert_eq!(listed, [Cluster { kept: 3, rows: vec![0, 2, 3] }, Cluster { kept: 1, rows: vec![1, 6] }]);
    assert_eq!((longest.rows(), longest.dropped(), longest.clusters()), (7, 3, 2));
    let kept = (0..longest.rows()).filter(|&row| longest.kept(row)).count();
    assert_eq!(kept + longest.dropped(), longest.rows());
}

/// Two workers or one, buffers of nothing or of plenty: the same clusters.
#[test]
fn threads_and_memory_change_nothing() {
    let texts = edited(3_000, 9);
    let result = |threads: usize, memory_bytes: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| {
            let found = clusters(&texts, 0.7, Keep::Longest, memory_bytes);
            let listed: Vec<Cluster> = found.iter().map(|cluster| cluster.expect("a cluster")).collect();
            (found.representatives, listed)
        })
    };
    let one = result(1, 1 << 30);
    assert!(one.1.len() > 100, "{}", one.1.len());
    assert_eq!(one, result(3, 1 << 30));
    assert_eq!(one, result(2, 0));
}

#[test]
fn a_hundred_thousand_near_equal_rows_are_one_cluster() {
    let body = "the quick brown fox jumps over the lazy dog and runs into the wide green forest again";
    let texts: Vec<String> = (0..100_000).map(|row| format!("{body} {row}")).collect();
    let found = clusters(&texts, 0.8, Keep::First, 16 << 20);
    assert_eq!((found.clusters(), found.dropped()), (1, texts.len() - 1));
    // All pairs would be five thousand million.
    assert!(found.comparisons() < 10 * texts.len() as u64, "{}", found.comparisons());
}

/// Rows that all share most of their text without being near-equal meet in every bucket, and are still done with.
#[test]
fn a_template_with_other_words_is_no_cluster() {
    let mut random = stream(2, "test", "template", 0);
    let texts: Vec<String> = (0..20_000)
        .map(|_| {
            format!("please answer the question of the customer: {}", words(&mut random, 5, 90_000).join(" "))
        })
        .collect();
    let found = clusters(&texts, 0.7, Keep::First, 16 << 20);
    assert!(found.dropped() < 20, "{}", found.dropped());
    assert!(found.comparisons() < 1_000 * texts.len() as u64, "{}", found.comparisons());
}

#[test]
fn hostile_rows_are_compared_like_others() {
    let long = "long text ".repeat(200_000);
    let mut other = long.clone();
    other.push_str("with another end");
    let texts =
        [String::new(), "\0".into(), long, "\0\0".into(), other, String::new(), "a".into(), "A".into()];
    let found = clusters(&texts, 0.7, Keep::First, 0);
    let representatives: Vec<usize> = (0..texts.len()).map(|row| found.representative(row)).collect();
    assert_eq!(representatives, [0, 1, 2, 3, 2, 5, 6, 6]);
    let none = clusters(&[], 0.7, Keep::Longest, 0);
    assert_eq!((none.rows(), none.iter().count()), (0, 0));
}

#[test]
fn a_similarity_outside_its_range_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    for similarity in [0.0, 0.49, 1.01, f64::NAN] {
        let refused = NearFinder::new(options(similarity, Keep::First, folder.path(), 0));
        let error = refused.err().expect("an error").to_string();
        assert!(error.contains("between 0.5 and 1"), "{error}");
    }
}

/// Every edit of one word in a row of thirty is found.
#[test]
fn planted_edits_are_found() {
    let mut random = stream(11, "test", "planted", 0);
    let mut texts: Vec<String> = (0..5_000).map(|_| words(&mut random, 30, 90_000).join(" ")).collect();
    let mut planted = Vec::new();
    for _ in 0..1_000 {
        let source = uniform_below(&mut random, 5_000) as usize;
        let mut row: Vec<String> = texts[source].split(' ').map(str::to_owned).collect();
        let place = uniform_below(&mut random, 30) as usize;
        row[place] = format!("new{}", random.next_u32() % 1000);
        planted.push((source, texts.len()));
        texts.push(row.join(" "));
    }
    let found = clusters(&texts, 0.7, Keep::First, 1 << 20);
    let hits = planted
        .iter()
        .filter(|(one, other)| found.representative(*one) == found.representative(*other))
        .count();
    assert_eq!(hits, planted.len());
    assert!(found.dropped() < 1_010, "{}", found.dropped());
}
