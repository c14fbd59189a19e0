//! The integration tests: one binary, a module a subject.

mod bad_input;
mod engine;
mod generation;
mod keys;
mod reference;
mod reference_cases;
mod tidy;
mod training;
mod workplace;
