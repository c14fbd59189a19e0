//! rtune's rules for personal data beside datafog-core and redact-core: megabytes a second on one core, and how many labelled
//! spans each finds. The time is that of the thread, so that a busy machine counts less.
//! `pii_speed FILE [ROUNDS [PEER]]`, FILE being JSONL rows of `text` and `spans` [start, end, entity] in code points; PEER is a
//! part of the names of those that are to run.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::PathBuf;

use anyhow::{Context, Result};
use cpu_time::ThreadTime;
use redact_core::AnalyzerEngine;
use rtune_privacy::{Entity, ScanOptions, Scanner};
use serde_json::Value;

/// A round goes over so many bytes, in whole passes, so that a timer's grain and a first touch do not count; the slow one does less.
const QUICK_BYTES: usize = 4_000_000;
const SLOW_BYTES: usize = 40_000;

/// Byte spans of a text.
type Spans = Vec<(usize, usize)>;

struct Peer {
    name: &'static str,
    /// To go over in a round.
    bytes: usize,
    find: Box<dyn Fn(&str) -> Spans>,
}

struct Row {
    text: String,
    gold: Vec<(usize, usize, String)>,
}

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let path = PathBuf::from(arguments.next().context("expected a file of rows")?);
    let rounds = arguments.next().and_then(|rounds| rounds.to_str()?.parse().ok()).unwrap_or(7);
    let rows = rows(&path)?;
    let wanted = arguments.next().and_then(|name| name.into_string().ok()).unwrap_or_default();
    let mut peers = peers()?;
    peers.retain(|peer| peer.name.contains(&wanted));
    let joined: String = rows.iter().map(|row| format!("{}\n", row.text)).collect();
    println!("{} rows, {} bytes; {rounds} rounds, one thread", rows.len(), joined.len());
    speed(&peers, &rows, &joined, rounds);
    quality(&peers, &rows);
    Ok(())
}

fn rows(path: &std::path::Path) -> Result<Vec<Row>> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    text.lines()
        .map(|line| {
            let row: Value = serde_json::from_str(line)?;
            let spans = row["spans"].as_array().context("a row without spans")?;
            let text = row["text"].as_str().context("a row without text")?.to_owned();
            let byte = |at: &Value| {
                let at = at.as_u64().unwrap_or_default() as usize;
                text.char_indices().nth(at).map_or(text.len(), |(byte, _)| byte)
            };
            let gold = spans
                .iter()
                .map(|span| (byte(&span[0]), byte(&span[1]), span[2].as_str().unwrap_or_default().to_owned()))
                .collect();
            Ok(Row { text, gold })
        })
        .collect()
}

fn peers() -> Result<Vec<Peer>> {
    let of = |options: ScanOptions| -> Result<Box<dyn Fn(&str) -> Spans>> {
        let scanner = Scanner::new(&options)?;
        Ok(Box::new(move |text: &str| {
            scanner.scan(text).iter().map(|finding| (finding.start, finding.end)).collect()
        }))
    };
    let rules = ScanOptions { names: false, ..ScanOptions::default() };
    let all = ScanOptions { entities: Entity::ALL.to_vec(), ..rules.clone() };
    let datafog = |text: &str| {
        let findings = datafog_core::scan(text);
        findings.iter().map(|finding| (finding.byte_range.start, finding.byte_range.end)).collect()
    };
    let engine = AnalyzerEngine::new();
    let redact = move |text: &str| {
        let found = engine.analyze(text, None).map(|result| result.detected_entities).unwrap_or_default();
        found.iter().map(|result| (result.start, result.end)).collect()
    };
    Ok(vec![
        Peer { name: "rtune, default", bytes: QUICK_BYTES, find: of(rules)? },
        Peer { name: "rtune, all", bytes: QUICK_BYTES, find: of(all)? },
        Peer { name: "datafog-core", bytes: QUICK_BYTES, find: Box::new(datafog) },
        Peer { name: "redact-core", bytes: SLOW_BYTES, find: Box::new(redact) },
    ])
}

fn speed(peers: &[Peer], rows: &[Row], joined: &str, rounds: usize) {
    let mut as_one = vec![Vec::new(); peers.len()];
    let mut by_row = vec![Vec::new(); peers.len()];
    for round in 0..=rounds {
        for (index, peer) in peers.iter().enumerate() {
            let passes = peer.bytes.div_ceil(joined.len());
            let start = ThreadTime::now();
            for _ in 0..passes {
                black_box((peer.find)(black_box(joined)));
            }
            let one = (joined.len() * passes) as f64 / start.elapsed().as_secs_f64() / 1e6;
            let start = ThreadTime::now();
            for _ in 0..passes {
                for row in rows {
                    black_box((peer.find)(black_box(&row.text)));
                }
            }
            let each = (joined.len() * passes) as f64 / start.elapsed().as_secs_f64() / 1e6;
            // The first round compiles what is compiled late.
            if round > 0 {
                as_one[index].push(one);
                by_row[index].push(each);
            }
        }
    }
    println!("{:<16} {:>26} {:>26}", "MB/s", "one text: median (best)", "row by row: median (best)");
    for (index, peer) in peers.iter().enumerate() {
        let shown = |values: &mut Vec<f64>| {
            values.sort_by(f64::total_cmp);
            format!("{:.1} ({:.1})", values[values.len() / 2], values[values.len() - 1])
        };
        println!("{:<16} {:>26} {:>26}", peer.name, shown(&mut as_one[index]), shown(&mut by_row[index]));
    }
}

/// A span is found if four fifths of it lie within findings, whatever they are called.
fn quality(peers: &[Peer], rows: &[Row]) {
    let mut found: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    let mut spans: BTreeMap<&str, usize> = BTreeMap::new();
    let mut outside = vec![0; peers.len()];
    for row in rows {
        for (_, _, entity) in &row.gold {
            *spans.entry(entity).or_default() += 1;
        }
        for (index, peer) in peers.iter().enumerate() {
            let findings = (peer.find)(&row.text);
            for (start, end, entity) in &row.gold {
                let covered = |span: &(usize, usize)| span.1.min(*end).saturating_sub(span.0.max(*start));
                let is_found = findings.iter().map(covered).sum::<usize>() * 5 >= (end - start) * 4;
                found.entry(entity).or_insert_with(|| vec![0; peers.len()])[index] += usize::from(is_found);
            }
            let is_in_gold = |at: usize| row.gold.iter().any(|(start, end, _)| (*start..*end).contains(&at));
            let mut bytes: Vec<usize> = findings.iter().flat_map(|(start, end)| *start..*end).collect();
            bytes.sort_unstable();
            bytes.dedup();
            outside[index] += bytes.into_iter().filter(|at| !is_in_gold(*at)).count();
        }
    }
    print!("\n{:<18} {:>6}", "found", "spans");
    peers.iter().for_each(|peer| print!(" {:>16}", peer.name));
    println!();
    let mut total = vec![0; peers.len()];
    for (entity, counts) in &found {
        print!("{entity:<18} {:>6}", spans[entity]);
        for (index, count) in counts.iter().enumerate() {
            total[index] += count;
            print!(" {count:>16}");
        }
        println!();
    }
    print!("{:<18} {:>6}", "all", spans.values().sum::<usize>());
    total.iter().for_each(|count| print!(" {count:>16}"));
    print!("\n{:<25}", "bytes in no span");
    outside.iter().for_each(|count| print!(" {count:>16}"));
    println!();
}
