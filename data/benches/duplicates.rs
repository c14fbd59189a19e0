//! Duplicates and leaks among synthetic rows: seconds and peak memory of each part as one JSON line.
//!
//!     cargo bench -p rtune-data --bench duplicates -- near [--rows 1000000] [--words 30] [--memory-mib 256] [--similarity-percent 70]
//!
//! Rows are words of a made-up language, common ones more often; of ten rows one is a copy of an earlier row and one
//! an earlier row with one word changed. Temporary files lie where the system has them (TMPDIR).

use std::time::Instant;

use rtune_data::{Keep, NearFinder, NearOptions, Scratch, stream, uniform_below};

/// Rows kept to be copied later: one in so many.
const SOURCES: usize = 16;

struct Settings {
    part: String,
    rows: usize,
    words: usize,
    similarity: f64,
    scratch: Scratch,
}

fn settings() -> Settings {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let number = |name: &str, default: usize| {
        let at = arguments.iter().position(|a| a == name);
        at.and_then(|i| arguments.get(i + 1)).map_or(default, |v| v.parse().expect("a number"))
    };
    Settings {
        part: arguments.first().cloned().unwrap_or_else(|| "near".to_owned()),
        rows: number("--rows", 100_000),
        words: number("--words", 30),
        similarity: number("--similarity-percent", 70) as f64 / 100.0,
        scratch: Scratch {
            memory_bytes: number("--memory-mib", 256) << 20,
            ..Scratch::new(std::env::temp_dir())
        },
    }
}

/// Words of two to four syllables.
fn vocabulary() -> Vec<String> {
    let mut random = stream(1, "benchmark", "vocabulary", 0);
    let mut letter = |letters: &str| {
        let place = uniform_below(&mut random, letters.len() as u64) as usize;
        letters[place..=place].to_owned()
    };
    let mut syllable =
        || letter("bcdfghklmnprstvw") + &letter("aeiou") + &letter("nrst aeiou").trim().to_owned();
    (0..20_000).map(|rank| (0..2 + rank / 8_000).map(|_| syllable()).collect()).collect()
}

/// Calls `take` with every row, and whether it was planted as near to an earlier one.
fn each_row(settings: &Settings, mut take: impl FnMut(&str, bool)) {
    let vocabulary = vocabulary();
    let mut random = stream(2, "benchmark", "rows", 0);
    // The square of a uniform number: common words are much more frequent, as in any language.
    let word = |random: &mut _| {
        let place = uniform_below(random, 1 << 20) as f64 / f64::from(1 << 20);
        vocabulary[(place * place * vocabulary.len() as f64) as usize].as_str()
    };
    let mut sources: Vec<String> = Vec::new();
    for row in 0..settings.rows {
        let kind = uniform_below(&mut random, 10);
        if kind < 2 && !sources.is_empty() {
            let source = &sources[uniform_below(&mut random, sources.len() as u64) as usize];
            let mut words: Vec<&str> = source.split(' ').collect();
            if kind == 1 {
                let place = uniform_below(&mut random, words.len() as u64) as usize;
                words[place] = word(&mut random);
            }
            take(&words.join(" "), true);
            continue;
        }
        let words: Vec<&str> = (0..settings.words).map(|_| word(&mut random)).collect();
        let text = words.join(" ");
        take(&text, false);
        if row % SOURCES == 0 && sources.len() < 10_000 {
            sources.push(text);
        }
    }
}

/// The most memory this process has held, from the kernel's account; 0 where there is none.
fn peak_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).map_or(0, |kib: usize| kib << 10)
}

#[expect(clippy::print_stdout, reason = "a benchmark shows its figures")]
fn report(settings: &Settings, part: &str, before_bytes: usize, seconds: [f64; 2], found: &str) {
    let peak_bytes = peak_bytes();
    println!(
        "{{\"part\": \"{part}\", \"rows\": {}, \"words\": {}, \"push_seconds\": {:.1}, \"finish_seconds\": {:.1}, \
         \"peak_mib\": {}, \"peak_bytes_a_row\": {:.1}, \"threads\": {}, {found}}}",
        settings.rows,
        settings.words,
        seconds[0],
        seconds[1],
        peak_bytes >> 20,
        peak_bytes.saturating_sub(before_bytes) as f64 / settings.rows as f64,
        std::thread::available_parallelism().map_or(1, usize::from),
    );
}

fn near(settings: &Settings) {
    let scratch = settings.scratch.clone();
    let options = NearOptions { similarity: settings.similarity, keep: Keep::First, pairs: false, scratch };
    let (before_bytes, began) = (peak_bytes(), Instant::now());
    let mut finder = NearFinder::new(options).expect("options");
    let mut planted: Vec<bool> = Vec::new();
    each_row(settings, |text, near| {
        finder.push(text).expect("room");
        planted.push(near);
    });
    let pushed = began.elapsed().as_secs_f64();
    let clusters = finder.finish().expect("clusters");
    let finished = began.elapsed().as_secs_f64() - pushed;
    let expected = planted.iter().filter(|&&near| near).count();
    let dropped_planted = (0..).zip(&planted).filter(|&(row, &near)| near && !clusters.kept(row)).count();
    let found = format!(
        "\"planted\": {expected}, \"planted_dropped\": {dropped_planted}, \"dropped\": {}, \"clusters\": {}, \"comparisons\": {}",
        clusters.dropped(),
        clusters.clusters(),
        clusters.comparisons()
    );
    report(settings, "near", before_bytes, [pushed, finished], &found);
}

fn main() {
    let settings = settings();
    match settings.part.as_str() {
        "rows" => {
            let began = Instant::now();
            let mut bytes = 0;
            each_row(&settings, |text, _| bytes += text.len());
            report(
                &settings,
                "rows",
                0,
                [began.elapsed().as_secs_f64(), 0.0],
                &format!("\"text_bytes\": {bytes}"),
            );
        }
        "near" => near(&settings),
        part => panic!("{part}: there are rows, near"),
    }
}
