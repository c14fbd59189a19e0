//! The integration tests: one binary, a module a subject.

mod bad_input;
mod engine;
mod families;
mod generation;
mod generation_peers;
mod gguf;
mod init;
mod keys;
mod kills;
mod noise;
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
