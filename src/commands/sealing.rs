//! `gate.sealed`, told to every verb: a seal beside each golden file.

use rtune_data::{Seal, Source, seals};
use rtune_trainer::error::TrainerError;
use rtune_trainer::files::write_whole;

use crate::reporter::complain;

/// Puts a seal beside each golden file that has none, so that a verb which knows nothing of the run leaves its sealed rows out too.
/// Where none can be written, that is said: then the runs of such a configuration alone know of it.
///
/// # Errors
/// Those of the files, and of a seal that is there and cannot be read.
pub(super) fn seal(golden: &[Source]) -> anyhow::Result<()> {
    for (file, seal) in seals(golden).map_err(TrainerError::from)? {
        if seal.is_some() || !file.is_file() {
            continue;
        }
        let place = Seal::place_of(&file);
        match write_whole(&place, Seal::default().to_text().as_bytes()) {
            Ok(()) => complain(&format!(
                "note: `{}` is written: half of the rows of `{}` are for `rtune promote` alone",
                place.display(),
                file.display()
            )),
            Err(error) => complain(&format!(
                "note: {error} ({}): only runs with `gate.sealed` leave the sealed rows of `{}` out, and `rtune eval` of another model \
                 would read them",
                error.source,
                file.display()
            )),
        }
    }
    Ok(())
}
