//! Duplicates and leaks among synthetic rows: seconds and peak memory of each part as one JSON line.
//!
//!     cargo bench -p rtune-data --bench duplicates -- near [--rows 1000000] [--words 30] [--memory-mib 256]
//!         [--similarity-percent 70] [--templates 0]
//!
//! Parts are `equal`, `near`, `leak` (one row of ten held out), `all` (the three fed side by side), and `rows` alone.
//! Rows are words of a made-up language, common ones more often; of ten rows one is a copy of an earlier row and one
//! an earlier row with one word changed. With templates the first half of a row is one of so many sentences. Temporary
//! files lie where the system has them (TMPDIR).

use std::time::Instant;

use rtune_data::clean::duplicates::{DuplicateFinder, canonical_hash};
use rtune_data::{
    Keep, LeakFinder, LeakOptions, LeakRow, Message, NearFinder, NearOptions, Scratch, stream, uniform_below,
};

/// Rows kept to be copied later: one in so many.
const SOURCES: usize = 16;

struct Settings {
    part: String,
    rows: usize,
    words: usize,
    similarity: f64,
    templates: usize,
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
        templates: number("--templates", 0),
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
    let mut syllable = || letter("bcdfghklmnprstvw") + &letter("aeiou") + letter("nrst aeiou").trim();
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
    let template = |_| (0..settings.words / 2).map(|_| word(&mut random)).collect();
    let templates: Vec<Vec<&str>> = (0..settings.templates).map(template).collect();
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
        let mut words: Vec<&str> = Vec::new();
        if !templates.is_empty() {
            words.extend(&templates[uniform_below(&mut random, templates.len() as u64) as usize]);
        }
        words.extend((words.len()..settings.words).map(|_| word(&mut random)));
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

/// The parts that were asked for, fed with the same rows.
struct Parts {
    equal: Option<DuplicateFinder>,
    near: Option<NearFinder>,
    leak: Option<LeakFinder>,
}

impl Parts {
    fn new(settings: &Settings) -> Self {
        let scratch = settings.scratch.clone();
        let asked = |part| [part, "all"].contains(&settings.part.as_str());
        let near = NearOptions {
            similarity: settings.similarity,
            keep: Keep::First,
            pairs: false,
            scratch: scratch.clone(),
        };
        let leak = LeakOptions { similarity: settings.similarity, ..LeakOptions::new(scratch.clone()) };
        Self {
            equal: asked("equal").then(|| DuplicateFinder::new(&scratch)),
            near: asked("near").then(|| NearFinder::new(near).expect("options")),
            leak: asked("leak").then(|| LeakFinder::new(leak).expect("options")),
        }
    }

    fn push(&mut self, row: usize, text: &str) {
        let conversation = [Message::new("user", text)];
        let canonical = match (&self.equal, &self.leak) {
            (None, None) => [0; 16],
            _ => canonical_hash(&conversation),
        };
        if let Some(equal) = &mut self.equal {
            let mut raw = [0; 16];
            raw.copy_from_slice(&blake3::hash(text.as_bytes()).as_bytes()[..16]);
            equal.push(row, raw, canonical).expect("room");
        }
        if let Some(near) = &mut self.near {
            near.push(text).expect("room");
        }
        if let Some(leak) = &mut self.leak {
            let leak_row = LeakRow { content: text.to_owned(), conversation: canonical, prompt: canonical };
            let pushed =
                if row.is_multiple_of(10) { leak.held_out(0, &leak_row) } else { leak.train(&leak_row) };
            pushed.expect("room");
        }
    }
}

fn run(settings: &Settings) {
    let (before_bytes, began) = (peak_bytes(), Instant::now());
    let mut parts = Parts::new(settings);
    let mut row = 0;
    let mut planted = 0;
    each_row(settings, |text, near| {
        parts.push(row, text);
        row += 1;
        planted += usize::from(near);
    });
    let mut last = began.elapsed().as_secs_f64();
    let pushed = last;
    let mut finished = |part: &str, found: &str| {
        let now = began.elapsed().as_secs_f64();
        report(
            settings,
            part,
            before_bytes,
            [pushed, now - last],
            &format!("\"planted\": {planted}, {found}"),
        );
        last = now;
    };
    if let Some(equal) = parts.equal {
        let rows = equal.finish().expect("rows");
        finished("equal", &format!("\"raw\": {}, \"canonical\": {}", rows.raw(), rows.canonical()));
    }
    if let Some(near) = parts.near {
        let clusters = near.finish().expect("clusters");
        let (dropped, count, compared) = (clusters.dropped(), clusters.clusters(), clusters.comparisons());
        finished("near", &format!("\"dropped\": {dropped}, \"clusters\": {count}, \"compared\": {compared}"));
    }
    if let Some(leak) = parts.leak {
        let leaks = leak.finish().expect("leaks");
        finished(
            "leak",
            &format!("\"leaked\": {}, \"by_kind\": {:?}", leaks.leaked(), leaks.sets()[0].by_kind),
        );
    }
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
        "equal" | "near" | "leak" | "all" => run(&settings),
        part => panic!("{part}: there are equal, near, leak, all, rows"),
    }
}
