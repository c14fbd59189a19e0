//! What to do about what fails.

use crate::error::TrainerError;
use crate::files::FileError;

impl TrainerError {
    /// What to do about it, where that is known.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::File(error) => return file_hint(error),
            Self::Data(error) => return error.hint(),
            Self::Model(error) => return error.hint(),
            Self::Adapter(error) => return adapter_hint(error),
            Self::Gpu(error) => return error.hint().map(str::to_owned),
            Self::Conversation(problem) => return problem.hint(),
            Self::Generate(error) => return error.hint(),
            Self::Config(_) => {
                "the file was written by the run: bring it back, or choose another `output.dir`"
            }
            Self::NotComparable { .. } => {
                "evaluate both on the same golden files, in the same way: `rtune eval NAME --golden FILE --out REPORT`"
            }
            Self::Benchmark { .. } => {
                "`--shots` says how many examples stand before each item, `--shots-from` whence they are"
            }
            Self::CodeNotRun { .. } => {
                "`--run-code` runs them: confined, without network, files or other processes"
            }
            Self::People { .. } => {
                "a report names its cases by `id`; rows without one have an id of their content"
            }
            Self::Sandbox(error) => return error.hint().map(str::to_owned),
            Self::Labels { .. } => {
                "`--labels` names them, with commas between; so does `labels` in every golden row"
            }
            Self::NoSuchMetric { .. } => {
                "choose one of these; `checks` are fields of golden rows, and labels are named by `eval.labels`"
            }
            Self::NotMeasured => "leave `lora.from` and `lora.method` out: `--set lora.method=lora`",
            Self::NoTemplate { .. } => "name a Jinja file by `data.template`",
            Self::NoSuchRow { .. } => {
                "`rtune verify RUN --rows` lists rows with their ids; one that was dropped as a duplicate has none"
            }
            Self::NoSuchToken { .. } => "tokenizer.json and config.json are of two models",
            Self::NoSuchTokenName { .. } => "name one that it has, or have it added by `lora.new-tokens`",
            Self::OtherTokens { trained, .. } if trained.is_empty() => {
                "leave `lora.new-tokens` out, or `lora.from`, to train their rows beside a new adapter"
            }
            Self::OtherTokens { trained, .. } => {
                return Some(format!(
                    "write `lora.new-tokens = {trained:?}`, or leave `lora.from` out for a new adapter"
                ));
            }
            Self::InUse { .. } => "wait for it, stop it, or choose another `output.dir`",
            Self::NotEmpty { .. } => "go on with it by `--resume`, or choose another `output.dir`",
            Self::NotARun { .. } => {
                "name the folder that `rtune train` wrote; for a new run, choose another `output.dir`"
            }
            Self::OtherConfig { .. } => {
                "undo the change, or choose another `output.dir` and start from this run's adapter with `lora.from`"
            }
            Self::OtherInput { .. } => "bring back what it began with, or choose another `output.dir`",
            Self::TooShort { .. } => "ask for at least as many, or export the checkpoint you want",
            Self::NoneWhole { .. } => {
                "bring back a copy of the folder, remove it to begin anew, or choose another `output.dir`"
            }
            Self::Differs { .. } => "bring back what the run was made with, or do not count on its figures",
            Self::Changed { .. } => "begin again when nobody writes to it, or with a copy of it",
            Self::NoSuite { .. } => {
                "paths are relative to the working directory; `starter` is the suite that comes with the program"
            }
            Self::NoGolden { .. } => "name a file by `--golden FILE`, or in the run's `data.golden`",
            Self::EmptyHalf { .. } => {
                "`gate.sealed` keeps half of the rows back: with so few rows, leave it out or write more"
            }
            Self::Licence { found, .. } => licence_hint(found),
            Self::UnreadKey { .. } => {
                "this verb reads `model.*`, `quantization.*`, `data.template` and `data.template-date`"
            }
            Self::NotACheckpoint { .. } => {
                "a checkpoint is a folder such as `checkpoints/step-000200` of a run"
            }
            Self::Altered { .. } => {
                "the checkpoint was changed after it was written; `rtune train CONFIG --resume` goes on from the newest that is whole"
            }
            Self::Unreadable { .. } => return None,
            Self::NotFinite { .. } => {
                "lower `train.learning-rate` or `train.max-grad-norm`; the last checkpoint is as it was"
            }
            Self::OddStep { .. } => {
                "lower `train.learning-rate` or `train.max-grad-norm`, look at the rows, or let `[watchdog]` leave such steps out (`skip`, \
                 `roll-back`) and go on by `--resume`; the last checkpoint is as it was"
            }
        };
        Some(hint.to_owned())
    }
}

/// Whether a failed read or write is the machine's fault: what is not there, or is no file, was named wrongly.
pub(crate) fn is_of_the_machine(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    let named_wrongly =
        [ErrorKind::NotFound, ErrorKind::NotADirectory, ErrorKind::IsADirectory, ErrorKind::InvalidData];
    !named_wrongly.contains(&error.kind())
}

fn adapter_hint(error: &rtune_adapters::AdapterError) -> Option<String> {
    match error {
        rtune_adapters::AdapterError::Io { source, .. } => kind_hint(source.kind()),
        _ => error.hint(),
    }
}

fn file_hint(error: &FileError) -> Option<String> {
    kind_hint(error.source.kind())
}

fn licence_hint(found: &str) -> &'static str {
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
            "there is no room: free some and run it again (`rtune train` with `--resume`); what was begun is not used"
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "choose an `output.dir` you may write to"
        }
        ErrorKind::NotADirectory => "a part of the path is a file, not a folder",
        _ => return None,
    };
    Some(hint.to_owned())
}
