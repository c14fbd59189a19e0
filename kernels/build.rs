//! Packs the kernels' PTX, of which the program carries two megabytes that a machine without a GPU never reads.

use std::io::Write;
use std::path::PathBuf;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=cuda");
    let variable = |name| env::var_os(name).map(PathBuf::from).ok_or(io::ErrorKind::NotFound);
    let (sources, out) = (variable("CARGO_MANIFEST_DIR")?.join("cuda"), variable("OUT_DIR")?);
    for entry in fs::read_dir(sources)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "ptx") {
            let packed = fs::File::create(out.join(path.file_name().unwrap_or_default()))?;
            let mut packed = flate2::write::ZlibEncoder::new(packed, flate2::Compression::best());
            packed.write_all(&fs::read(&path)?)?;
            packed.finish()?;
        }
    }
    Ok(())
}
