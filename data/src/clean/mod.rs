//! The stages that rows pass between reading and the template, each a module of its own.

pub mod duplicates;
