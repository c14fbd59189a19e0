//! Packs the lines of `gazetteer/make.py` (`key<TAB>flags`, sorted) into the automaton that `names/gazetteer.rs` reads.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter};

use fst::MapBuilder;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let paths: Vec<String> = std::env::args().skip(1).collect();
    let [input, output] = paths.as_slice() else {
        return Err("usage: gazetteer INPUT.tsv OUTPUT.fst".into());
    };
    let mut map = MapBuilder::new(BufWriter::new(File::create(output)?))?;
    for line in BufReader::new(File::open(input)?).lines() {
        let line = line?;
        let (key, flags) = line.split_once('\t').ok_or_else(|| format!("no tab in `{line}`"))?;
        map.insert(key, flags.parse()?)?;
    }
    map.finish()?;
    Ok(())
}
