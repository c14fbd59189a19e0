//! The integration tests: one binary, a module a subject.

mod engine;
mod reference;
mod reference_cases;
mod training;
mod workplace;
