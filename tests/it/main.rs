//! The integration tests: one binary, a module a subject.

mod bad_input;
mod bases;
mod choose;
mod engine;
mod families;
mod generation;
mod generation_peers;
mod gguf;
mod gguf_families;
mod hostile;
mod init;
mod keys;
mod kills;
mod reference;
mod reference_cases;
mod release;
mod release_bad_input;
mod release_peers;
mod resume;
mod scan;
mod talk;
mod tidy;
mod tools;
mod training;
mod verify;
mod workplace;
