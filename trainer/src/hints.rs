//! What to do about files and adapters that fail, and about licences.

use crate::files::FileError;

/// Whether a failed read or write is the machine's fault: what is not there, or is no file, was named wrongly.
pub(crate) fn is_of_the_machine(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    let named_wrongly =
        [ErrorKind::NotFound, ErrorKind::NotADirectory, ErrorKind::IsADirectory, ErrorKind::InvalidData];
    !named_wrongly.contains(&error.kind())
}

pub(crate) fn adapter_hint(error: &rtune_adapters::AdapterError) -> Option<String> {
    match error {
        rtune_adapters::AdapterError::Io { source, .. } => kind_hint(source.kind()),
        _ => error.hint(),
    }
}

pub(crate) fn file_hint(error: &FileError) -> Option<String> {
    kind_hint(error.source.kind())
}

pub(crate) fn licence_hint(found: &str) -> &'static str {
    match found {
        rtune_models::licence::UNKNOWN => {
            "neither model card (README.md) nor licence file says it: `rtune pull BASE` brings both where they are missing; or \
             accept `unknown`"
        }
        _ => "read the licence, then add it to `model.licences` or choose another base",
    }
}

fn kind_hint(kind: std::io::ErrorKind) -> Option<String> {
    use std::io::ErrorKind;
    let hint = match kind {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            "there is no room: free some and go on with `--resume`; a checkpoint that was begun is not used"
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "choose an `output.dir` you may write to"
        }
        ErrorKind::NotADirectory => "a part of the path is a file, not a folder",
        _ => return None,
    };
    Some(hint.to_owned())
}
